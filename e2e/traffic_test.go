package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

const (
	trafficDevices = 24 // devices that post
	trafficWriters = 3  // applications that write, of each QoS
	trafficReaders = 3  // applications that read, of each QoS
	trafficWindow  = 16 // publications of one client that are not acknowledged yet
)

// traffic is what goes on while a server dies again and again: devices post properties; applications write with
// QoS 1 and 2, and send again what was not acknowledged; others read, or are away, or acknowledge late. It counts
// on over all the server's lives, so that every publication is unlike all others, and knows what must have been
// remembered.
type traffic struct {
	posters []*poster
	writers []*writer
	readers []*reader
	random  *rand.Rand
}

// newTraffic registers the clients, and makes the readers' sessions.
func newTraffic(t *testing.T, h *home, random *rand.Rand) *traffic {
	t.Helper()
	x := &traffic{random: random}
	h.addProduct(stc15.ProductKey, "../tsl/testdata/stc15.json")
	for i := range trafficDevices {
		d := h.addDevice(alink.Triple{ProductKey: stc15.ProductKey, DeviceName: fmt.Sprintf("dev%02d", i), DeviceSecret: "secret"})
		x.posters = append(x.posters, &poster{
			device:  d,
			connect: connectOf(d.Login(alink.LoginOptions{Method: alink.HMACSHA256}), 300),
			topic:   alink.PropertyPostTopic(d.ProductKey, d.DeviceName),
		})
	}
	u := h.addUser("traffic")
	for qos := byte(1); qos <= 2; qos++ {
		var writers []*writer
		for i := range trafficWriters {
			writers = append(writers, &writer{
				topic: fmt.Sprintf("mail/%d/%d", qos, i), qos: qos, again: map[int]bool{},
				connect: connectApp(u, fmt.Sprintf("writer-%d-%d", qos, i), qos == 1),
			})
		}
		x.writers = append(x.writers, writers...)
		for i := range trafficReaders {
			r := &reader{name: fmt.Sprintf("reader-%d-%d", qos, i), qos: qos, got: map[uint16]bool{}, tracks: map[string]*track{}}
			r.connect = connectApp(u, r.name, false)
			// Two readers hear each writer.
			s := mqtt.Subscribe{PacketID: 1}
			for _, w := range []*writer{writers[i%trafficWriters], writers[(i+1)%trafficWriters]} {
				r.tracks[w.topic] = &track{writer: w, missing: map[int]bool{}}
				s.Filters = append(s.Filters, mqtt.Subscription{Filter: []byte(w.topic), QoS: qos})
			}
			c := h.dial()
			c.send(r.connect)
			c.want(connected)
			c.ask(s.Append(nil, mqtt.V311), []byte{0x90, 4, 0, 1, qos, qos})
			c.send([]byte{0xE0, 0})
			c.wantClosed()
			x.readers = append(x.readers, r)
		}
	}
	return x
}

// connectApp is the CONNECT packet of an application.
func connectApp(u user, clientID string, clean bool) []byte {
	p := mqtt.Connect{
		Version: mqtt.V311, CleanStart: clean, KeepAlive: 300, ClientID: []byte(clientID),
		HasUsername: true, Username: []byte(u.name), HasPassword: true, Password: []byte(u.password),
	}
	return p.Append(nil)
}

// gate is shut at the moment in which the power fails: what a client meets after it has never happened.
type gate struct {
	mu   sync.RWMutex
	shut bool
}

func (g *gate) pass(f func()) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.shut {
		return false
	}
	f()
	return true
}

func (g *gate) close() {
	g.mu.Lock()
	g.shut = true
	g.mu.Unlock()
}

