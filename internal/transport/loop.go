package transport

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/linkstead/linkstead/internal/meter"
)

// Loop runs the connections that belong to it, in turns; see the package
// documentation. Its methods belong to the loop, except Index and Post.
type Loop struct {
	// Local is the handler's, for state of its own in each loop.
	Local any

	index   int
	server  *Server
	handler Handler
	driver  driver
	logger  *slog.Logger

	start   time.Time
	now     time.Time
	nowNano int64

	inbox  inbox
	timers timerHeap
	wheel  wheel
	spare  []*buffers // of connections that need none now
	pool   pool

	conns  []*Conn // by slot
	free   []int32 // slots that are free
	recent []*Conn // not logged in when accepted, oldest first

	ready     []*Conn // to be served in this turn
	readySwap []*Conn
	touched   []*Conn // to be written at the end of this turn
	ending    []ending
	departing []departure
	flood     flood

	buf    []byte // what was read from a socket, after headroom
	plain  []byte // what was decrypted, after headroom; made for the first TLS connection
	frame  []byte // WebSocket frames on their way into TLS
	trimAt int64  // loop time of the next pool trim
	stop   bool

	load   load
	lodges bool          // it may be a guest; see lodging.go
	guests []*Loop       // that lodge here
	called bool          // a guest, whose driver has something
	home   chan struct{} // ends being a guest
	gone   chan struct{} // closed when the loop has ended

	count                 atomic.Int64 // connections assigned to this loop
	bytesRead, bytesWrote atomic.Uint64
	turns                 *meter.Histogram // how long turns took, ns
}

// ending is a connection of which Handler.Closed has to be told.
type ending struct {
	c     *Conn
	cause error
}

// departure is a connection on its way to another loop.
type departure struct {
	c  *Conn
	to *Loop
}

const (
	// headroom in front of read buffers lets kept bytes be put before new
	// ones without moving those.
	headroom = 16 << 10
	// readSize is the most that one read takes, and so the most that a turn
	// spends on one connection before the others have theirs. A read that took
	// as much comes from a connection that floods, see flood.go.
	readSize = 32 << 10
	// plainSize is the most that is decrypted before the handler sees it.
	plainSize = 64 << 10
	// turnBytes is what a turn reads before it answers what it has.
	turnBytes = 4 << 20
	// trimEvery is how often unused buffers are let go of.
	trimEvery = 10 * time.Second
)

func newLoop(s *Server, index int) *Loop {
	l := &Loop{
		index:   index,
		server:  s,
		handler: s.options.Handler,
		logger:  s.options.Logger,
		start:   time.Now(),
		buf:     make([]byte, headroom+readSize),
		turns:   meter.NewHistogram(meter.Durations),
		home:    make(chan struct{}, 1),
		gone:    make(chan struct{}),
	}
	l.tick()
	l.wheel.at = l.nowNano / int64(wheelTick)
	return l
}

// Index returns the loop's place in Server.Loops. Any goroutine.
func (l *Loop) Index() int { return l.index }

// Now returns the time at which the turn began.
func (l *Loop) Now() time.Time { return l.now }

// NowNano returns the time at which the turn began, in nanoseconds since 1970
// as the clock had it when the loop was started, plus the time since then:
// differences are right even if somebody sets the clock.
func (l *Loop) NowNano() int64 { return l.nowNano }

// Post has t run on the loop, in the next turn. Tasks of one poster run in the
// order in which they were posted. Any goroutine.
func (l *Loop) Post(t Task) {
	if l.inbox.put(t) {
		l.driver.wake()
	}
}

// PostAll is Post for several tasks at the price of one. They run in this order; the list
// may be used again.
func (l *Loop) PostAll(list []Task) {
	if len(list) > 0 && l.inbox.put(list...) {
		l.driver.wake()
	}
}

// After has t run once, d from the beginning of this turn or up to about a
// millisecond later. Loop only.
func (l *Loop) After(d time.Duration, t Task) *Timer {
	timer := &Timer{loop: l, task: t, index: -1}
	timer.Reset(d)
	return timer
}

