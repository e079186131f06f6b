package queue

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/linkstead/linkstead/internal/meter"
)

// Options configure a Log. The zero value of every field but Dir is usable.
type Options struct {
	// Dir is the folder of the store; it is created with mode 0700.
	Dir string
	// Durability says what Committed(nil) promises. Default: SyncToDisk.
	Durability Durability
	// CacheBytes is the memory for blocks read from disk. Default: 8 MiB.
	CacheBytes int64
	// MaxBacklogBytes bounds what is submitted and not yet reported, by
	// Batch.Bytes. Default: 64 MiB.
	MaxBacklogBytes int64
	// MinFreeBytes is the free room on the disk below which additions are refused
	// with ErrDiskFull. Default: 64 MiB; negative switches the check off.
	MinFreeBytes int64
	// StopOnDamage has Open fail with ErrCorrupt when the store is damaged. Otherwise
	// the damaged store is set aside and Open goes on with what can be read of it,
	// see Damage.
	StopOnDamage bool
	// Logger receives warnings. Default: slog.Default().
	Logger *slog.Logger
	// FS is what the store lies on. Default: the operating system's. Tests give
	// one that fails.
	FS vfs.FS

	reopenIn time.Duration // first wait between attempts to reopen, default 100 ms
	memTable uint64        // bytes until the log rotates, default memTableBytes
}