// begin lets the clients loose on a server. Wait returns when it has left them all.
func (x *traffic) begin(address string, g *gate) (wait func()) {
	var running sync.WaitGroup
	for _, p := range x.posters {
		running.Go(func() { converse(address, g, p) })
	}
	for _, w := range x.writers {
		w.finish = false
		running.Go(func() { converse(address, g, w) })
	}
	for _, r := range x.readers {
		// Nobody is away twice in a row: a full queue is another test's.
		r.mode = mode(x.random.IntN(3))
		if r.mode == away && r.wasAway {
			r.mode = prompt
		}
		if r.wasAway = r.mode == away; r.mode != away {
			running.Go(func() { converse(address, g, r) })
		}
	}
	return running.Wait
}

// finish lets every writer get the rest of its acknowledgements, and then every reader the rest of its messages.
func (x *traffic) finish(address string) {
	var running sync.WaitGroup
	for _, w := range x.writers {
		w.finish = true
		running.Go(func() { converse(address, new(gate), w) })
	}
	running.Wait()
	for _, r := range x.readers {
		r.mode = last
		running.Go(func() { converse(address, new(gate), r) })
	}
	running.Wait()
}

// side is what a client says. Both return the bytes to send, and whether it is done.
type side interface {
	hello() []byte
	heard(f mqtt.Frame, out []byte) (answer []byte, done bool)
	quiet(out []byte) (more []byte, done bool) // after all that came at once
}

// converse connects a client and follows the conversation until the server is gone, or the client is done.
func converse(address string, g *gate, s side) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	var in, out []byte
	if !g.pass(func() { out = append(out, s.hello()...) }) {
		return
	}
	if _, err := conn.Write(out); err != nil {
		return
	}
	for buf := make([]byte, 32<<10); ; {
		_ = conn.SetDeadline(time.Now().Add(patience))
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		in = append(in, buf[:n]...)
		done := false
		out = out[:0]
		open := g.pass(func() {
			for !done {
				f, n, err := mqtt.Split(in, 0)
				if err != nil || n == 0 {
					break
				}
				out, done = s.heard(f, out)
				in = in[n:]
			}
			if !done {
				out, done = s.quiet(out)
			}
		})
		if !open {
			return
		}
		if len(out) > 0 {
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
		if done {
			return
		}
	}
}

// poster is a device that posts properties with QoS 1. It does not repeat what was not acknowledged.
type poster struct {
	device  alink.Triple
	connect []byte
	topic   string

	sent    int            // posts 0 to sent-1 were sent, or at least begun
	sure    []int          // acknowledged, and not looked up yet
	looked  int            // posts before this one were looked up
	acked   int            // all that were acknowledged
	lost    int            // and of them those that were not found
	waiting map[uint16]int // of this connection
	id      uint16
	online  bool
}

func (p *poster) hello() []byte {
	p.waiting, p.id, p.online = map[uint16]int{}, 0, false
	return p.connect
}

func (p *poster) heard(f mqtt.Frame, out []byte) ([]byte, bool) {
	switch f.Type {
	case mqtt.CONNACK:
		p.online = true
	case mqtt.PUBACK:
		id := packetID(f)
		p.sure = append(p.sure, p.waiting[id])
		p.acked++
		delete(p.waiting, id)
	}
	return out, false
}

func (p *poster) quiet(out []byte) ([]byte, bool) {
	for p.online && len(p.waiting) < trafficWindow {
		p.id = max(p.id+1, 1)
		p.waiting[p.id] = p.sent
		out = append(out, publish(p.topic, postOf(p.sent), p.id)...)
		p.sent++
	}
	return out, false
}

// postOf is the n-th post. The number is the time of the value as well: the history keeps one value a millisecond.
func postOf(n int) string {
	return fmt.Sprintf(`{"id":"%d","params":{"Gas":{"value":%d,"time":%d}},"sys":{"ack":0}}`, n, n%10_000, trafficTime(n))
}

// trafficTime is the time, in Unix milliseconds, of the n-th value: within the last day, so that it is kept.
func trafficTime(n int) int64 { return trafficStart + int64(n) }