func (l *Loop) tick() {
	l.now = time.Now()
	l.nowNano = l.start.UnixNano() + int64(l.now.Sub(l.start))
}

// run is the loop.
func (l *Loop) run() {
	defer l.driver.release()
	defer close(l.gone)
	for !l.stop || len(l.ending) > 0 {
		if len(l.guests) > 0 {
			l.share()
			continue
		}
		l.driver.wait(l, l.patience())
		l.tick()
		l.turn()
		took := time.Since(l.now)
		l.turns.Observe(int64(took))
		l.rest(took)
	}
}

// turn does what is to be done after waiting.
func (l *Loop) turn() {
	l.runTasks()
	l.runTimers()
	l.serveReady()
	l.tellEnded()
	l.endTurn()
	l.flush()
	l.depart()
}

// patience returns how long the loop may wait; negative: without end.
func (l *Loop) patience() time.Duration {
	if len(l.ready) > 0 || len(l.ending) > 0 || len(l.touched) > 0 {
		return 0
	}
	at := int64(0)
	if tick := l.wheel.next(); tick >= 0 {
		at = tick * int64(wheelTick)
	}
	if len(l.timers) > 0 && (at == 0 || l.timers[0].at < at) {
		at = l.timers[0].at
	}
	if l.pool.held > 0 && (at == 0 || l.trimAt < at) {
		at = l.trimAt
	}
	if at == 0 {
		return -1
	}
	return time.Duration(max(0, at-l.nowNano))
}

func (l *Loop) runTasks() {
	tasks := l.inbox.take()
	if tasks == nil {
		return
	}
	for _, t := range tasks {
		l.runTask(t)
	}
	l.inbox.done(tasks)
}

func (l *Loop) runTask(t Task) {
	defer l.guard(nil, "a task")
	t.Run(l)
}

func (l *Loop) runTimers() {
	for len(l.timers) > 0 && l.timers[0].at <= l.nowNano {
		t := l.timers[0]
		l.timers.remove(0)
		l.runTask(t.task)
	}
	l.wheel.advance(l.nowNano, l.due)
	if l.nowNano >= l.trimAt {
		l.pool.trim()
		l.trimAt = l.nowNano + int64(trimEvery)
	}
}

// arm puts c into the wheel, if it is not there in time already.
func (l *Loop) arm(c *Conn) {
	l.wheel.remove(c)
	if at := c.deadline(); at > 0 && c.phase < phaseClosed {
		l.wheel.add(c, at)
	}
}

// due looks at a connection that the wheel brought up.
func (l *Loop) due(c *Conn) {
	at := c.deadline()
	switch {
	case at == 0 || c.phase == phaseClosed:
	case at > l.nowNano:
		l.wheel.add(c, at)
	case c.phase == phaseLinger:
		l.drop(c)
	case c.until != 0 && c.until <= l.nowNano:
		cause := &OpeningError{Stage: c.phase.waitsFor(), After: l.server.limits.Load().OpeningTimeout}
		l.server.refused(l, c, RefusedOpeningTimeout, cause)
		l.end(c, cause, c.phase == phaseOpen)
	case c.flags&(flagPaused|flagHeld) != 0 && c.flags&flagReadable != 0:
		// It is not the peer that is silent, it is us who do not listen.
		c.last = l.nowNano
		l.wheel.add(c, c.deadline())
	default:
		l.idle(c)
		c.Close(ErrIdle)
	}
}

func (l *Loop) idle(c *Conn) {
	defer l.guard(c, "Idle")
	l.handler.Idle(c)
}

// enqueue has c served in this turn or the next.
func (l *Loop) enqueue(c *Conn) {
	if c.flags&(flagReady|flagMoving) == 0 && c.phase != phaseClosed {
		c.flags |= flagReady
		l.ready = append(l.ready, c)
	}
}

