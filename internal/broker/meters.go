package broker

import (
	"github.com/linkstead/linkstead/internal/meter"
	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// The kinds of client that figures are kept apart by. A connection is of no kind
// until its login has been decided.
const (
	kindDevice = iota
	kindApplication
	kindNone
	kinds
)

// ClientKinds are the names of the kinds of client, in the order of Figures.
var ClientKinds = [kinds]string{"device", "application", "none"}

func (c *client) kind() int {
	switch {
	case c.session == nil:
		return kindNone
	case c.profile.Device:
		return kindDevice
	}
	return kindApplication
}

// PacketKinds are the kinds of packet that are counted apart: the types of packet
// by number, 0 for what is none, and PUBLISH split by QoS.
const (
	publishQoS0 = 16 + iota
	publishQoS1
	publishQoS2
	packetKinds
)

// packetKind finds the kind of a packet by its first byte.
func packetKind(first byte) int {
	if first>>4 == byte(mqtt.PUBLISH) {
		return publishQoS0 + int(first>>1&3)%3
	}
	return int(first >> 4)
}

// flow counts packets of one direction and one kind of client.
type flow struct {
	packets, bytes [packetKinds]meter.Counter
}

func (f *flow) add(packet []byte) {
	if len(packet) == 0 {
		return
	}
	k := packetKind(packet[0])
	f.packets[k].Add(1)
	f.bytes[k].Add(uint64(len(packet)))
}

// addRun counts packets of one kind that lie behind each other.
func (f *flow) addRun(packets []byte, count int) {
	k := packetKind(packets[0])
	f.packets[k].Add(uint64(count))
	f.bytes[k].Add(uint64(len(packets)))
}

const transports = int(transport.SecureWebSocket) + 1

// versions is how many versions of MQTT there are: 3.1, 3.1.1 and 5.0.
const versions = 3

// meters are the figures of one loop, which alone writes them.
type meters struct {
	in, out   [kinds]flow
	connected [kinds][transports][versions]meter.Gauge
	logins    [kinds]meter.Counter
	refused   [256]meter.Counter // by reason code
	paused    [pauseReasons]meter.Counter

	unsubscribed [256]meter.Counter // filters that were refused, by reason code

	queued, queuedBytes meter.Gauge // what waits on disk for this loop's sessions
	census              [64]census  // by shard of the registry
	handoffs            *meter.Histogram
}

// census is what the sweep saw of the loop's sessions in one shard.
type census struct {
	persistent, waiting, inFlight meter.Gauge
}

func (l *loop) initMeters() { l.meters.handoffs = meter.NewHistogram(meter.Sizes) }

// meterIn counts a packet that came.
func (l *loop) meterIn(c *client, packet []byte) { l.meters.in[c.kind()].add(packet) }

// meterOut counts a packet that is sent.
func (l *loop) meterOut(c *client, packet []byte) { l.meters.out[c.kind()].add(packet) }

// meterConnected counts a client that comes (1) or goes (-1).
func (l *loop) meterConnected(c *client, n int64) {
	v := 0
	switch c.version {
	case mqtt.V311:
		v = 1
	case mqtt.V5:
		v = 2
	}
	l.meters.connected[c.kind()][int(c.conn.Kind())%transports][v].Add(n)
	if n > 0 {
		l.meters.logins[c.kind()].Add(1)
	}
}

// meterQueue counts messages that begin to wait on disk, or wait no more.
func (s *Session) meterQueue(messages int, bytes int64) {
	s.home.meters.queued.Add(int64(messages))
	s.home.meters.queuedBytes.Add(bytes)
}

// tally is what the sweep counts while it passes the sessions of a shard.
type tally struct{ persistent, waiting, inFlight int64 }

func (t *tally) count(s *Session) {
	if s.durable.Load() {
		t.persistent++
	}
	t.waiting += int64(s.waiting.count())
	t.inFlight += int64(s.out.InFlight())
}

func (l *loop) meterCensus(shard int, t tally) {
	c := &l.meters.census[shard]
	c.persistent.Set(t.persistent)
	c.waiting.Set(t.waiting)
	c.inFlight.Set(t.inFlight)
}

// PacketFigure counts one kind of packet of one kind of client.
type PacketFigure struct {
	Type           string // PUBLISH, PUBACK …
	QoS            int    // of a PUBLISH, -1 of others
	Packets, Bytes uint64
}

// ConnectionFigure is how many clients of a kind are connected in a way.
type ConnectionFigure struct {
	Kind, Transport, Version string
	Connected                int64
}

// Figures are the broker's counters in detail. Counters begin at the start of the
// server.
type Figures struct {
	Stats
	In, Out     [kinds][]PacketFigure // by ClientKinds
	Connections []ConnectionFigure
	LoginsBy    [kinds]uint64
	RefusedBy   map[mqtt.ReasonCode]uint64 // without those that were never seen
	FiltersBy   map[mqtt.ReasonCode]uint64 // filters that were refused, without those codes that were never given
	Paused      [pauseReasons]uint64       // times that clients were not read from, by PauseReasons
	// QueuedNow and QueuedBytes are the messages that wait on disk for persistent
	// sessions.
	QueuedNow, QueuedBytes int64
	// Persistent sessions, messages that wait in memory and messages that are in
	// flight, as each was seen within the last half minute.
	Persistent, Waiting, InFlight int64
	Handoffs                      meter.Snapshot // publications in each handoff between loops
	Submitted                     int64          // bytes on their way to the disk
	Handed                        int64          // bytes on their way between loops
}

// Figures may be called from any goroutine.
func (b *Broker) Figures() Figures {
	f := Figures{Stats: b.Stats(), RefusedBy: make(map[mqtt.ReasonCode]uint64), FiltersBy: make(map[mqtt.ReasonCode]uint64), Submitted: b.submitted.Load()}
	for k := range kinds {
		f.In[k], f.Out[k] = b.packets(k, false), b.packets(k, true)
	}
	for k := range kinds - 1 {
		for t := range transports {
			for v, version := range [versions]mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
				at := ConnectionFigure{Kind: ClientKinds[k], Transport: transport.Kind(t).String(), Version: version.String()}
				for _, l := range b.loops {
					at.Connected += l.meters.connected[k][t][v].Load()
				}
				f.Connections = append(f.Connections, at)
			}
		}
	}
	for _, l := range b.loops {
		m := &l.meters
		for k := range m.logins {
			f.LoginsBy[k] += m.logins[k].Load()
		}
		for i := range m.paused {
			f.Paused[i] += m.paused[i].Load()
		}
		for code := range m.unsubscribed {
			if n := m.unsubscribed[code].Load(); n > 0 {
				f.FiltersBy[mqtt.ReasonCode(code)] += n
			}
		}
		for code := range m.refused {
			if n := m.refused[code].Load(); n > 0 {
				f.RefusedBy[mqtt.ReasonCode(code)] += n
			}
		}
		f.QueuedNow += m.queued.Load()
		f.QueuedBytes += m.queuedBytes.Load()
		for i := range m.census {
			f.Persistent += m.census[i].persistent.Load()
			f.Waiting += m.census[i].waiting.Load()
			f.InFlight += m.census[i].inFlight.Load()
		}
		f.Handoffs = f.Handoffs.Plus(m.handoffs.Snapshot())
		f.Handed += l.handed.Load()
	}
	return f
}

// packets adds up one kind of client's packets of one direction.
func (b *Broker) packets(kind int, out bool) []PacketFigure {
	var list []PacketFigure
	for k := 1; k < packetKinds; k++ {
		p := PacketFigure{Type: mqtt.Type(k).String(), QoS: -1}
		if k >= publishQoS0 {
			p.Type, p.QoS = mqtt.PUBLISH.String(), k-publishQoS0
		} else if k == int(mqtt.PUBLISH) {
			continue
		}
		for _, l := range b.loops {
			f := &l.meters.in[kind]
			if out {
				f = &l.meters.out[kind]
			}
			p.Packets += f.packets[k].Load()
			p.Bytes += f.bytes[k].Load()
		}
		list = append(list, p)
	}
	return list
}

// Shard is a number that is the same for all exchanges of one event loop, for
// counters that loops do not share.
func (x *Exchange) Shard() int { return x.loop.index }