var trafficStart = time.Now().Add(-24 * time.Hour).UnixMilli()

// look compares what is stored of the device with what it posted since it was looked last.
func (p *poster) look(t *testing.T, h *home) {
	t.Helper()
	stored := map[int64]string{}
	const page = 1000
	for from, to := trafficTime(p.looked), trafficTime(p.sent+page); ; {
		values, err := h.Platform.PropertyHistory(t.Context(), p.device.ProductKey, p.device.DeviceName, "Gas",
			platform.HistoryQuery{From: from, To: to, Limit: page})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			stored[v.Time] = string(v.Value)
			from = v.Time + 1
		}
		if len(values) < page {
			break
		}
	}
	lost := 0
	for _, n := range p.sure {
		if stored[trafficTime(n)] != strconv.Itoa(n%10_000) {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%s: %d of %d acknowledged posts are not in the history", p.device.DeviceName, lost, len(p.sure))
	}
	for at, v := range stored {
		if n := int(at - trafficStart); n < p.looked || n >= p.sent || v != strconv.Itoa(n%10_000) {
			t.Errorf("%s: the history has %s at %d, which was never sent", p.device.DeviceName, v, at)
		}
	}
	p.lost += lost
	p.sure, p.looked = p.sure[:0], p.sent
}

// writer is an application that publishes to one topic and sends again, in order, what was not acknowledged.
type writer struct {
	connect []byte
	topic   string
	qos     byte
	finish  bool // publish nothing new

	next   int          // the number of the next publication
	flight []*flying    // in order
	again  map[int]bool // numbers that were sent more than once
	sure   int          // publications before this one were acknowledged
	id     uint16
	online bool
	wrong  []string // what the server must not do
}

type flying struct {
	n        int
	id       uint16
	received bool // PUBREC came
}

func (w *writer) hello() []byte {
	w.online = false
	return w.connect
}

func (w *writer) packet(f *flying, dup bool) []byte {
	p := mqtt.Publish{Topic: []byte(w.topic), QoS: w.qos, Retain: w.qos == 1, Dup: dup, PacketID: f.id,
		Payload: fmt.Appendf(nil, "%d %s", f.n, strings.Repeat("x", f.n%200))}
	return p.Append(nil, mqtt.V311)
}

func (w *writer) heard(f mqtt.Frame, out []byte) ([]byte, bool) {
	var first, unreceived *flying
	if len(w.flight) > 0 {
		first = w.flight[0]
	}
	switch f.Type {
	case mqtt.CONNACK:
		w.online = true
		for _, p := range w.flight {
			if p.received {
				out = mqtt.AppendAck(out, mqtt.PUBREL, mqtt.V311, p.id, 0)
				continue
			}
			w.again[p.n] = true
			out = append(out, w.packet(p, true)...)
		}
	case mqtt.PUBREC:
		for _, p := range w.flight {
			if !p.received {
				unreceived = p
				break
			}
		}
		if unreceived == nil || unreceived.id != packetID(f) {
			w.wrong = append(w.wrong, fmt.Sprintf("%s: PUBREC %d is not the next", w.topic, packetID(f)))
			break
		}
		unreceived.received = true
		out = mqtt.AppendAck(out, mqtt.PUBREL, mqtt.V311, unreceived.id, 0)
	case mqtt.PUBACK, mqtt.PUBCOMP:
		if first == nil || first.id != packetID(f) || first.received != (w.qos == 2) {
			w.wrong = append(w.wrong, fmt.Sprintf("%s: %v %d is not the next", w.topic, f.Type, packetID(f)))
			break
		}
		w.flight = w.flight[1:]
		w.sure = first.n + 1
	}
	return out, false
}