// serveReady serves each ready connection once. When a lot has been read, the
// rest waits for the next turn, so that answers do not.
func (l *Loop) serveReady() {
	if len(l.ready) == 0 {
		return
	}
	ready := l.ready
	l.ready = l.readySwap[:0]
	spent := 0
	for i, c := range ready {
		if spent > turnBytes {
			l.ready = append(l.ready, ready[i:]...)
			break
		}
		c.flags &^= flagReady
		spent += l.serve(c)
	}
	clear(ready)
	l.readySwap = ready[:0]
}

// serve does what became possible for c and returns how many bytes were read.
func (l *Loop) serve(c *Conn) int {
	if c.phase == phaseClosed {
		return 0
	}
	if c.flags&flagWritable != 0 {
		c.flags &^= flagWritable
		if c.flags&flagBlocked != 0 {
			c.flags &^= flagBlocked
			l.write(c)
		}
	}
	if c.flags&(flagPaused|flagMoving|flagHeld) != 0 {
		return 0
	}
	if c.flags&flagRepresent != 0 {
		c.flags &^= flagRepresent
		l.represent(c)
		if c.flags&(flagPaused|flagMoving) != 0 {
			return 0
		}
	}
	if c.flags&flagReadable == 0 || c.phase == phaseClosed {
		return 0
	}
	return l.driver.read(c)
}

// receive takes what was read: buf[start:end], with headroom before start.
func (l *Loop) receive(c *Conn, buf []byte, start, end int) {
	if c.phase >= phaseLinger {
		return // what arrives after Close is read and forgotten
	}
	l.bytesRead.Store(l.bytesRead.Load() + uint64(end-start))
	c.last = l.nowNano
	if c.phase == phaseOpen && c.layer == nil {
		l.deliver(c, buf, start, end)
		return
	}
	l.classify(c, buf, start, end)
}

// ended takes the end of the stream, or the error of a read.
func (l *Loop) ended(c *Conn, err error) {
	switch {
	case c.phase == phaseLinger && (err != io.EOF || c.flags&flagHalfClosed != 0):
		l.drop(c)
	case c.phase == phaseHandshake:
		// What it said before, such as why it refuses, is still being read.
		c.flags |= flagEOF
		c.layer.pipe.handshake.finish(err)
	case err == io.EOF:
		// The peer may still be reading: it gets what was appended.
		c.flags |= flagEOF
		c.Close(io.EOF)
	default:
		c.Abort(err)
	}
}

// deliver presents kept bytes and the new ones, buf[start:end], to the handler.
// The bytes before start may be overwritten.
func (l *Loop) deliver(c *Conn, buf []byte, start, end int) {
	if c.flags&(flagEnding) != 0 || start == end {
		return
	}
	if c.flags&(flagPaused|flagMoving) != 0 {
		l.keep(c, buf[start:end])
		return
	}
	kept := len(c.kept())
	if kept > start {
		l.keep(c, buf[start:end])
		l.represent(c)
		return
	}
	copy(buf[start-kept:], c.kept())
	b := buf[start-kept : end]
	n := l.received(c, b)
	if c.flags&flagEnding != 0 {
		return
	}
	l.rekeep(c, b[n:])
	l.check(c, n)
}

// represent presents the kept bytes alone.
func (l *Loop) represent(c *Conn) {
	in := c.kept()
	if len(in) == 0 || c.phase != phaseOpen {
		return
	}
	n := l.received(c, in)
	if c.flags&flagEnding != 0 {
		return
	}
	if n > 0 {
		rest := in[n:]
		if len(rest) == 0 || cap(in) > 4*len(rest) {
			c.bufs.in = nil
			l.keep(c, rest)
			l.pool.put(in)
		} else {
			c.bufs.in = in[:copy(in, rest)]
		}
	}
	l.check(c, n)
}

