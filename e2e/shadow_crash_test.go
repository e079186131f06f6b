package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

const (
	shadowDevices = 6
	shadowKills   = 6
)

// TestKillShadows kills the server with signal 9 while devices report to their shadows and an application desires
// things of them. What was acknowledged is in the shadow afterwards, its version never goes back, and no version
// stands for two contents.
func TestKillShadows(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	cfg := defaults(t.TempDir())
	unhurried(&cfg)
	h := mustStartWith(t, cfg)
	h.addProduct(stc15.ProductKey, "../tsl/testdata/stc15.json")
	var all []*shadower
	for i := range shadowDevices {
		d := h.addDevice(alink.Triple{ProductKey: stc15.ProductKey, DeviceName: fmt.Sprintf("dev%02d", i), DeviceSecret: "secret"})
		all = append(all, &shadower{device: d, connect: connectOf(d.Login(alink.LoginOptions{Method: alink.HMACSHA256}), 300), book: newBook(), counts: i%2 == 0})
	}
	for again := rounds(shadowKills, *killFor); again(); {
		h.stop()
		p := serve(t, cfg.Data, unhurriedSettings...)
		events := newCountdown(20 + random.Int64N(200))
		var running sync.WaitGroup
		for _, s := range all {
			s.event = events.count
			running.Go(func() { converse(p.address, new(gate), s) })
			running.Go(func() { s.desire(p) })
		}
		events.wait()
		p.kill()
		running.Wait()
		h = mustStartWith(t, cfg)
		for _, s := range all {
			got, err := h.Platform.DeviceShadow(t.Context(), s.device.ProductKey, s.device.DeviceName)
			if err != nil {
				t.Fatal(err)
			}
			s.book.saw(got.Version, got.State)
			s.book.mu.Lock()
			for _, w := range s.book.wrong {
				t.Errorf("%s: %s", s.device.DeviceName, w)
			}
			s.book.mu.Unlock()
		}
		if t.Failed() {
			return
		}
	}
	reports, desires, deltas, conflicts := 0, 0, 0, 0
	for _, s := range all {
		reports, desires, deltas, conflicts = reports+s.book.reports, desires+s.book.desires, deltas+s.deltas, conflicts+s.conflicts
	}
	t.Logf("acknowledged: %d reports, %d desires; %d deltas, %d conflicts", reports, desires, deltas, conflicts)
	if reports < shadowDevices || desires < shadowDevices || deltas < shadowDevices {
		t.Error("too little was acknowledged for this test to mean anything")
	}
}

// book is what everybody who uses one shadow has learned of it.
type book struct {
	mu       sync.Mutex
	contents map[int64]string // of each version that was seen, as JSON
	reportAt map[int64]int    // the report that was acknowledged as a version
	newest   int64            // that was acknowledged or seen
	report   int              // the last report that was acknowledged; reports only grow
	desired  int              // the last desire that was acknowledged; so do they
	reports  int
	desires  int
	wrong    []string
}

func newBook() *book { return &book{contents: map[int64]string{}, reportAt: map[int64]int{}} }

// shadowState is what is kept in the shadow: two numbers that only grow.
type shadowState struct {
	Reported struct{ N int } `json:"reported"`
	Desired  struct{ M int } `json:"desired"`
}

// saw takes a whole shadow that was read now, so that everything acknowledged before has to be in it.
func (b *book) saw(version int64, state json.RawMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if version < b.newest {
		b.wrong = append(b.wrong, fmt.Sprintf("the version was %d and is %d", b.newest, version))
	}
	b.entry(version, state)
	var s shadowState
	if err := json.Unmarshal(state, &s); err != nil || s.Reported.N < b.report || s.Desired.M < b.desired {
		b.wrong = append(b.wrong, fmt.Sprintf("version %d is %s; report %d and desire %d were acknowledged", version, state, b.report, b.desired))
	}
}

// entry notes what a version stands for. The caller holds mu.
func (b *book) entry(version int64, state json.RawMessage) {
	if had, ok := b.contents[version]; ok && had != string(state) {
		b.wrong = append(b.wrong, fmt.Sprintf("version %d is %s and %s", version, had, state))
	}
	b.contents[version] = string(state)
	var s shadowState
	if n, ok := b.reportAt[version]; ok && (json.Unmarshal(state, &s) != nil || s.Reported.N != n) {
		b.wrong = append(b.wrong, fmt.Sprintf("version %d is %s; it was acknowledged for report %d", version, state, n))
	}
	b.newest = max(b.newest, version)
}