func (w *writer) quiet(out []byte) ([]byte, bool) {
	for w.online && !w.finish && len(w.flight) < trafficWindow {
		w.id = max(w.id+1, 1)
		p := &flying{n: w.next, id: w.id}
		w.next++
		w.flight = append(w.flight, p)
		out = append(out, w.packet(p, false)...)
	}
	if w.online && w.finish && len(w.flight) == 0 {
		return append(out, 0xE0, 0), true
	}
	return out, false
}

type mode int

const (
	prompt mode = iota // acknowledges at once
	late               // keeps the last acknowledgements back
	away               // is not there
	last               // acknowledges at once, until it has everything
)

// lateBy is how many acknowledgements a late reader keeps back.
const lateBy = 40

// reader is an application with a persistent session.
type reader struct {
	name    string
	connect []byte
	qos     byte
	mode    mode
	wasAway bool
	tracks  map[string]*track // by topic

	got    map[uint16]bool // QoS 2 identifiers received and not released
	owed   []uint16        // acknowledgements kept back
	online bool
	wrong  []string
}

// track is what a reader has received of one writer.
type track struct {
	writer  *writer
	high    int          // the first number that is not known yet
	missing map[int]bool // numbers before it that did not come

	received, unordered int
	flagged             int   // came again with DUP
	bare                []int // came again without
	resent              int   // of those, sent again by the writer
}

func (r *reader) hello() []byte {
	r.owed, r.online = nil, false
	return r.connect
}

func (r *reader) heard(f mqtt.Frame, out []byte) ([]byte, bool) {
	switch f.Type {
	case mqtt.CONNACK:
		if r.online = true; !bytes.Equal(f.Raw, []byte{0x20, 2, 1, 0}) {
			r.wrong = append(r.wrong, fmt.Sprintf("%s: the session is gone: % X", r.name, f.Raw))
		}
	case mqtt.PUBREL:
		delete(r.got, packetID(f))
		out = mqtt.AppendAck(out, mqtt.PUBCOMP, mqtt.V311, packetID(f), 0)
	case mqtt.PUBLISH:
		var p mqtt.Publish
		if err := p.Decode(f, mqtt.V311, 0); err != nil {
			r.wrong = append(r.wrong, fmt.Sprintf("%s: %v", r.name, err))
			break
		}
		if r.qos == 1 || !r.got[p.PacketID] { // otherwise it is the delivery under way that goes on
			r.take(&p)
		}
		if r.qos == 2 {
			r.got[p.PacketID] = true
		}
		r.owed = append(r.owed, p.PacketID)
	}
	return out, false
}

func (r *reader) take(p *mqtt.Publish) {
	k := r.tracks[string(p.Topic)]
	number, _, _ := strings.Cut(string(p.Payload), " ")
	n, err := strconv.Atoi(number)
	if k == nil || err != nil || p.QoS != r.qos || p.Retain {
		r.wrong = append(r.wrong, fmt.Sprintf("%s received %q on %s, QoS %d, retain %v: never sent so", r.name, p.Payload, p.Topic, p.QoS, p.Retain))
		return
	}
	switch {
	case n >= k.high:
		for ; k.high < n; k.high++ {
			k.missing[k.high] = true
		}
		k.high++
		k.received++
	case k.missing[n]:
		delete(k.missing, n)
		k.received++
		k.unordered++
	case p.Dup && r.qos == 1:
		k.flagged++
	default:
		k.bare = append(k.bare, n)
	}
}

func (r *reader) quiet(out []byte) ([]byte, bool) {
	keep := 0
	if r.mode == late {
		keep = lateBy
	}
	kind := mqtt.PUBACK
	if r.qos == 2 {
		kind = mqtt.PUBREC
	}
	for len(r.owed) > keep {
		out = mqtt.AppendAck(out, kind, mqtt.V311, r.owed[0], 0)
		r.owed = r.owed[1:]
	}
	if r.mode != last || !r.online || len(r.got) > 0 {
		return out, false
	}
	for _, k := range r.tracks {
		if k.high < k.writer.next || len(k.missing) > 0 {
			return out, false
		}
	}
	return append(out, 0xE0, 0), true
}

