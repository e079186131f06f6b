package coap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"

	"github.com/linkstead/linkstead/internal/rate"
)

// Options are what a Server is made of. Handler and one of the addresses are
// required.
type Options struct {
	Handler Handler
	Logger  *slog.Logger
	// Listen is the UDP address for plain CoAP, TLSListen that for DTLS; "" for none.
	Listen, TLSListen string
	// Certificate is what DTLS clients are shown that have no pre-shared key; nil if
	// every one needs a key.
	Certificate func() (*tls.Certificate, error)
	// Rate is how many packets a second one address may send on average, and twice as
	// many at once; 0 is any number. Exempt addresses may send any number.
	Rate   int
	Exempt func(netip.Addr) bool
	// Sessions is the most DTLS sessions, handshakes included; 0 is 10000. An address
	// has at most a tenth of them, unless it is exempt.
	Sessions int
	// Idle is how long a DTLS session may be silent; 0 is ten minutes.
	Idle time.Duration
}

const (
	workers = 64  // requests that are answered at the same time
	waiting = 512 // and that wait for it, from all addresses together
)

// Stats counts packets since the start.
type Stats struct {
	Received  uint64 // packets, of both kinds
	Malformed uint64 // not CoAP, or not readable
	Limited   uint64 // beyond what one address may send
	Overflow  uint64 // beyond what can wait
	Repeated  uint64 // answered as the first of them was
	Answered  uint64 // with 2.xx
	Failed    uint64 // answered with 4.xx or 5.xx
	Sessions  int64  // DTLS, now
	Refused   uint64 // DTLS sessions that were one too many
}

type counters struct {
	received, malformed, limited, overflow, repeated, answered, failed, refused atomic.Uint64
}

// Server answers CoAP requests on UDP and DTLS.
type Server struct {
	options Options
	plain   *net.UDPConn
	secure  *secureDoor
	jobs    chan job
	answers answers
	limits  *rate.Table[netip.Addr] // nil: any rate
	nextID  atomic.Uint32
	counts  counters
	closing atomic.Bool
	ctx     context.Context // of requests
	cancel  context.CancelFunc
	readers sync.WaitGroup
	workers sync.WaitGroup
}

// job is a packet that waits for a worker.
type job struct {
	from netip.AddrPort
	buf  *[maxPacket]byte
	n    int
}

var buffers = sync.Pool{New: func() any { return new([maxPacket]byte) }}

// Listen opens the sockets and answers what comes.
func Listen(o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Exempt == nil {
		o.Exempt = func(netip.Addr) bool { return false }
	}
	if o.Sessions <= 0 {
		o.Sessions = 10_000
	}
	if o.Idle <= 0 {
		o.Idle = 10 * time.Minute
	}
	s := &Server{options: o, jobs: make(chan job, waiting)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.answers.init()
	if o.Rate > 0 {
		s.limits = rate.NewTable[netip.Addr](1<<14, float64(o.Rate), 2*float64(o.Rate))
	}
	if o.Listen != "" {
		c, err := listenUDP(o.Listen)
		if err != nil {
			return nil, fmt.Errorf("CoAP cannot listen on %s: %w; choose another address in coap.listen", o.Listen, err)
		}
		s.plain = c
	}
	if o.TLSListen != "" {
		c, err := listenUDP(o.TLSListen)
		if err != nil {
			if s.plain != nil {
				_ = s.plain.Close()
			}
			return nil, fmt.Errorf("CoAP over DTLS cannot listen on %s: %w; choose another address in coap.tls_listen", o.TLSListen, err)
		}
		s.secure = newSecureDoor(s, c)
	}
	for range workers {
		s.workers.Go(s.work)
	}
	if s.plain != nil {
		s.readers.Go(s.read)
	}
	if s.secure != nil {
		s.readers.Go(s.secure.accept)
	}
	return s, nil
}

func listenUDP(address string) (*net.UDPConn, error) {
	a, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	return net.ListenUDP("udp", a)
}

// Address is where plain CoAP is answered, "" if it is not; TLSAddress the same of
// DTLS.
func (s *Server) Address() string {
	if s.plain == nil {
		return ""
	}
	return s.plain.LocalAddr().String()
}

// TLSAddress is where CoAP over DTLS is answered, "" if it is not.
func (s *Server) TLSAddress() string {
	if s.secure == nil {
		return ""
	}
	return s.secure.socket.LocalAddr().String()
}

// Stats may be called from any goroutine.
func (s *Server) Stats() Stats {
	c := &s.counts
	st := Stats{
		Received: c.received.Load(), Malformed: c.malformed.Load(), Limited: c.limited.Load(), Overflow: c.overflow.Load(),
		Repeated: c.repeated.Load(), Answered: c.answered.Load(), Failed: c.failed.Load(), Refused: c.refused.Load(),
	}
	if s.secure != nil {
		st.Sessions = int64(s.secure.count())
	}
	return st
}

// Shutdown stops reading, lets what has been read be answered until ctx ends, and
// closes the sockets. The error is that of the context if something was cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	if !s.closing.CompareAndSwap(false, true) {
		return nil
	}
	past := time.Unix(1, 0)
	if s.plain != nil {
		_ = s.plain.SetReadDeadline(past) // wakes the reader
	}
	if s.secure != nil {
		_ = s.secure.socket.SetReadDeadline(past)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.readers.Wait() // from here on no session begins
		close(s.jobs)
		if s.secure != nil {
			s.secure.stop()
		}
		s.workers.Wait()
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		s.cancel()
		if s.secure != nil {
			s.secure.abort()
		}
		<-done
	}
	s.cancel()
	if s.plain != nil {
		_ = s.plain.Close()
	}
	if s.secure != nil {
		s.secure.close()
	}
	return err
}