// keep appends b to the kept bytes. With nothing to keep there is no buffer.
func (l *Loop) keep(c *Conn, b []byte) {
	if len(b) == 0 {
		if len(c.kept()) == 0 {
			l.dropKept(c)
		}
		return
	}
	o := c.own()
	if need := len(o.in) + len(b); need > cap(o.in) {
		old := o.in
		class := ceilClass(need)
		if need > poolSmallest<<class {
			o.in = make([]byte, 0, need+need/2)
		} else {
			o.in = l.pool.get(class)
		}
		o.in = append(o.in, old...)
		l.pool.put(old)
	}
	o.in = append(o.in, b...)
}

// rekeep has b kept instead of what was.
func (l *Loop) rekeep(c *Conn, b []byte) {
	if c.bufs != nil {
		c.bufs.in = c.bufs.in[:0]
	}
	l.keep(c, b)
}

// check closes a connection that fills its input without a complete packet.
func (l *Loop) check(c *Conn, consumed int) {
	if have := len(c.kept()); consumed == 0 && have >= int(c.limit) && c.flags&(flagPaused|flagMoving) == 0 {
		cause := &LimitError{Limit: int(c.limit), Have: have}
		if c.flags&flagEstablished == 0 {
			l.server.refused(l, c, RefusedOpeningBytes, cause)
		}
		c.Close(cause)
	}
}

// received calls the handler.
func (l *Loop) received(c *Conn, b []byte) (n int) {
	defer l.guard(c, "Received")
	n = l.handler.Received(c, b)
	if n < 0 || n > len(b) {
		panic(fmt.Sprintf("Received consumed %d of %d bytes", n, len(b)))
	}
	return n
}

// opened makes c the handler's.
func (l *Loop) opened(c *Conn) {
	c.phase = phaseOpen
	c.flags |= flagOpened
	l.server.open[c.kind].Add(1)
	defer l.guard(c, "Opened")
	l.handler.Opened(c)
}

// guard ends the connection, if there is one, in which a panic happened.
func (l *Loop) guard(c *Conn, where string) {
	v := recover()
	if v == nil {
		return
	}
	stack := string(debug.Stack())
	if c == nil {
		l.logger.Error("internal error; the server goes on", "in", where, "error", v, "stack", stack)
		return
	}
	l.logger.Error("internal error; the connection is closed, the server goes on", "in", where, "remote", c.remote, "error", v, "stack", stack)
	c.Abort(&PanicError{Value: v, Stack: stack})
}

// end is Close (gently) and Abort.
func (l *Loop) end(c *Conn, cause error, gently bool) {
	if c.flags&flagEnding != 0 {
		if !gently && c.phase == phaseLinger {
			l.drop(c)
		}
		return
	}
	if gently && c.layer != nil {
		c.layer.farewell(c, cause)
	}
	if c.flags&(flagPaused|flagEstablished) == flagPaused {
		l.server.await(-1)
	}
	c.flags |= flagEnding
	c.flags &^= flagPaused
	if c.flags&flagEstablished == 0 {
		l.server.opening.Add(-1)
	}
	l.ending = append(l.ending, ending{c, cause})
	if !gently {
		l.drop(c)
		return
	}
	c.phase = phaseLinger
	c.until = l.nowNano + int64(l.server.options.Linger)
	l.arm(c)
	c.touch()
	l.driver.resumed(c) // to see the end of the stream
	l.enqueue(c)
}

// drop closes the descriptor. The buffers may be in use further up the stack;
// they go when the handler has been told.
func (l *Loop) drop(c *Conn) {
	if c.phase == phaseClosed {
		return
	}
	l.wheel.remove(c)
	l.driver.close(c)
	c.phase = phaseClosed
	l.conns[c.slot] = nil
	if l.flood.last == c {
		l.flood.last = nil
	}
	l.free = append(l.free, c.slot)
	l.count.Add(-1)
	if c.layer != nil {
		c.layer.abandon()
	}
	if c.flags&flagTold != 0 {
		l.scrap(c)
	}
	l.server.left()
}

// scrap gives the buffers back.
func (l *Loop) scrap(c *Conn) {
	l.dropKept(c)
	l.dropPending(c)
	if c.layer != nil {
		l.pool.put(c.layer.wire)
		c.layer.wire, c.layer.sent = nil, 0
	}
}

