package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// Options is what a broker is made of.
type Options struct {
	Authority Authority
	// Handler answers system topics; nil if the authority has none.
	Handler Handler
	// Log keeps sessions, queued and retained messages.
	Log *queue.Log
	// Recorder learns of dropped messages; may be nil.
	Recorder Recorder
	// Tracer keeps what becomes of devices' messages; nil if nobody does.
	Tracer Tracer
	// SysInterval is how often the topics below $SYS are published; 0 is never.
	// Version is what they call this server.
	SysInterval time.Duration
	Version     string
	Logger      *slog.Logger
	// Sharing is how messages of shared subscriptions are spread.
	Sharing Sharing
	// OpeningPacket is the largest packet accepted before login, in bytes; 0
	// means 16 KiB.
	OpeningPacket int
	// FailedLogins is how many logins of one user name from one address may fail in
	// a minute before further ones are held off; 0 is any number.
	FailedLogins int
	// MaxRetained is how many retained messages are kept; 0 is any number.
	MaxRetained int
	// SessionsPerOwner is how many sessions an application's user may have; 0 is any
	// number.
	SessionsPerOwner int
	// Profiles finds the profile of a session that was stored, before its client
	// has come back: device or application.
	Profiles func(device bool) *Profile
}

// Broker is the MQTT server. Make one with New, hand it to a transport as its
// Handler, then call Start with the transport's loops before the first connection.
type Broker struct {
	options   Options
	authority Authority
	handler   Handler
	log       storage
	logger    *slog.Logger
	unknown   atomic.Pointer[Profile] // of connections that have not logged in

	loops       []*loop
	index       *topics.Index[*Session]
	retained    *topics.Retained[*retained]
	retainedID  queue.RetainedID // the last one given, under the lock of retained
	sessions    *registry
	readers     *readers
	left        []*Session // ended before the start, with messages that others may get
	owners      owners
	backoff     *backoff    // nil: logins are not held off
	tight       atomic.Bool // memory is short
	lastID      atomic.Uint64
	started     atomic.Bool
	draining    atomic.Bool
	farewell    atomic.Pointer[Farewell]
	since       time.Time
	sysInterval atomic.Int64     // ns; see Options
	sysTimer    *transport.Timer // the first loop's
	sweepEvery  time.Duration
	submitted   atomic.Int64 // bytes on their way to the disk; see pressure.go

	tapMu    sync.Mutex
	taps     []*Tap
	tapCount atomic.Int32

	failMu     sync.Mutex
	failLogged time.Time
	malMu      sync.Mutex
	malSecond  int64
	malCount   int
}

