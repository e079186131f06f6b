package broker

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Several units of a device may be connected under its one name (spec/connect.md
// §9.3). Each has a session of its own, whose key is the device's, a # and the name of
// the unit; no name of a device has a #. What is sent to the device goes to every unit
// that is connected, a reply to the unit that asked.

const unitMark = "#"

// UnitKey is the session key of one unit of a device.
func UnitKey(deviceKey, unit string) string { return deviceKey + unitMark + unit }

// deviceOf is the session key of the device that a unit's key belongs to, "" if key
// is not a unit's.
func deviceOf(key string) string {
	if !strings.HasPrefix(key, "d:") {
		return ""
	}
	if i := strings.IndexByte(key, unitMark[0]); i >= 0 {
		return key[:i]
	}
	return ""
}

// units are the sessions of units, by the key of their device.
type units struct {
	some atomic.Bool // there has been one: before, nobody needs to look
	mu   sync.RWMutex
	m    map[string][]*Session // the slices are not changed once they are there
}

func (u *units) add(s *Session) {
	device := deviceOf(s.key)
	if device == "" {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.m == nil {
		u.m = make(map[string][]*Session)
	}
	u.m[device] = append(slices.Clip(u.m[device]), s)
	u.some.Store(true)
}

func (u *units) remove(s *Session) {
	device := deviceOf(s.key)
	if device == "" {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	var left []*Session
	for _, other := range u.m[device] {
		if other != s {
			left = append(left, other)
		}
	}
	if len(left) == 0 {
		delete(u.m, device)
		return
	}
	u.m[device] = left
}

// of returns the sessions of a device's units.
func (u *units) of(device string) []*Session {
	if !u.some.Load() {
		return nil
	}
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.m[device]
}

// family returns the session of a key and those of its units.
func (r *registry) family(key string) []*Session {
	all := r.units.of(key)
	if s := r.get(key); s != nil {
		all = append(slices.Clip(all), s)
	}
	return all
}

// toDevice delivers a system topic to the device that it belongs to.
func (l *loop) toDevice(p *publication, key string) {
	s := l.b.sessions.get(key)
	if all := l.b.sessions.units.of(key); len(all) > 0 {
		l.toUnits(p, key, s, all)
		return
	}
	switch {
	case s == nil:
		l.drop(DropOffline, key, p.topic, p.qos, len(p.payload))
	case p.noEcho && (s == p.from || p.publisher == key): // its own, maybe over its gateway's connection
	default:
		l.toSession(p, s)
	}
}

// toUnits delivers to a device that has units; s is its own session, or nil.
func (l *loop) toUnits(p *publication, key string, s *Session, all []*Session) {
	of := func(s *Session) bool { return s != nil && (s.key == key || deviceOf(s.key) == key) }
	switch {
	case of(p.to): // the reply to one of them
		l.toSession(p, p.to)
		return
	case p.noEcho && of(p.from): // an answer of one of them is nothing for the others
		return
	}
	reached := false
	for _, u := range all {
		if u.online.Load() {
			reached = true
			l.toSession(p, u)
		}
	}
	switch {
	case s != nil && (s.online.Load() || !reached):
		l.toSession(p, s)
	case !reached:
		l.drop(DropOffline, key, p.topic, p.qos, len(p.payload))
	}
}

// ForgetUnits ends the sessions of a device's units: their tokens are void. It may be
// called from any goroutine.
func (b *Broker) ForgetUnits(key string) {
	for _, s := range b.sessions.units.of(key) {
		b.forget(s)
	}
}