// tellEnded tells the handler which connections ended. It may end more.
func (l *Loop) tellEnded() {
	for i := 0; i < len(l.ending); i++ {
		e := l.ending[i]
		l.ending[i] = ending{}
		c := e.c
		if c.flags&flagOpened != 0 {
			l.server.open[c.kind].Add(-1)
			l.tellClosed(c, e.cause)
		} else {
			l.logger.Debug("connection ended before MQTT began", "remote", c.remote, "cause", e.cause)
		}
		c.Attachment = nil
		c.flags |= flagTold
		l.dropKept(c)
		if c.phase == phaseClosed {
			l.scrap(c)
		}
	}
	l.ending = l.ending[:0]
}

func (l *Loop) tellClosed(c *Conn, cause error) {
	defer l.guard(nil, "Closed")
	l.handler.Closed(c, cause)
}

func (l *Loop) endTurn() {
	defer l.guard(nil, "EndTurn")
	l.handler.EndTurn(l)
}

// flush writes the connections that were touched.
func (l *Loop) flush() {
	for i := 0; i < len(l.touched); i++ {
		c := l.touched[i]
		l.touched[i] = nil
		c.flags &^= flagTouched
		if c.phase == phaseClosed {
			continue
		}
		l.write(c)
		if c.flags&flagBlocked != 0 && c.Buffered() > 0 {
			c.flags |= flagBacklog
		}
	}
	l.touched = l.touched[:0]
}

// write gives the pending output to the kernel, once.
func (l *Loop) write(c *Conn) {
	if c.layer != nil {
		l.writeLayer(c)
	} else if b := c.bufs; b != nil && len(b.out) > b.sent && c.flags&flagBlocked == 0 {
		n, err := l.driver.write(c, b.out[b.sent:])
		l.wrote(c, n)
		b.sent += n
		if err != nil {
			if err != errAgain {
				b.sent = len(b.out)
				c.flags &^= flagBlocked
				l.broken(c, err)
				return
			}
			c.flags |= flagBlocked
			b.out, b.sent = compact(b.out, b.sent)
			return
		}
	}
	if c.flags&flagBlocked != 0 || c.phase == phaseClosed {
		return
	}
	l.recycle(c)
	if c.phase == phaseLinger {
		l.linger(c)
		return
	}
	if c.flags&flagBacklog != 0 {
		c.flags &^= flagBacklog
		l.writable(c)
	}
}

// compact drops the written beginning of b once it is the larger part, so that
// a backlog that never empties does not grow for ever.
func compact(b []byte, sent int) ([]byte, int) {
	if sent <= len(b)/2 {
		return b, sent
	}
	return b[:copy(b, b[sent:])], 0
}

func (l *Loop) wrote(c *Conn, n int) {
	l.bytesWrote.Store(l.bytesWrote.Load() + uint64(n))
}

// recycle gives the output buffer back once everything is written, and
// remembers which class it needed.
func (l *Loop) recycle(c *Conn) {
	out := c.pending()
	if out == nil {
		return
	}
	need := ceilClass(len(out))
	if need < c.outClass {
		need = c.outClass - 1 // one small turn does not make a small connection
	}
	c.outClass = need
	l.dropPending(c)
}

func (l *Loop) writable(c *Conn) {
	if c.phase != phaseOpen {
		return
	}
	defer l.guard(c, "Writable")
	l.handler.Writable(c)
}

// broken ends a connection whose writing failed. What the peer sent before it
// went is still read: it may be a DISCONNECT.
func (l *Loop) broken(c *Conn, err error) {
	switch {
	case c.phase == phaseLinger:
		l.drop(c)
	case c.phase == phaseOpen && peerGone(err) && c.flags&(flagPaused|flagMoving) == 0:
		c.flags |= flagReadable | flagHangup
		l.enqueue(c)
	default:
		c.Abort(err)
	}
}