// New makes a broker that knows what its log holds. It does not yet serve.
func New(o Options) (*Broker, error) {
	if o.Log == nil || o.Authority == nil || o.Profiles == nil {
		return nil, errors.New("broker: Log, Authority and Profiles are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Broker{
		options: o, authority: o.Authority, handler: o.Handler, log: o.Log, logger: o.Logger,
		index:    topics.New[*Session](),
		retained: topics.NewRetained[*retained](),
		sessions: newRegistry(),
		since:    time.Now(), sweepEvery: sweepEvery,
		backoff: newBackoff(o.FailedLogins),
		owners:  owners{limit: o.SessionsPerOwner},
	}
	b.set(Settings{o.OpeningPacket, o.SysInterval})
	return b, nil
}

// Start takes the transport's loops, loads what the log holds and begins to
// serve. Connections must not be accepted before it has returned.
func (b *Broker) Start(loops []*transport.Loop) error {
	for i, t := range loops {
		l := &loop{b: b, t: t, index: i, out: make([]*handoff, len(loops)), tasks: make([][]transport.Task, len(loops))}
		l.cache = topics.NewCache(b.index, 1<<16, 32<<20)
		l.initMeters()
		b.loops = append(b.loops, l)
	}
	if err := b.load(); err != nil {
		return err
	}
	b.readers = newReaders(b.log, 4)
	b.started.Store(true)
	b.sessions.each(func(s *Session) { // before the sweep, which may end sessions
		if s.rare.will() != nil {
			s.home.t.Post(task{func() { s.home.awaitWill(s) }})
		}
	})
	for _, s := range b.left {
		v := s.home.salvageOf(s)
		s.home.t.Post(task{v.begin})
	}
	b.left = nil
	for _, l := range b.loops {
		l.t.Post(task{func() { l.sweep() }})
	}
	b.startSys()
	return nil
}

// load brings sessions and retained messages back.
func (b *Broker) load() error {
	n := 0
	err := b.log.Sessions(func(id queue.SessionID, record []byte) error {
		s := &Session{id: id}
		if err := s.parseRecord(record); err != nil {
			b.logger.Error("a stored session cannot be read; it is skipped", "session", uint64(id), "error", err)
			return nil
		}
		s.profile = b.options.Profiles(s.device)
		s.home = b.loops[n%len(b.loops)]
		n++
		b.lastID.Store(max(b.lastID.Load(), uint64(id)))
		if s.gone {
			b.left = append(b.left, s)
			return nil
		}
		if _, created := b.sessions.getOrPut(s.key, func() *Session { return s }); !created {
			b.logger.Error("two stored sessions have one key; the second is skipped", "client", s.key)
			return nil
		}
		b.owners.add(s, true)
		for _, sub := range s.subs.list {
			s.joinShare(sub.filter)
			b.index.Subscribe(sub.filter, s, sub.options, sub.id)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the stored sessions: %w", err)
	}
	for _, s := range b.left {
		_, _, count, _, err := b.log.Stats(s.id)
		if err != nil {
			return fmt.Errorf("reading what %s left: %w", s.key, err)
		}
		s.stored = count
		s.suspectUpTo(s.seq)
	}
	for i := range b.sessions.shards {
		for _, s := range b.sessions.shards[i].m {
			if err := b.loadQueue(s); err != nil {
				return err
			}
		}
	}
	return b.loadRetained()
}

func (b *Broker) loadQueue(s *Session) error {
	first, last, count, bytes, err := b.log.Stats(s.id)
	if err != nil {
		return fmt.Errorf("reading the queue of %s: %w", s.key, err)
	}
	s.seq = max(s.seq, uint64(last))
	s.committed = s.seq
	s.stored, s.storedBytes = count, bytes
	s.meterQueue(count, bytes)
	s.done = s.seq
	s.sent = min(s.sent, s.seq)
	if count > 0 {
		s.noteExpiry(1) // not known: it is looked at
		s.done = uint64(first) - 1
	}
	if s.offlineMS == 0 { // it was connected when the server was killed: its time begins to run now
		// Any of them may have been sent. A window of the first would not do: what
		// the client acknowledged made room for others, and may still be here
		// because its deletion did not reach the disk.
		s.suspectUpTo(s.seq)
		s.offlineMS = b.loops[0].nowMS()
	}
	ids, err := b.log.Received(s.id)
	if err != nil {
		return fmt.Errorf("reading the received identifiers of %s: %w", s.key, err)
	}
	for _, id := range ids {
		s.in.Publish(id)
	}
	return nil
}

func (b *Broker) nextSessionID() queue.SessionID { return queue.SessionID(b.lastID.Add(1)) }

// Close stops the broker's own goroutines. The transport is closed before, the
// log afterwards.
func (b *Broker) Close() {
	if b.readers != nil {
		b.readers.close()
	}
}

// sweepEvery is how often all sessions are looked at for expired ones.
const sweepEvery = 30 * time.Second

// sweep ends sessions whose time is up. It looks at one shard of them at a time,
// so that nobody waits for it.
func (l *loop) sweep() {
	now := l.nowMS()
	var over, stale []*Session
	shard := l.swept % len(l.b.sessions.shards)
	sh := &l.b.sessions.shards[shard]
	var seen tally
	l.swept++
	sh.mu.RLock()
	for _, s := range sh.m {
		if s.home != l {
			continue
		}
		seen.count(s)
		if s.client == nil && !s.gone && s.expired(now) {
			over = append(over, s)
		} else if s.stale(now) {
			stale = append(stale, s)
		}
	}
	sh.mu.RUnlock()
	l.meterCensus(shard, seen)
	for _, s := range over {
		l.b.logger.Info("session expired", "client", s.key)
		l.end(s)
	}
	for _, s := range stale {
		l.expire(s)
	}
	l.t.After(l.b.sweepEvery/time.Duration(len(l.b.sessions.shards)), task{l.sweep})
}

// expired reports whether an offline session has outlived its time.
func (s *Session) expired(nowMS int64) bool {
	if s.offlineMS == 0 || s.device && s.profile.SessionExpiry == 0 {
		return false
	}
	limit := int64(-1)
	if s.expirySeconds != ^uint32(0) {
		limit = int64(s.expirySeconds) * 1000
	}
	if own := s.profile.SessionExpiry.Milliseconds(); own > 0 && (limit < 0 || own < limit) {
		limit = own
	}
	return limit >= 0 && nowMS-s.offlineMS >= limit
}

// storageFailed logs a failing disk, once in ten seconds.
func (b *Broker) storageFailed(err error) {
	b.failMu.Lock()
	defer b.failMu.Unlock()
	if time.Since(b.failLogged) < 10*time.Second {
		return
	}
	b.failLogged = time.Now()
	b.logger.Error("messages cannot be stored; their publishers are not acknowledged", "error", err,
		"hint", "check the free space and health of the disk that holds the data directory")
}

// noiseLines is how many log lines a second strangers can cause.
const noiseLines = 20

// allowNoise limits log lines that a stranger can cause, and says how many were
// left out.
func (b *Broker) allowNoise() bool {
	b.malMu.Lock()
	defer b.malMu.Unlock()
	if now := time.Now().Unix(); now != b.malSecond {
		if left := b.malCount - noiseLines; left > 0 {
			b.logger.Warn("more clients were refused than were logged", "not_logged", left)
		}
		b.malSecond, b.malCount = now, 0
	}
	b.malCount++
	return b.malCount <= noiseLines
}

// logMalformed says what was wrong with a packet, with the bytes annotated.
func (b *Broker) logMalformed(c *client, err error, raw []byte) {
	if !b.allowNoise() {
		return
	}
	who := "not logged in"
	if c.session != nil {
		who = c.session.key
	}
	b.logger.Warn("a packet broke the protocol; the connection is closed", "client", who,
		"remote", c.conn.RemoteAddr(), "transport", c.conn.Kind().String(), "error", err, "bytes", annotate(raw, c.version))
}

// refused says why a login was refused (design: promise 8).
func (b *Broker) refused(c *client, r *LoginRequest, why *Refusal) {
	if !b.allowNoise() {
		return
	}
	args := []any{"identity", why.Identity, "remote", c.conn.RemoteAddr(), "transport", c.conn.Kind().String(),
		"code", why.Code.String(), "cause", why.Cause}
	if r != nil {
		args = append(args, "bytes", annotate(r.Frame, c.version))
	}
	b.logger.Warn("login refused", args...)
}

const maxAnnotated = 512

// annotate explains the first bytes of a packet for the log. Passwords are
// masked.
func annotate(raw []byte, v mqtt.Version) string {
	if len(raw) > maxAnnotated {
		raw = raw[:maxAnnotated]
	}
	e := mqtt.Explain(raw, mqtt.ExplainOptions{Version: v})
	return e.String()
}
