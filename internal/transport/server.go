package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Server listens and owns the loops.
type Server struct {
	options   Options
	loops     []*Loop
	listeners []*listener

	limits   atomic.Pointer[Limits]
	ids      atomic.Uint64
	turn     atomic.Uint32 // where the search for the emptiest loop begins
	accepted atomic.Uint64
	total    atomic.Int64 // open sockets
	opening  atomic.Int64 // of these, not logged in
	open     [kinds]atomic.Int64
	awaiting atomic.Int64 // of these, waiting for us; see Server.ready
	refusing atomic.Bool  // no new connections; see Refuse
	gate     *gate
	refusals [Refusals]atomic.Uint64
	logLimit logLimit

	requests atomic.Int64 // HTTP requests being answered

	handshakes chan struct{} // one token for each handshake being computed

	closing  atomic.Bool
	empty    chan struct{} // closed when closing and no socket is left
	emptied  sync.Once
	stopOnce sync.Once
	running  sync.WaitGroup // loops
	helpers  sync.WaitGroup // handshakes; HTTP requests; readers and writers of the portable variant
}

// Listen opens the listeners and starts the loops. The error says which
// address could not be opened.
func Listen(o Options) (*Server, error) {
	o.setDefaults()
	if o.Handler == nil {
		return nil, errors.New("transport: Options.Handler is missing")
	}
	s := &Server{
		options:    o,
		handshakes: make(chan struct{}, o.HandshakeWorkers),
		empty:      make(chan struct{}),
		gate:       newGate(&o),
	}
	s.limits.Store(o.limits())
	if len(o.Listeners) > maxListeners {
		return nil, fmt.Errorf("transport: %d listeners; at most %d are possible", len(o.Listeners), maxListeners)
	}
	for i, a := range o.Listeners {
		ln, err := openListener(a, o.Portable)
		if err != nil {
			s.closeListeners()
			return nil, err
		}
		ln.Listener, ln.index = a, uint8(i)
		s.listeners = append(s.listeners, ln)
	}
	for i := range o.Loops {
		l := newLoop(s, i)
		d, err := newDriver(l, o.Portable)
		if err != nil {
			s.closeListeners()
			for _, l := range s.loops {
				l.driver.release()
			}
			return nil, err
		}
		l.driver = d
		_, l.lodges = d.(sharer)
		s.loops = append(s.loops, l)
	}
	if o.Prepare != nil {
		if err := o.Prepare(s.loops); err != nil {
			s.closeListeners()
			for _, l := range s.loops {
				l.driver.release()
			}
			return nil, err
		}
	}
	for _, l := range s.loops {
		s.running.Go(l.run)
	}
	for _, ln := range s.listeners {
		if err := ln.start(s); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// Addrs returns the addresses listened on, in the order of Options.Listeners.
func (s *Server) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(s.listeners))
	for i, ln := range s.listeners {
		addrs[i] = ln.addr
	}
	return addrs
}

// Loops returns the loops. The slice must not be modified.
func (s *Server) Loops() []*Loop { return s.loops }

// emptiest returns the loop with the fewest connections, beginning at another
// one each time.
func (s *Server) emptiest() *Loop {
	n := len(s.loops)
	first := int(s.turn.Add(1)) % n
	best := s.loops[first]
	least := best.count.Load()
	for i := 1; i < n && least > 0; i++ {
		l := s.loops[(first+i)%n]
		if count := l.count.Load(); count < least {
			best, least = l, count
		}
	}
	return best
}

// admit decides about a socket that was just accepted, and reports whether it
// is welcome. Any goroutine.
func (s *Server) admit(ln *listener, peer netip.AddrPort) bool {
	now := time.Now()
	s.accepted.Add(1)
	// Counted first: either Shutdown sees the socket and waits for it, or we
	// see that it has begun.
	total := s.total.Add(1)
	if s.closing.Load() {
		s.left()
		return false
	}
	if limit := s.limits.Load().MaxConnections; total > int64(limit) && limit > 0 {
		s.left()
		s.refused(nil, nil, RefusedFull, errFull)
		return false
	}
	if ln.proxied() && !ln.trusts(peer) {
		s.left()
		s.refused(nil, &Conn{remote: peer}, RefusedProxy, errStranger)
		return false
	}
	if s.refusing.Load() {
		s.left()
		s.refused(nil, nil, RefusedMemory, errMemory)
		return false
	}
	// What comes through a load balancer has its address; see unwrap.
	if !ln.proxied() && !s.gate.welcome(peer, now) {
		s.left()
		s.refused(nil, nil, RefusedRate, tooOften(peer))
		return false
	}
	return true
}

var errFull = errors.New("the server has as many connections as it is allowed; raise the limit of connections")

// welcome gives an admitted connection its loop.
func (s *Server) welcome(c *Conn, ln *listener) {
	c.door = ln.index
	if !ln.proxied() {
		c.phase = phaseSniff
	}
	l := s.emptiest()
	l.count.Add(1)
	c.loop = l
	c.id = s.ids.Add(1)
	c.slot = -1
	c.wheelSlot = -1
	c.limit = uint32(s.limits.Load().OpeningBytes)
	if c.peer != nil {
		c.peer.loop.Store(l)
	}
	l.Post(arrival{c})
}

// left counts a socket that is closed.
func (s *Server) left() {
	if s.total.Add(-1) == 0 && s.closing.Load() {
		s.emptied.Do(func() { close(s.empty) })
	}
}

func (s *Server) closeListeners() {
	for _, ln := range s.listeners {
		ln.close()
	}
}

// StopAccepting closes the listeners; connections stay. Any goroutine.
func (s *Server) StopAccepting() { s.closeListeners() }

// Shutdown stops accepting, closes all connections with ErrServerClosed as
// Conn.Close does, waits until they are gone or ctx is done, aborts the rest
// and stops the loops. It returns ctx's error if it had to abort any.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closing.Store(true)
	s.closeListeners()
	s.total.Add(1)
	s.left() // in case there are none
	s.postAll(farewellTask{})
	var err error
	select {
	case <-s.empty:
	case <-ctx.Done():
		err = ctx.Err()
		s.postAll(farewellTask{abort: true})
		<-s.empty
	}
	s.stopOnce.Do(func() { s.postAll(stopTask{}) })
	s.running.Wait()
	s.helpers.Wait()
	return err
}

// Close is Shutdown without waiting for the peers.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Shutdown(ctx)
	return nil
}

func (s *Server) postAll(t Task) {
	for _, l := range s.loops {
		l.Post(t)
	}
}

// farewellTask closes all connections of a loop.
type farewellTask struct{ abort bool }

// Run closes them.
func (t farewellTask) Run(l *Loop) {
	for _, c := range l.conns {
		if c != nil {
			// Who has not spoken yet has nothing to be told.
			l.end(c, ErrServerClosed, !t.abort && c.phase >= phaseOpen)
		}
	}
}

// stopTask ends a loop.
type stopTask struct{}

// Run ends the loop after this turn.
func (stopTask) Run(l *Loop) { l.stop = true }
