package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// patience is how long a test waits for what must happen. It bounds failing
// tests only: nothing waits for it to pass.
const patience = 30 * time.Second

// settings are what a test wants different from the defaults below.
type settings struct {
	loops       int
	portable    bool
	sharing     Sharing
	failed      int           // Options.FailedLogins
	sessions    int           // Options.SessionsPerOwner
	retained    int           // Options.MaxRetained
	sweep       time.Duration // a round of the sweep; an hour if 0
	log         io.Writer
	device      func(*Profile)
	application func(*Profile)
}

// server is a whole broker over real sockets and a real queue.
type server struct {
	t         testing.TB
	settings  settings
	dir       string
	broker    *Broker
	transport *transport.Server
	log       *queue.Log
	gate      *gate
	authority *authority
	handler   *handler
	recorder  *recorder
	addr      string
	stopped   bool
}

func mustStart(t testing.TB, o settings) *server {
	t.Helper()
	if o.loops == 0 {
		o.loops = 2
	}
	s := &server{t: t, settings: o, dir: t.TempDir(), recorder: &recorder{}}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *server) start() {
	s.t.Helper()
	if s.settings.log == nil {
		s.settings.log = io.Discard
	}
	logger := slog.New(slog.NewTextHandler(s.settings.log, nil))
	log, err := queue.Open(queue.Options{Dir: s.dir, Durability: queue.WriteToOS, MinFreeBytes: -1, Logger: logger})
	if err != nil {
		s.t.Fatal(err)
	}
	device, application := DeviceProfile(), ApplicationProfile()
	device.Settle, device.Pace = 0, 0
	device.TopicAliases, application.TopicAliases = 0, 0
	if s.settings.device != nil {
		s.settings.device(&device)
	}
	if s.settings.application != nil {
		s.settings.application(&application)
	}
	s.log = log
	s.authority = &authority{device: &device, application: &application, answer: make(chan struct{})}
	s.handler = newHandler()
	s.broker, err = New(Options{
		Sharing: s.settings.sharing, Authority: s.authority, Handler: s.handler, Log: log, Recorder: s.recorder, Logger: logger,
		FailedLogins: s.settings.failed, SessionsPerOwner: s.settings.sessions, MaxRetained: s.settings.retained,
		Profiles: func(d bool) *Profile {
			if d {
				return &device
			}
			return &application
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.broker.sweepEvery = s.settings.sweep; s.settings.sweep == 0 {
		s.broker.sweepEvery = time.Hour // it does not come by whenever the machine is slow
	}
	s.gate = &gate{storage: log}
	s.broker.log = s.gate
	s.transport, err = transport.Listen(transport.Options{
		Handler: s.broker, Loops: s.settings.loops, Portable: s.settings.portable, Prepare: s.broker.Start,
		Listeners: []transport.Listener{{Network: "tcp", Address: "127.0.0.1:0"}}, Logger: logger,
		Linger: 200 * time.Millisecond,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = s.transport.Addrs()[0].String()
	s.stopped = false
}

func (s *server) stop() {
	if s.stopped {
		return
	}
	s.stopped = true
	s.gate.open()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.broker.Drain(ctx); err != nil {
		s.t.Errorf("Drain: %v", err)
	}
	s.transport.Close()
	s.broker.Close()
	if err := s.log.Close(); err != nil {
		s.t.Errorf("closing the queue: %v", err)
	}
}

// crash goes on with what a kill at this moment would have left in the folder.
func (s *server) crash() {
	s.t.Helper()
	left := s.t.TempDir()
	files, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(s.dir, f.Name()))
		if err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(left, f.Name()), b, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	s.stop()
	s.dir = left
	s.start()
}

// onLoop runs f on a loop and waits for it.
func (s *server) onLoop(i int, f func(l *loop)) {
	done := make(chan struct{})
	l := s.broker.loops[i]
	l.t.Post(task{func() { f(l); close(done) }})
	<-done
}

// synced waits until everything that loops have submitted so far is on disk.
func (s *server) synced() {
	for i := range s.broker.loops {
		done := make(chan error, 1)
		s.onLoop(i, func(l *loop) { l.after(func(err error) { done <- err }) })
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
}

// authority decides by user name: app and other are applications, dev a device,
// slow an application that is let in when allow is called; all else is refused.
type authority struct {
	device, application *Profile

	answer chan struct{}
	once   sync.Once

	mu      sync.Mutex
	unsure  bool   // the next question for rights has no answer
	revoked string // topic prefix that nobody may receive or publish any more
}

func (a *authority) allow() { a.once.Do(func() { close(a.answer) }) }

func (a *authority) revoke(prefix string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoked = prefix
}

func (a *authority) Login(r *LoginRequest, done func(*Admission, *Refusal)) {
	id := r.ClientID
	ad := &Admission{Owner: r.Username, Profile: a.application, Key: "a:" + id, Principal: r.Username, Rights: rights{a, ""}}
	if id == "" {
		ad.ClientID = AssignClientID()
		ad.Key = "a:" + ad.ClientID
	}
	switch r.Username {
	case "app", "other":
		done(ad, nil)
	case "slow":
		go func() {
			<-a.answer
			done(ad, nil)
		}()
	case "dev":
		ad.Key, ad.Profile, ad.Rights = "d:"+id, a.device, rights{a, id}
		done(ad, nil)
	case "banned":
		done(nil, &Refusal{Code: mqtt.NotAuthorized, Cause: "banned", Identity: id})
	case "nameless": // its client identifier is not accepted
		done(nil, &Refusal{Code: mqtt.ClientIdentifierNotValid, Cause: "another identifier, please", Identity: id})
	case "undecided":
		done(nil, nil)
	default:
		done(nil, &Refusal{Code: mqtt.BadUserNameOrPassword, Cause: "unknown user", Identity: id})
	}
}

// Converse offers the method RIDDLE: whoever answers "42" is in, "later" as well
// but after a while, "other" as another user; "trust me" needs no riddle.
func (a *authority) Converse(method string, r *LoginRequest) Conversation {
	if method != "RIDDLE" {
		return nil
	}
	return &riddle{a: a, r: r}
}

type riddle struct {
	a *authority
	r *LoginRequest
}

func (q *riddle) Next(data []byte, done func(AuthStep)) {
	ad := &Admission{Owner: q.r.Username, Profile: q.a.application, Key: "a:" + q.r.ClientID, Rights: rights{q.a, ""}}
	admitted := func(data string) { done(AuthStep{Data: []byte(data), Admission: ad}) }
	switch string(data) {
	case "trust me":
		done(AuthStep{Admission: ad})
	case "42":
		admitted("well done")
	case "other":
		ad.Owner = "other"
		admitted("as you say")
	case "later":
		go func() {
			<-q.a.answer
			admitted("at last")
		}()
	case "again", "":
		done(AuthStep{Data: []byte("what is it")})
	case "again later":
		go func() {
			<-q.a.answer
			done(AuthStep{Data: []byte("what is it now")})
		}()
	default:
		done(AuthStep{Refusal: &Refusal{Code: mqtt.NotAuthorized, Cause: "wrong answer", Identity: q.r.ClientID}})
	}
}

func (a *authority) Rights(owner string, found func(Rights, error)) {
	a.mu.Lock()
	unsure := a.unsure
	a.unsure = false
	a.mu.Unlock()
	if unsure {
		found(nil, errors.New("the database is away"))
		return
	}
	found(rights{a, ""}, nil)
}

// Implicit: /sys/{device}/down/… goes to the device.
func (a *authority) Implicit(topic string) string {
	rest, ok := strings.CutPrefix(topic, "/sys/")
	if !ok {
		return ""
	}
	device, rest, _ := strings.Cut(rest, "/")
	if !strings.HasPrefix(rest, "down") {
		return ""
	}
	return "d:" + device
}

// rights: deny/… is forbidden; a device's /sys/{device}/up/… is a system topic.
type rights struct {
	a      *authority
	device string
}

func (r rights) forbidden(topic string) bool {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	return strings.HasPrefix(topic, "deny/") || r.a.revoked != "" && strings.HasPrefix(topic, r.a.revoked)
}

func (r rights) Publish(topic string) Decision {
	switch {
	case r.forbidden(topic):
		return Deny
	case r.device != "" && strings.HasPrefix(topic, "/sys/"+r.device+"/"):
		return System
	}
	return Route
}

func (r rights) Subscribe(filter string) bool { return !r.forbidden(filter) }
func (r rights) Receive(topic string) bool    { return !r.forbidden(topic) }

// handler records what it is told. A topic's last level says what it does with
// a publication: fail refuses it, later ends it from another goroutine, ask
// replies to it.
type handler struct {
	mu      sync.Mutex
	changed *sync.Cond
	handled []string
	joined  []string
	left    map[string]string // cause by remote address
	later   chan struct{}
	once    sync.Once
}

func newHandler() *handler {
	h := &handler{left: make(map[string]string), later: make(chan struct{})}
	h.changed = sync.NewCond(&h.mu)
	return h
}

func (h *handler) finishLater() { h.once.Do(func() { close(h.later) }) }

func (h *handler) Handle(x *Exchange) {
	h.mu.Lock()
	line := x.Key + " " + x.Topic
	if x.Query != "" {
		line += "?" + x.Query
	}
	h.handled = append(h.handled, line+" "+string(x.Payload))
	h.changed.Broadcast()
	h.mu.Unlock()
	switch {
	case strings.HasSuffix(x.Topic, "/fail"):
		x.Done(errors.New("no"))
	case strings.HasSuffix(x.Topic, "/later"):
		go func() {
			<-h.later
			x.Done(nil)
		}()
	case strings.HasSuffix(x.Topic, "/asklater"):
		x.Reply([]byte(strings.Replace(x.Topic, "/up/", "/down/", 1)+"_reply"), []byte("late"))
		go func() {
			<-h.later
			x.Done(nil)
		}()
	case strings.HasSuffix(x.Topic, "/ask"):
		x.Reply([]byte(strings.Replace(x.Topic, "/up/", "/down/", 1)+"_reply"), append([]byte("re:"), x.Payload...))
		x.Done(nil)
	default:
		x.Done(nil)
	}
}

func (h *handler) Connected(c Connection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.joined = append(h.joined, c.Key)
	h.changed.Broadcast()
}

func (h *handler) Disconnected(c Connection, cause string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left[c.Remote.String()] = cause
	h.changed.Broadcast()
}

// awaitLeft waits until the connection from addr has been reported as gone, and
// returns why.
func (h *handler) awaitLeft(addr string) (cause string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.left[addr] == "" {
		h.changed.Wait()
	}
	return h.left[addr]
}

// recorder keeps the drops by reason.
type recorder struct {
	mu    sync.Mutex
	drops []Drop
}

func (r *recorder) Dropped(d Drop) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drops = append(r.drops, d)
}

// take gives the drops since the last call.
func (r *recorder) take() []Drop {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.drops
	r.drops = nil
	return d
}

// gate stands between the broker and the queue: it holds submissions back, or
// fails them as a broken disk would.
type gate struct {
	storage
	mu      sync.Mutex
	holding bool
	failing error
	held    []func()
}

func (g *gate) Submit(b *queue.Batch, done queue.Done) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.failing != nil:
		err := g.failing
		go done.Committed(err)
	case g.holding:
		g.held = append(g.held, func() { g.storage.Submit(b, done) })
	default:
		g.storage.Submit(b, done)
	}
}

func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holding = true
}

func (g *gate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failing = err
}

// open lets everything through again, what was held first.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holding, g.failing = false, nil
	for _, submit := range g.held {
		submit()
	}
	g.held = nil
}

