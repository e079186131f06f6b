package coap

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
	"github.com/pion/transport/v4/packetio"
)

// secureDoor takes DTLS sessions on one UDP socket, told apart by the client's
// address and port. What they may cost is bounded: sessions of all and of one
// address, those in the handshake, time, and what waits in each.
type secureDoor struct {
	s      *Server
	socket *net.UDPConn

	mu          sync.Mutex
	peers       map[netip.AddrPort]*peer
	of          map[netip.Addr]int // sessions by address
	handshaking []*peer            // oldest first, ended ones among them
	running     sync.WaitGroup
}

const (
	// maxHandshakes is how many sessions may be in the handshake; the oldest gives way
	// to a new one.
	maxHandshakes = 256
	handshakeTime = 15 * time.Second
	// maxRecord is the largest packet of a session, in bytes.
	maxRecord = 4096
	// peerWaiting is how many bytes of packets wait for a session.
	peerWaiting = 16 << 10
	// stale is how long a session has to be silent until a new handshake of the same
	// address and port, which anybody can pretend, takes its place.
	stale = 30 * time.Second
)

func newSecureDoor(s *Server, socket *net.UDPConn) *secureDoor {
	return &secureDoor{s: s, socket: socket, peers: make(map[netip.AddrPort]*peer), of: make(map[netip.Addr]int)}
}

// peer is one session, as the packet connection that pion reads.
type peer struct {
	door   *secureDoor
	remote netip.AddrPort
	in     *packetio.Buffer
	conn   atomic.Pointer[dtls.Conn]
	done   atomic.Bool  // the handshake is
	last   atomic.Int64 // when it was last heard, ns
	end    sync.Once
	cancel context.CancelFunc // of the handshake
}

// accept takes packets from the socket to their sessions.
func (d *secureDoor) accept() {
	var buf [maxRecord]byte
	for {
		n, from, err := d.socket.ReadFromUDPAddrPort(buf[:])
		if d.s.closing.Load() || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond) // an error that stays costs no processor
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		d.s.counts.received.Add(1)
		if !d.s.allowed(from.Addr()) {
			continue
		}
		if p := d.peer(from, isHello(buf[:n])); p != nil {
			_, _ = p.in.Write(buf[:n]) // full: lost, as packets are
		}
	}
}

// isHello reports whether a packet begins a handshake: a handshake record of epoch 0
// with a ClientHello (RFC 6347 section 4.1, 4.2.2).
func isHello(b []byte) bool {
	return len(b) >= 25 && b[0] == 22 && b[1] == 0xfe && b[3] == 0 && b[4] == 0 && b[13] == 1
}

// peer finds the session of an address, or begins one.
func (d *secureDoor) peer(from netip.AddrPort, hello bool) *peer {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.peers[from]
	if p != nil && !(hello && p.done.Load() && time.Since(time.Unix(0, p.last.Load())) > stale) {
		return p
	}
	if p != nil {
		d.remove(p)
		go p.close()
	}
	if !hello {
		d.s.counts.malformed.Add(1)
		return nil
	}
	most := d.s.options.Sessions
	if len(d.peers) >= most || d.of[from.Addr()] >= max(1, most/10) && !d.s.options.Exempt(from.Addr()) {
		d.s.counts.refused.Add(1)
		return nil
	}
	d.evict()
	p = &peer{door: d, remote: from, in: newBuffer()}
	p.last.Store(time.Now().UnixNano())
	var ctx context.Context
	ctx, p.cancel = context.WithTimeout(d.s.ctx, handshakeTime)
	d.peers[from] = p
	d.of[from.Addr()]++
	d.handshaking = append(d.handshaking, p)
	d.running.Go(func() { p.run(ctx) })
	return p
}

func newBuffer() *packetio.Buffer {
	b := packetio.NewBuffer()
	b.SetLimitSize(peerWaiting)
	return b
}

// evict makes room for one more handshake. The caller holds mu.
func (d *secureDoor) evict() {
	n := 0
	for _, p := range d.handshaking {
		if !p.done.Load() && d.peers[p.remote] == p {
			d.handshaking[n] = p
			n++
		}
	}
	clear(d.handshaking[n:])
	d.handshaking = d.handshaking[:n]
	if n < maxHandshakes {
		return
	}
	oldest := d.handshaking[0]
	d.handshaking = append(d.handshaking[:0], d.handshaking[1:]...)
	d.remove(oldest)
	d.s.counts.refused.Add(1)
	go oldest.close()
}

