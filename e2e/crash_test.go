package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

const (
	crashes     = 10 // kills in a row on the same data
	crashDevice = 24 // devices that post
	crashReader = 4  // applications that are away
	crashWriter = 4  // applications that write to them
	crashWindow = 16 // publications of one client that are not acknowledged yet
)

// TestKill kills the server with signal 9 at random moments, ten times on the same data, while devices post
// properties and applications write to others that are away. Everything that was acknowledged is there
// afterwards: a post in the history, a message delivered at least once; and nothing is there that was not sent.
func TestKill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	cfg := defaults(t.TempDir())
	h := mustStartWith(t, cfg)
	h.addProduct(stc15.ProductKey, "../tsl/testdata/stc15.json")
	devices := make([]alink.Triple, crashDevice)
	for i := range devices {
		devices[i] = h.addDevice(alink.Triple{ProductKey: stc15.ProductKey, DeviceName: fmt.Sprintf("dev%02d", i), DeviceSecret: "secret"})
	}
	u := h.addUser("writer")
	for i := range crashReader {
		w := h.dial()
		w.send(connectApp(u, readerID(i), false))
		w.want(connected)
		s := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: []byte(readerTopic(i)), QoS: 1}}}
		w.ask(s.Append(nil, mqtt.V311), []byte{0x90, 3, 0, 1, 1})
		w.send([]byte{0xE0, 0})
		w.wantClosed()
	}
	h.stop()

	// Numbers go on over the crashes, so that every publication is unlike all others.
	loads := make([]*load, 0, crashDevice+crashWriter)
	for i := range devices {
		d := devices[i]
		loads = append(loads, &load{
			connect: connectOf(d.Login(alink.LoginOptions{Method: alink.HMACSHA256}), 300),
			topic:   alink.PropertyPostTopic(d.ProductKey, d.DeviceName),
			payload: func(n int) string {
				// The number is the time of the value as well: the history keeps one value a millisecond.
				return fmt.Sprintf(`{"id":"%d","params":{"Gas":{"value":%d,"time":%d}},"sys":{"ack":0}}`, n, n%10_000, crashTime(n))
			},
		})
	}
	for i := range crashWriter {
		loads = append(loads, &load{
			connect: connectApp(u, fmt.Sprintf("writer-%d", i), true),
			topic:   readerTopic(i % crashReader),
			payload: func(n int) string { return fmt.Sprintf("%d %d", i, n) },
		})
	}

	for range crashes {
		p := serve(t, cfg.Data)
		var running sync.WaitGroup
		for _, l := range loads {
			running.Go(func() { l.run(p.address) })
		}
		time.Sleep(50*time.Millisecond + time.Duration(random.Int64N(int64(600*time.Millisecond))))
		p.kill()
		running.Wait()
	}

	h = mustStartWith(t, cfg)
	acknowledged, sent := 0, 0
	for i, d := range devices {
		l := loads[i]
		acknowledged, sent = acknowledged+len(l.acknowledged), sent+l.sent
		wantHistory(t, h, d, l)
	}
	for i := range crashReader {
		wantMail(t, h, u, i, loads[crashDevice:])
	}
	mail := 0
	for _, l := range loads[crashDevice:] {
		mail += len(l.acknowledged)
	}
	t.Logf("%d posts of %d were acknowledged, and %d messages", acknowledged, sent, mail)
	if acknowledged < crashes*crashDevice || mail < crashes*crashWriter {
		t.Error("too little was acknowledged for this test to mean anything")
	}
}

// crashTime is the time, in Unix milliseconds, of the n-th value: within the last day, so that it is kept.
func crashTime(n int) int64 { return crashStart + int64(n) }

var crashStart = time.Now().Add(-24 * time.Hour).UnixMilli()

func readerID(i int) string    { return fmt.Sprintf("reader-%d", i) }
func readerTopic(i int) string { return fmt.Sprintf("mail/%d", i) }

// connectApp is the CONNECT packet of an application.
func connectApp(u user, clientID string, clean bool) []byte {
	p := mqtt.Connect{
		Version: mqtt.V311, CleanStart: clean, KeepAlive: 300, ClientID: []byte(clientID),
		HasUsername: true, Username: []byte(u.name), HasPassword: true, Password: []byte(u.password),
	}
	return p.Append(nil)
}

// load publishes with QoS 1 as fast as its window allows, until the server is gone. It counts on in the next run.
type load struct {
	connect      []byte
	topic        string
	payload      func(n int) string
	sent         int   // publications 0 to sent-1 were sent, or at least begun
	acknowledged []int // by PUBACK
}

func (l *load) run(address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(l.connect); err != nil {
		return
	}
	waiting := map[uint16]int{}
	id := uint16(0)
	var in, out []byte
	for buf := make([]byte, 16<<10); ; {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		in = append(in, buf[:n]...)
		ready := false
		for {
			f, n, err := mqtt.Split(in, 0)
			if err != nil || n == 0 {
				break
			}
			in = in[n:]
			ready = true
			if f.Type == mqtt.PUBACK {
				id := uint16(f.Body[0])<<8 | uint16(f.Body[1])
				l.acknowledged = append(l.acknowledged, waiting[id])
				delete(waiting, id)
			}
		}
		out = out[:0]
		for ready && len(waiting) < crashWindow {
			id = max(id+1, 1)
			waiting[id] = l.sent
			out = append(out, publish(l.topic, l.payload(l.sent), id)...)
			l.sent++
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// wantHistory compares what is stored of a device with what it posted.
func wantHistory(t *testing.T, h *home, d alink.Triple, l *load) {
	t.Helper()
	stored := map[int64]string{}
	const page = 1000
	for from := crashStart; ; {
		values, err := h.Platform.PropertyHistory(t.Context(), d.ProductKey, d.DeviceName, "Gas",
			platform.HistoryQuery{From: from, To: crashTime(l.sent + page), Limit: page})
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
	for _, n := range l.acknowledged {
		if stored[crashTime(n)] != fmt.Sprint(n%10_000) {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%s: %d of %d acknowledged posts are not in the history", d.DeviceName, lost, len(l.acknowledged))
	}
	for at, v := range stored {
		if n := int(at - crashStart); n < 0 || n >= l.sent || v != fmt.Sprint(n%10_000) {
			t.Errorf("%s: the history has %s at %d, which was never sent", d.DeviceName, v, at)
		}
	}
}

// wantMail lets a reader come back and compares what it gets with what was written to it.
func wantMail(t *testing.T, h *home, u user, reader int, writers []*load) {
	t.Helper()
	w := h.dial()
	w.send(connectApp(u, readerID(reader), false))
	w.want([]byte{0x20, 2, 1, 0})
	missing := map[string]bool{}
	sent := map[string]bool{}
	for _, l := range writers {
		if l.topic != readerTopic(reader) {
			continue
		}
		for _, n := range l.acknowledged {
			missing[l.payload(n)] = true
		}
		for n := range l.sent {
			sent[l.payload(n)] = true
		}
	}
	if err := h.Platform.Publish(t.Context(), who, readerTopic(reader), []byte("end"), 1, false); err != nil {
		t.Fatal(err)
	}
	for {
		p := w.publication()
		w.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, p.PacketID, 0))
		if string(p.Payload) == "end" {
			break
		}
		if !sent[string(p.Payload)] {
			t.Errorf("%s received %q, which was never sent", readerID(reader), p.Payload)
		}
		delete(missing, string(p.Payload))
	}
	if len(missing) > 0 {
		t.Errorf("%s did not get %d acknowledged messages", readerID(reader), len(missing))
	}
}
