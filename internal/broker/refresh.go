package broker

import (
	"time"

	"github.com/linkstead/linkstead/mqtt"
)

// Settings are the options that can be changed while the broker runs.
type Settings struct {
	OpeningPacket int           // see Options
	SysInterval   time.Duration // see Options
}

// Refresh takes new settings over, and asks Options.Profiles again for every
// session and connection there is. Any goroutine.
func (b *Broker) Refresh(s Settings) {
	b.set(s)
	b.loops[0].t.Post(task{b.loops[0].restartSys})
	for _, l := range b.loops {
		l.t.Post(task{func() { l.refresh(0) }})
	}
}

// set stores settings.
func (b *Broker) set(s Settings) {
	if s.OpeningPacket == 0 {
		s.OpeningPacket = 16 << 10
	}
	b.unknown.Store(&Profile{MaxPacket: s.OpeningPacket, Tolerance: mqtt.TolerateDevices})
	b.sysInterval.Store(int64(s.SysInterval))
}

// refresh gives the sessions of one shard of the registry that live on this loop
// their profiles again, and posts the same for the next one, so that nobody waits
// for all of them.
func (l *loop) refresh(shard int) {
	sh := &l.b.sessions.shards[shard]
	sh.mu.RLock()
	for _, s := range sh.m {
		if s.home != l {
			continue
		}
		s.profile = l.b.options.Profiles(s.device)
		if c := s.client; c != nil && !c.closed {
			if c.version == mqtt.V5 && s.profile.MaxPacket < c.profile.MaxPacket {
				continue // it was told in CONNACK what it may send
			}
			c.profile = s.profile
			c.conn.SetLimit(c.profile.MaxPacket)
		}
	}
	sh.mu.RUnlock()
	if next := shard + 1; next < len(l.b.sessions.shards) {
		l.t.Post(task{func() { l.refresh(next) }})
	}
}
