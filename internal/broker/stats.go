package broker

import "sync/atomic"

// counter has one writer, its loop; any goroutine may read it.
type counter struct{ v atomic.Uint64 }

func (c *counter) add(n uint64) { c.v.Store(c.v.Load() + n) }

type loopStats struct {
	connected    atomic.Int64
	logins       counter
	refused      counter
	takeovers    counter
	received     counter // PUBLISH packets in
	receivedSize counter
	delivered    counter // PUBLISH packets out
	queued       counter
	dropped      [dropReasons]counter
	malformed    counter
	pressed      counter // times that publishers had to wait
}

// Stats is a snapshot of the broker's counters since its start; Connected,
// Sessions, Subscriptions and Retained are the current numbers.
type Stats struct {
	Connected     int64             `json:"connected"`
	Sessions      int               `json:"sessions"`
	Subscriptions int               `json:"subscriptions"`
	Retained      int               `json:"retained"`
	Logins        uint64            `json:"logins"`
	Refused       uint64            `json:"refused"`
	Takeovers     uint64            `json:"takeovers"`
	Received      uint64            `json:"received"`
	ReceivedBytes uint64            `json:"receivedBytes"`
	Delivered     uint64            `json:"delivered"`
	Queued        uint64            `json:"queued"`
	Malformed     uint64            `json:"malformed"`
	Pressed       uint64            `json:"pressed"` // times that a loop stopped reading from publishers
	Dropped       map[string]uint64 `json:"dropped"`
}

// Stats may be called from any goroutine.
func (b *Broker) Stats() Stats {
	s := Stats{
		Sessions:      b.sessions.len(),
		Subscriptions: b.index.Subscriptions(),
		Retained:      b.retained.Count(),
		Dropped:       make(map[string]uint64),
	}
	for _, l := range b.loops {
		st := &l.stats
		s.Connected += st.connected.Load()
		s.Logins += st.logins.v.Load()
		s.Refused += st.refused.v.Load()
		s.Takeovers += st.takeovers.v.Load()
		s.Received += st.received.v.Load()
		s.ReceivedBytes += st.receivedSize.v.Load()
		s.Delivered += st.delivered.v.Load()
		s.Queued += st.queued.v.Load()
		s.Pressed += st.pressed.v.Load()
		s.Malformed += st.malformed.v.Load()
		for r := range dropReasons {
			s.Dropped[r.String()] += st.dropped[r].v.Load()
		}
	}
	return s
}