// shadower is a device that reports to its shadow, and an application that desires things of it.
type shadower struct {
	device  alink.Triple
	connect []byte
	counts  bool // its reports name the version they are to be; otherwise the server counts
	event   func()
	book    *book

	n, m      int   // the last that was sent
	version   int64 // as the device knows it
	asked     []int // what is asked and not answered: 0 for get, otherwise the report
	deltas    int
	conflicts int
}

func (s *shadower) hello() []byte {
	s.asked = nil
	return s.connect
}

func (s *shadower) ask(out []byte) []byte {
	topic := "/shadow/update/" + s.device.ProductKey + "/" + s.device.DeviceName
	if len(s.asked) > 0 {
		return out
	}
	if s.version < 0 { // not known
		s.asked = append(s.asked, 0)
		return append(out, publish(topic, `{"method":"get"}`, 0)...)
	}
	s.n++
	s.asked = append(s.asked, s.n)
	version := ""
	if s.counts {
		version = fmt.Sprintf(`,"version":%d`, s.version+1)
	}
	return append(out, publish(topic, fmt.Sprintf(`{"method":"update","state":{"reported":{"n":%d}}%s}`, s.n, version), 0)...)
}

func (s *shadower) heard(f mqtt.Frame, out []byte) ([]byte, bool) {
	if f.Type == mqtt.CONNACK {
		s.version = -1
		return s.ask(out), false
	}
	var p mqtt.Publish
	var m struct {
		Method  string
		Version int64
		Payload struct {
			Status  string
			State   json.RawMessage
			Version int64
			Content struct{ ErrorCode string }
		}
	}
	if f.Type != mqtt.PUBLISH || p.Decode(f, mqtt.V311, 0) != nil {
		return out, false
	}
	b := s.book
	if err := json.Unmarshal(p.Payload, &m); err != nil {
		b.mu.Lock()
		b.wrong = append(b.wrong, fmt.Sprintf("%s: %v", p.Payload, err))
		b.mu.Unlock()
		return out, false
	}
	if m.Method == "control" { // it may be older than what has been acknowledged meanwhile
		b.mu.Lock()
		b.entry(m.Version, m.Payload.State)
		b.mu.Unlock()
		s.deltas++
		s.event()
		return out, false
	}
	if len(s.asked) == 0 {
		b.mu.Lock()
		b.wrong = append(b.wrong, fmt.Sprintf("%s answers nothing", p.Payload))
		b.mu.Unlock()
		return out, false
	}
	n := s.asked[0]
	s.asked = s.asked[1:]
	switch code := m.Payload.Content.ErrorCode; {
	case code == "407" && b.known() == 0: // nobody has written yet
		s.version = 0
	case code == "409" && n != 0:
		s.conflicts++
		s.version = -1
	case m.Payload.Status != "success":
		b.mu.Lock()
		b.wrong = append(b.wrong, fmt.Sprintf("answered %s", p.Payload))
		b.mu.Unlock()
		return out, true
	case n == 0:
		s.version = m.Version
		b.readBack(m.Version, m.Payload.State)
	default:
		s.version = m.Payload.Version
		b.acknowledgeReport(s.version, n)
	}
	s.event()
	return s.ask(out), false
}

// known is the newest version that somebody has seen.
func (b *book) known() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest
}

// readBack takes the answer to a get. The application may have gone on meanwhile.
func (b *book) readBack(version int64, state json.RawMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entry(version, state)
	var s shadowState
	if err := json.Unmarshal(state, &s); err != nil || s.Reported.N < b.report {
		b.wrong = append(b.wrong, fmt.Sprintf("version %d is %s; report %d was acknowledged", version, state, b.report))
	}
}

func (s *shadower) quiet(out []byte) ([]byte, bool) { return out, false }

// desire is the application, until the server is gone.
func (s *shadower) desire(p *process) {
	c, err := client.Find(client.Options{Data: p.dir})
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		s.m++
		got, err := c.DesireShadow(ctx, s.device.ProductKey, s.device.DeviceName, admin.ShadowRequest{Desired: json.RawMessage(fmt.Sprintf(`{"m":%d}`, s.m))})
		if err != nil {
			return
		}
		s.book.acknowledgeDesire(got, s.m)
		s.event()
	}
}

func (b *book) acknowledgeReport(version int64, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if had, ok := b.reportAt[version]; ok {
		b.wrong = append(b.wrong, fmt.Sprintf("version %d was acknowledged for report %d and for %d", version, had, n))
	}
	b.reportAt[version] = n
	if state, ok := b.contents[version]; ok { // its delta was quicker
		b.entry(version, json.RawMessage(state))
	}
	b.newest = max(b.newest, version)
	b.report = max(b.report, n)
	b.reports++
}

func (b *book) acknowledgeDesire(got platform.Shadow, m int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entry(got.Version, got.State)
	b.desired = max(b.desired, m)
	b.desires++
}