// remove forgets a session. The caller holds mu.
func (d *secureDoor) remove(p *peer) {
	if d.peers[p.remote] != p {
		return
	}
	delete(d.peers, p.remote)
	if d.of[p.remote.Addr()]--; d.of[p.remote.Addr()] <= 0 {
		delete(d.of, p.remote.Addr())
	}
}

func (d *secureDoor) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.peers)
}

func (d *secureDoor) each(f func(*peer)) {
	d.mu.Lock()
	all := make([]*peer, 0, len(d.peers))
	for _, p := range d.peers {
		all = append(all, p)
	}
	d.mu.Unlock()
	for _, p := range all {
		f(p)
	}
}

// stop ends the sessions, each when it has answered what it has begun to answer. No
// packet is taken any more when it is called.
func (d *secureDoor) stop() {
	past := time.Unix(1, 0)
	d.each(func(p *peer) {
		if c := p.conn.Load(); c != nil && p.done.Load() {
			_ = c.SetReadDeadline(past)
		} else {
			p.cancel()
		}
	})
	d.running.Wait()
}

func (d *secureDoor) abort() { d.each(func(p *peer) { p.close() }) }
func (d *secureDoor) close() { _ = d.socket.Close() }

// run shakes hands and answers the requests of the session, one after the other.
func (p *peer) run(ctx context.Context) {
	s := p.door.s
	defer p.close()
	defer p.cancel()
	identity := ""
	opts := []dtls.ServerOption{
		dtls.WithCipherSuites(suites...),
		dtls.WithCustomCipherSuites(ownSuites),
		dtls.WithExtendedMasterSecret(dtls.RequestExtendedMasterSecret),
		dtls.WithLoggerFactory(&logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}),
		dtls.WithPSK(func(hint []byte) ([]byte, error) {
			identity = string(hint)
			return s.options.Handler.PSK(identity)
		}),
	}
	if s.options.Certificate != nil {
		opts = append(opts, dtls.WithGetCertificate(func(*dtls.ClientHelloInfo) (*tls.Certificate, error) { return s.options.Certificate() }))
	}
	conn, err := dtls.ServerWithOptions(p, net.UDPAddrFromAddrPort(p.remote), opts...)
	if err == nil {
		p.conn.Store(conn)
		err = conn.HandshakeContext(ctx)
	}
	if identity != "" && !s.closing.Load() {
		s.options.Handler.PSKEnded(identity, p.remote.String(), err)
	}
	if err != nil {
		s.options.Logger.Debug("a DTLS handshake failed", "remote", p.remote, "error", err)
		return
	}
	p.done.Store(true)
	var buf [maxRecord]byte
	for {
		_ = conn.SetReadDeadline(time.Now().Add(s.options.Idle))
		if s.closing.Load() { // after the deadline, which stop sets too
			return
		}
		n, err := conn.Read(buf[:])
		if err != nil {
			return
		}
		p.last.Store(time.Now().UnixNano())
		if out := s.serve(buf[:n], p.remote, Request{Remote: p.remote, Secure: true, Identity: identity}); out != nil {
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
	}
}

// close ends the session, with a word to the client if there is one to say.
func (p *peer) close() {
	p.end.Do(func() {
		p.cancel()
		if c := p.conn.Load(); c != nil {
			_ = c.Close() // says close_notify, through WriteTo
		}
		_ = p.in.Close()
		p.door.mu.Lock()
		defer p.door.mu.Unlock()
		p.door.remove(p)
	})
}

// ReadFrom gives pion the session's next packet.
func (p *peer) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.in.Read(b)
	return n, net.UDPAddrFromAddrPort(p.remote), err
}

// WriteTo sends a packet to the client, whatever address pion names.
func (p *peer) WriteTo(b []byte, _ net.Addr) (int, error) {
	return p.door.socket.WriteToUDPAddrPort(b, p.remote)
}

// Close is pion's; the session ends with peer.close.
func (p *peer) Close() error { return p.in.Close() }

// LocalAddr is the socket's.
func (p *peer) LocalAddr() net.Addr { return p.door.socket.LocalAddr() }

// SetDeadline sets that of ReadFrom: a packet is written at once or not.
func (p *peer) SetDeadline(t time.Time) error { return p.in.SetReadDeadline(t) }

// SetReadDeadline sets that of ReadFrom.
func (p *peer) SetReadDeadline(t time.Time) error { return p.in.SetReadDeadline(t) }

// SetWriteDeadline does nothing.
func (p *peer) SetWriteDeadline(time.Time) error { return nil }

var _ net.PacketConn = (*peer)(nil)