func (o Options) withDefaults() Options {
	if o.CacheBytes <= 0 {
		o.CacheBytes = 8 << 20
	}
	if o.MaxBacklogBytes <= 0 {
		o.MaxBacklogBytes = 64 << 20
	}
	if o.MinFreeBytes == 0 {
		o.MinFreeBytes = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.reopenIn <= 0 {
		o.reopenIn = 100 * time.Millisecond
	}
	if o.memTable == 0 {
		o.memTable = memTableBytes
	}
	return o
}

// Done is told the fate of a batch.
type Done interface {
	// Committed is called exactly once for each submitted batch, on the
	// committer's goroutine (after Close: on the caller's), so it must be quick
	// and must not wait. The batch belongs to the caller again. nil means what
	// Options.Durability says; otherwise the error matches ErrOverloaded,
	// ErrDiskFull, ErrUnavailable or ErrClosed.
	Committed(err error)
}

// Log is the store of messages. Its methods may be called from any goroutine.
type Log struct {
	opts  Options
	lock  io.Closer
	space spaceGuard
	ids   idAllocator
	stats counters
	pool  sync.Pool // of *Batch

	damage *Damage // found by Open, nil if none
	aside  int     // damaged stores set aside, this time or earlier

	backingUp backingUp

	mu      sync.Mutex
	waiting []submission // in order of submission
	refused []submission // to be told ErrOverloaded
	backlog int64        // bytes submitted and not reported
	closing bool
	engine  *engine // nil while the store is being reopened
	downErr error   // why, while engine is nil

	ties       ties         // the committer's own
	unreported []reportable // the committer's own: what waits for ties, in order

	wake    chan struct{} // tells the committer that waiting or closing changed
	stop    chan struct{} // closed by Close, ends reopening
	work    sync.WaitGroup
	retired sync.WaitGroup // engines being closed after a failure
}

type submission struct {
	batch *Batch
	done  Done
	bytes int64 // counted in backlog
}

// Open opens the store in o.Dir, creating it if there is none, and replays what
// was written before the last stop. It fails when another process has it open and
// when it was written by a later version. A damaged one is set aside, and what can
// be read of it takes its place, see Damage and Options.StopOnDamage.
func Open(o Options) (*Log, error) {
	if o.Dir == "" {
		return nil, errors.New("queue: no folder given for the message store: set Options.Dir")
	}
	o = o.withDefaults()
	if _, err := exchange(o.FS, o.Dir, time.Now()); err != nil {
		return nil, err
	}
	if err := makeFolder(o.FS, o.Dir); err != nil {
		return nil, fmt.Errorf("queue: the folder %s for the message store cannot be created: %w", o.Dir, err)
	}
	lock, err := lockFolder(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	damage, err := contain(&o)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if damage != nil { // another folder has the name now
		if err := lock.Close(); err != nil {
			return nil, err
		}
		if lock, err = lockFolder(o.FS, o.Dir); err != nil {
			return nil, err
		}
	}
	e, err := openEngine(o.Dir, o.FS, &o)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	l := &Log{
		opts:   o,
		lock:   lock,
		space:  spaceGuard{fs: o.FS, dir: o.Dir, min: o.MinFreeBytes, log: o.Logger},
		engine: e,
		damage: damage,
		aside:  len(SetAside(o.FS, o.Dir)),
		wake:   make(chan struct{}, 1),
		stop:   make(chan struct{}),
	}
	l.stats.syncs, l.stats.sizes = meter.NewHistogram(meter.Durations), meter.NewHistogram(meter.Sizes)
	l.pool.New = func() any { return new(Batch) }
	if err := l.ids.start(e); err != nil {
		return nil, errors.Join(err, e.close(), lock.Close())
	}
	l.work.Go(l.commitLoop)
	l.work.Go(l.supervise)
	return l, nil
}

// Damage is what Open found damaged, nil if the store was sound.
func (l *Log) Damage() *Damage { return l.damage }

// OpenMemory opens an empty store that lives in memory and is lost on Close.
func OpenMemory() (*Log, error) {
	return Open(Options{Dir: "queue", Durability: WriteToMemory, FS: vfs.NewMem()})
}

// Close applies and reports everything submitted before it, and closes the
// store. Submit reports ErrClosed from then on, and so do the reading methods.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closing = true
	l.mu.Unlock()
	l.nudge()
	close(l.stop)
	l.work.Wait()

	l.mu.Lock()
	e := l.engine
	l.engine, l.downErr = nil, ErrClosed
	l.mu.Unlock()
	var err error
	if e != nil {
		err = e.close()
	}
	l.retired.Wait()
	return errors.Join(err, l.lock.Close())
}

// maxBatchBytes is below what the store takes in one write.
const maxBatchBytes = 1 << 30

// Submit hands b over to be applied and reports to done. It does not wait for
// anything. Batches submitted by one goroutine are applied in that order. b
// belongs to the Log until done is told; an empty batch is reported after
// everything submitted before it.
func (l *Log) Submit(b *Batch, done Done) {
	s := submission{batch: b, done: done, bytes: int64(b.Bytes())}
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		done.Committed(ErrClosed)
		return
	}
	first := len(l.waiting)+len(l.refused) == 0
	if s.bytes > maxBatchBytes || (l.backlog > 0 && l.backlog+s.bytes > l.opts.MaxBacklogBytes) {
		s.bytes = 0
		l.refused = append(l.refused, s)
	} else {
		l.backlog += s.bytes
		l.waiting = append(l.waiting, s)
	}
	l.mu.Unlock()
	if first {
		l.nudge()
	}
}

// nudge wakes the committer; one pending call is enough.
func (l *Log) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// maxPooledBytes keeps one huge batch from occupying memory for good.
const maxPooledBytes = 1 << 20

// GetBatch gives an empty batch, preferably one with memory to reuse.
func (l *Log) GetBatch() *Batch { return l.pool.Get().(*Batch) }

// PutBatch takes back a batch that was reported, or never submitted.
func (l *Log) PutBatch(b *Batch) {
	if cap(b.ops) > maxPooledBytes {
		return
	}
	b.Reset()
	l.pool.Put(b)
}

// acquire gives the open store and keeps it open until release.
func (l *Log) acquire() (*engine, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.engine == nil {
		return nil, l.downErr
	}
	// A store whose fence has tripped shows writes that never reached the disk.
	if cause := l.engine.fence.err(); cause != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, cause)
	}
	l.engine.users.Add(1)
	return l.engine, nil
}

func (e *engine) release() { e.users.Done() }