// peer is the client's end of one connection.
type peer struct {
	s       *server
	name    string
	conn    net.Conn
	version mqtt.Version
	buf     []byte
	pending []byte // to be sent with the next packet
	sentAt  time.Time
	// patience is how long the next packet may take.
	patience time.Duration
	plain    string // local address as the server sees it
}

func (s *server) dial(name string) *peer {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return &peer{s: s, name: name, conn: c, version: mqtt.V311, plain: c.LocalAddr().String(), patience: patience}
}

func (p *peer) send(b []byte) {
	p.s.t.Helper()
	if err := p.write(b); err != nil {
		p.s.t.Fatal(err)
	}
}

func (p *peer) write(b []byte) error {
	p.sentAt = time.Now()
	p.conn.SetWriteDeadline(p.sentAt.Add(p.patience))
	if _, err := p.conn.Write(append(p.pending, b...)); err != nil {
		return fmt.Errorf("%s: sending: %w", p.name, err)
	}
	p.pending = nil
	return nil
}

// next reads one packet.
func (p *peer) next() (mqtt.Frame, error) {
	p.conn.SetReadDeadline(time.Now().Add(p.patience))
	for {
		f, n, err := mqtt.Split(p.buf, 0)
		if err != nil {
			return f, err
		}
		if n > 0 {
			p.buf = p.buf[n:]
			return f, nil
		}
		chunk := make([]byte, 64<<10)
		k, err := p.conn.Read(chunk)
		if k == 0 && err != nil {
			return f, err
		}
		p.buf = append(p.buf[:len(p.buf):len(p.buf)], chunk[:k]...)
	}
}

// kill breaks the connection without a word and waits until the server knows.
func (p *peer) kill() {
	if tcp, ok := p.conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	p.conn.Close()
	p.s.handler.awaitLeft(p.plain)
	for i := range p.s.broker.loops { // what follows from it has been done, too
		p.s.onLoop(i, func(*loop) {})
	}
}