// allowed reports whether an address may send one more packet.
func (s *Server) allowed(a netip.Addr) bool {
	if s.limits == nil || s.options.Exempt(a) {
		return true
	}
	ok, _ := s.limits.Take(a, time.Now().UnixNano())
	if !ok {
		s.counts.limited.Add(1)
	}
	return ok
}

// read takes packets from the plain socket. What cannot wait is lost, as packets
// are: the client sends again.
func (s *Server) read() {
	buf := buffers.Get().(*[maxPacket]byte)
	defer func() { buffers.Put(buf) }()
	for {
		n, from, err := s.plain.ReadFromUDPAddrPort(buf[:])
		if s.closing.Load() || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // of an earlier answer, perhaps, to an address that is gone
			time.Sleep(time.Millisecond) // an error that stays costs no processor
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		s.counts.received.Add(1)
		if !s.allowed(from.Addr()) {
			continue
		}
		select {
		case s.jobs <- job{from, buf, n}:
			buf = buffers.Get().(*[maxPacket]byte)
		default:
			s.counts.overflow.Add(1)
		}
	}
}

func (s *Server) work() {
	for j := range s.jobs {
		if out := s.serve(j.buf[:j.n], j.from, Request{Remote: j.from}); out != nil {
			_, _ = s.plain.WriteToUDPAddrPort(out, j.from)
		}
		buffers.Put(j.buf)
	}
}

// serve answers one packet: what is to be sent, or nil. known is what the socket
// knows of the request.
func (s *Server) serve(b []byte, from netip.AddrPort, known Request) (out []byte) {
	var p packet
	switch err := p.parse(b); {
	case errors.Is(err, errNoCoAP):
		s.counts.malformed.Add(1)
		return nil
	case err != nil && len(b) < maxPacket:
		s.counts.malformed.Add(1)
		if p.kind == message.Confirmable {
			return p.reset()
		}
		return nil
	case p.kind == message.Acknowledgement || p.kind == message.Reset:
		return nil // we ask nobody anything
	case p.code == 0 || p.code >= 1<<5: // a ping, or an answer to nobody (RFC 7252 section 4.3)
		if p.kind == message.Confirmable {
			return p.reset()
		}
		return nil
	}
	key := s.answers.key(from, b)
	kept, first := s.answers.begin(key)
	if !first {
		s.counts.repeated.Add(1)
		return kept // nil while the first is being answered
	}
	var a Response
	defer func() {
		if v := recover(); v != nil {
			s.options.Logger.Error("internal error; the request is answered 5.00, the server goes on", "in", "CoAP", "remote", from, "error", v, "stack", string(debug.Stack()))
			a = Response{Code: ServerError}
			out = p.answer(nil, a, s.id())
		}
		if a.Code >= BadRequest {
			s.counts.failed.Add(1)
		} else {
			s.counts.answered.Add(1)
		}
		if !a.Known {
			s.answers.end(key, nil)
			return
		}
		s.answers.end(key, out)
	}()
	if len(b) >= maxPacket {
		a = Response{Code: TooLarge}
	} else if code := p.request(&known); code != 0 {
		a = Response{Code: code}
	} else {
		a = s.options.Handler.ServeCoAP(s.ctx, &known)
	}
	return p.answer(nil, a, s.id())
}

// id is the message id of a packet that the server sends by itself.
func (s *Server) id() uint16 { return uint16(s.nextID.Add(1)) }