func packetID(f mqtt.Frame) uint16 { return uint16(f.Body[0])<<8 | uint16(f.Body[1]) }

// wantRetained fails unless every QoS 1 topic holds the last message that was acknowledged, or a later one.
func (x *traffic) wantRetained(t *testing.T, h *home, u user) {
	t.Helper()
	c := h.dial()
	c.send(connectApp(u, "retained", true))
	c.want(connected)
	s := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: []byte("mail/1/+")}}}
	c.ask(s.Append(nil, mqtt.V311), []byte{0x90, 3, 0, 1, 0})
	left := map[string]*writer{}
	for _, w := range x.writers {
		if w.qos == 1 && w.sure > 0 {
			left[w.topic] = w
		}
	}
	for len(left) > 0 {
		p := c.publication()
		if w := left[string(p.Topic)]; w != nil {
			number, _, _ := strings.Cut(string(p.Payload), " ")
			if n, err := strconv.Atoi(number); err != nil || n < w.sure-1 || n >= w.next {
				t.Errorf("%s retains %.20q; %d was acknowledged", w.topic, p.Payload, w.sure-1)
			}
			delete(left, w.topic)
		}
	}
	_ = c.conn.Close()
}

// figures are what a run has shown.
type figures struct {
	deaths                int
	posts, messages       int // acknowledged
	received              int // deliveries, each message counted for each of its readers once
	lost, unordered       int
	flagged, resent, bare int // came again: with DUP, because the writer sent it again, for no reason
}

func (f figures) String() string {
	return fmt.Sprintf("%d deaths; acknowledged %d posts and %d messages, %d deliveries; lost %d, out of order %d; "+
		"duplicates with DUP %d, of what was sent again %d, others %d",
		f.deaths, f.posts, f.messages, f.received, f.lost, f.unordered, f.flagged, f.resent, f.bare)
}

// judge adds everything up and fails the test for what must not be. Between two lives of a server a message that
// has not come yet is not lost; at the end it is.
func (x *traffic) judge(t *testing.T, deaths int, end bool) figures {
	t.Helper()
	f := figures{deaths: deaths}
	for _, p := range x.posters {
		f.posts += p.acked
		f.lost += p.lost
	}
	for _, w := range x.writers {
		f.messages += w.sure
		for _, wrong := range w.wrong {
			t.Error(wrong)
		}
		w.wrong = nil
		if end && len(w.flight) > 0 {
			t.Errorf("%s: %d publications were not acknowledged in the end", w.topic, len(w.flight))
		}
	}
	for _, r := range x.readers {
		for _, wrong := range r.wrong {
			t.Error(wrong)
		}
		r.wrong = nil
		for topic, k := range r.tracks {
			left := k.bare[:0]
			for _, n := range k.bare {
				if r.qos == 1 && k.writer.again[n] {
					k.resent++
				} else {
					left = append(left, n)
				}
			}
			k.bare = left
			lost := len(k.missing)
			if end {
				lost += k.writer.next - k.high
			}
			if lost > 0 || k.unordered > 0 || len(k.bare) > 0 {
				t.Errorf("%s of %s: %d lost, %d out of order, %d came again for no reason (%v), of %d", r.name, topic, lost, k.unordered, len(k.bare), k.bare[:min(10, len(k.bare))], k.received)
			}
			f.received += k.received
			f.lost += lost
			f.unordered += k.unordered
			f.flagged += k.flagged
			f.resent += k.resent
			f.bare += len(k.bare)
		}
	}
	return f
}

// enough fails a run that shows nothing because too little happened in it.
func (f figures) enough(t *testing.T) {
	t.Helper()
	if f.posts < f.deaths*trafficDevices || f.messages < f.deaths*trafficWriters || f.received < f.messages {
		t.Error("too little was acknowledged for this test to mean anything")
	}
}