// peerGone reports whether a write failed because the peer has closed; reading
// then comes to an end, too.
func peerGone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// linger goes on with a closed connection whose output is written.
func (l *Loop) linger(c *Conn) {
	if c.flags&flagEOF != 0 {
		l.drop(c)
		return
	}
	if c.flags&flagHalfClosed == 0 {
		c.flags |= flagHalfClosed
		l.driver.halfClose(c)
	}
}

// depart sends the connections on their way that MoveTo was called for.
func (l *Loop) depart() {
	for i, d := range l.departing {
		l.departing[i] = departure{}
		c := d.c
		c.flags &^= flagMoving
		if c.phase != phaseOpen || c.flags&flagEnding != 0 {
			l.enqueue(c) // it was not to be read while it moved; its end is to be seen
			continue
		}
		if c.flags&flagReady != 0 {
			l.unready(c)
		}
		l.forget(c)
		l.wheel.remove(c)
		l.driver.detach(c, d.to)
		l.conns[c.slot] = nil
		l.free = append(l.free, c.slot)
		l.count.Add(-1)
		d.to.count.Add(1)
		c.loop = d.to
		d.to.Post(arrival{c})
	}
	l.departing = l.departing[:0]
}

func (l *Loop) unready(c *Conn) {
	c.flags &^= flagReady
	for i, other := range l.ready {
		if other == c {
			l.ready = append(l.ready[:i], l.ready[i+1:]...)
			return
		}
	}
}

// arrival is a connection that comes to a loop, new or from another one.
type arrival struct{ c *Conn }

// Run takes the connection in.
func (a arrival) Run(l *Loop) {
	c := a.c
	moved := c.flags&flagOpened != 0
	if n := len(l.free); n > 0 {
		c.slot = l.free[n-1]
		l.free = l.free[:n-1]
		l.conns[c.slot] = c
	} else {
		c.slot = int32(len(l.conns))
		l.conns = append(l.conns, c)
	}
	if !moved {
		c.last = l.nowNano
		c.until = l.nowNano + int64(l.server.limits.Load().OpeningTimeout)
		l.server.opening.Add(1)
	}
	c.flags &^= flagReadable | flagWritable | flagBlocked
	if err := l.driver.attach(c); err != nil {
		c.Abort(fmt.Errorf("connection cannot be watched: %w", err))
		return
	}
	if l.server.closing.Load() {
		l.end(c, ErrServerClosed, c.phase >= phaseOpen)
		return
	}
	if c.flags&flagReadable != 0 {
		l.enqueue(c)
	}
	if c.flags&flagEstablished == 0 {
		l.admit(c)
	}
	l.arm(c)
	if c.Buffered() > 0 {
		c.touch()
	}
	if len(c.kept()) > 0 {
		c.flags |= flagRepresent
		l.enqueue(c)
	}
}

// admit notes a connection that has not logged in. With too many of those, the
// oldest one that keeps us waiting goes; if none does, this one.
func (l *Loop) admit(c *Conn) {
	for len(l.recent) > 0 && (l.recent[0] == nil || l.recent[0].flags&(flagEstablished|flagEnding) != 0) {
		l.recent[0] = nil
		l.recent = l.recent[1:]
	}
	l.recent = append(l.recent, c)
	if l.server.opening.Load() <= int64(l.server.limits.Load().MaxOpening) {
		return
	}
	for _, oldest := range l.recent {
		if oldest == nil || oldest.flags&(flagEstablished|flagEnding) != 0 || oldest.waitsForUs() && oldest != c {
			continue
		}
		l.server.refused(l, oldest, RefusedEvicted, ErrEvicted)
		oldest.Abort(ErrEvicted)
		return
	}
}

// forget takes a connection that moves away out of those that admit noted: it
// must not be looked at any more from here.
func (l *Loop) forget(c *Conn) {
	for i := len(l.recent) - 1; i >= 0; i-- { // who moves has mostly just come
		if l.recent[i] == c {
			l.recent[i] = nil
			return
		}
	}
}
