package broker

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// Traffic is one packet as a tap sees it.
type Traffic struct {
	AtMS int64
	// Key is the session that is watched, or that of the connection. Sub is that of
	// the sub-device whose packet it is on its gateway's connection; for who watches
	// the sub-device, that is Key, and Via is the gateway's.
	Key, Sub, Via string
	FromServer    bool
	Version       mqtt.Version
	Frame         []byte // a CONNECT comes without its password, an AUTH without its data
	Missed        int    // packets left out before this one because the watcher was too slow
}

// Tap watches the packets of one session, or of all. It never slows a client
// down: what its reader does not take in time is left out and counted.
type Tap struct {
	key    string // "" all
	b      *Broker
	out    chan Traffic
	missed atomic.Int64
	once   sync.Once
}

// tapDepth is how many packets wait for the reader of a tap.
const tapDepth = 1024

// NewTap starts to watch the session with the given key, connected or not, or
// every session if key is empty. Of a sub-device those packets are seen that are its
// own on the connection of its gateway.
func (b *Broker) NewTap(key string) *Tap {
	t := &Tap{key: key, b: b, out: make(chan Traffic, tapDepth)}
	b.tapMu.Lock()
	b.taps = append(b.taps, t)
	b.tapCount.Store(int32(len(b.taps)))
	b.tapMu.Unlock()
	b.retap()
	return t
}

// C is where the packets come.
func (t *Tap) C() <-chan Traffic { return t.out }

// Close ends the watching. The channel is not closed.
func (t *Tap) Close() {
	t.once.Do(func() {
		b := t.b
		b.tapMu.Lock()
		for i := range b.taps {
			if b.taps[i] == t {
				b.taps = append(b.taps[:i:i], b.taps[i+1:]...)
				break
			}
		}
		b.tapCount.Store(int32(len(b.taps)))
		b.tapMu.Unlock()
		b.retap()
	})
}

// retap tells every connection which tap it has.
func (b *Broker) retap() {
	for _, l := range b.loops {
		l.t.Post(task{func() {
			for c := l.clients; c != nil; c = c.next {
				if c.session != nil {
					c.tap = b.tapOf(c)
				}
			}
		}})
	}
}

// tapOf gives one of the taps that watch a client or what it carries, or nil.
func (b *Broker) tapOf(c *client) *Tap {
	if b.tapCount.Load() == 0 {
		return nil
	}
	b.tapMu.Lock()
	defer b.tapMu.Unlock()
	for _, t := range b.taps {
		if key := c.session.key; t.key == "" || t.key == key || t.key == deviceOf(key) || c.carrying != nil && c.carrying.sessions[t.key] != nil {
			return t
		}
	}
	return nil
}

// emit passes packets on to every tap of the client's session.
func (t *Tap) emit(c *client, fromServer bool, packets []byte) {
	b := c.loop.b
	for len(packets) > 0 {
		f, n, err := mqtt.SplitTolerant(packets, 0, mqtt.TolerateDevices)
		if err != nil || n == 0 {
			return
		}
		packets = packets[n:]
		if f.Type == mqtt.AUTH {
			f.Raw = blankAuth(f)
		}
		p := Traffic{AtMS: c.loop.nowMS(), Key: c.session.key, Sub: c.belongs(f, fromServer), FromServer: fromServer, Version: c.version, Frame: f.Raw}
		b.tapMu.Lock()
		for _, t := range b.taps {
			switch t.key {
			case "", p.Key, deviceOf(p.Key):
				t.pass(p)
			case p.Sub:
				its := p
				its.Key, its.Sub, its.Via = p.Sub, "", p.Key
				t.pass(its)
			}
		}
		b.tapMu.Unlock()
	}
}

func (t *Tap) pass(p Traffic) {
	p.Frame = append([]byte(nil), p.Frame...)
	p.Missed = int(t.missed.Swap(0))
	select {
	case t.out <- p:
	default:
		t.missed.Add(int64(p.Missed) + 1)
	}
}

// emitConnect passes the CONNECT on with its password blanked.
func (t *Tap) emitConnect(c *client, p *mqtt.Connect) {
	shown := *p
	if shown.HasPassword {
		shown.Password = blank(len(p.Password))
	}
	shown.Properties = blankData(p.Properties)
	t.emit(c, false, shown.Append(nil))
}

// blankData gives properties with the authentication data blanked.
func blankData(p mqtt.Properties) mqtt.Properties {
	data, given := p.Binary(mqtt.PropAuthenticationData)
	if !given || len(data) == 0 {
		return p
	}
	shown := mqtt.Properties(bytes.Clone(p))
	data, _ = shown.Binary(mqtt.PropAuthenticationData)
	copy(data, blank(len(data)))
	return shown
}

// blankAuth gives an AUTH packet with its data blanked.
func blankAuth(f mqtt.Frame) []byte {
	var p mqtt.Auth
	if err := p.Decode(f); err != nil {
		return nil // what it is cannot be told
	}
	p.Properties = blankData(p.Properties)
	return p.Append(nil)
}

func blank(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = '*'
	}
	return b
}

var _ transport.Task = task{}
