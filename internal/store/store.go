package store

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite"

	"github.com/linkstead/linkstead/internal/meter"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Durability says what a commit outlives.
type Durability string

// The durabilities, strongest first.
const (
	// DurabilityDisk: committed means fsynced; a power cut loses nothing.
	DurabilityDisk Durability = "disk"
	// DurabilityOS: committed means handed to the operating system; a killed
	// process loses nothing, a power cut may lose the last seconds.
	DurabilityOS Durability = "os"
	// DurabilityMemory: for tests and demonstrations; a power cut may damage
	// the file.
	DurabilityMemory Durability = "memory"
)

// synchronous is the value of SQLite's pragma, or "" for an unknown durability.
func (d Durability) synchronous() string {
	switch d {
	case DurabilityDisk:
		return "full"
	case DurabilityOS:
		return "normal"
	case DurabilityMemory:
		return "off"
	}
	return ""
}

// Options configures a Store. Dir and MasterKey are required; every other field
// has the default given with it.
type Options struct {
	// Dir holds the database; it is made with mode 0700 if it is missing. Files
	// in it have mode 0600.
	Dir string
	// MasterKey is KeySize bytes, see LoadOrCreateKey.
	MasterKey []byte
	// Durability is DurabilityDisk unless set.
	Durability Durability
	// Retention is how long history is kept: 30 days.
	Retention time.Duration
	// Window is how long the writer gathers before it commits, at most: 2 ms. A
	// negative window commits at once.
	Window time.Duration
	// MaxBacklog is how many bytes of points may wait for a commit: 64 MiB. At
	// more, Append answers ErrOverloaded.
	MaxBacklog int
	// MaxHeads is how many bytes of memory points may take that are committed
	// but not yet folded into chunks: 64 MiB. At more, the oldest are folded.
	MaxHeads int
	// HeadAge is how long a point may wait to be folded: 12 hours.
	HeadAge time.Duration
	// MaxSeriesCached bounds the cache of series names: 200,000.
	MaxSeriesCached int
	// Reserve is how many bytes of the disk history leaves free, 0 for none: below
	// it Append answers ErrFull. Free tells how many are, or false.
	Reserve int64
	Free    func() (bytes uint64, ok bool)
	// Now is the clock: time.Now.
	Now func() time.Time
	// Logger gets what an operator should know: slog.Default.
	Logger *slog.Logger
	// VFS is the name of SQLite's way to the disk: its own for this system. Tests
	// name one that fails.
	VFS string
}

func (o *Options) setDefaults() error {
	if o.Dir == "" {
		return &Error{Kind: KindInvalid, Op: "open store", Err: errors.New("no directory given")}
	}
	if o.Durability == "" {
		o.Durability = DurabilityDisk
	}
	if o.Durability.synchronous() == "" {
		return &Error{Kind: KindInvalid, Op: "open store", Key: o.Dir,
			Err:  fmt.Errorf("unknown durability %q", string(o.Durability)),
			Hint: "use disk, os or memory"}
	}
	if o.Retention <= 0 {
		o.Retention = 30 * 24 * time.Hour
	}
	if o.Window == 0 {
		o.Window = 2 * time.Millisecond
	}
	if o.MaxBacklog <= 0 {
		o.MaxBacklog = 64 << 20
	}
	if o.MaxHeads <= 0 {
		o.MaxHeads = 64 << 20
	}
	if o.HeadAge <= 0 {
		o.HeadAge = 12 * time.Hour
	}
	if o.MaxSeriesCached <= 0 {
		o.MaxSeriesCached = 200_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// Store is an open database. All methods are safe for concurrent use.
//
// Locks, in the order they may nest: wmu, then heads.mu or queue.mu, then
// seriesCache.mu. Nothing is locked while waiting.mu is.
type Store struct {
	opts  Options
	log   *slog.Logger
	vault *vault
	lock  *os.File

	r *reader // the read connections

	wmu    sync.Mutex // one write transaction at a time; guards w, round, wr and resets
	w      *tx
	wdb    *sql.DB
	round  int64           // the last round committed, see history.go
	resets map[int64]int64 // when devices were reset that have not logged in since, ms
	wr     writer
	closed atomic.Bool

	retention atomic.Int64 // ms

	heads   *heads
	series  *seriesCache
	queue   *queue
	waiting waiting
	stats   counters
	damage  damage
	space   space
}

const (
	databaseName = "records.db"
	lockName     = "records.lock"
	keyCheckName = "key_check"
)

// Open opens the database in opts.Dir, making or upgrading it as needed, and
// reads what history had not been folded when it was last closed or killed.
//
// It fails with ErrLocked if another process has the directory open, ErrNewer
// if the database was made by a newer linkstead, ErrWrongKey if it was made with
// another master key, and ErrCorrupt if the file is damaged. Each error says
// what to do.
func Open(ctx context.Context, opts Options) (_ *Store, err error) {
	const op = "open store"
	if err := opts.setDefaults(); err != nil {
		return nil, err
	}
	s := &Store{opts: opts, log: opts.Logger}
	s.SetRetention(opts.Retention)
	s.stats.commits, s.stats.sizes = meter.NewHistogram(meter.Durations), meter.NewHistogram(meter.Sizes)
	if s.vault, err = newVault(opts.MasterKey); err != nil {
		return nil, err
	}
	s.opts.MasterKey = nil
	defer func() {
		if err != nil {
			s.closeFiles()
		}
	}()
	if err := MakeDir(opts.Dir); err != nil {
		return nil, wrap(op, opts.Dir, err)
	}
	if s.lock, err = lockFile(filepath.Join(opts.Dir, lockName)); err != nil {
		if errors.Is(err, ErrLocked) {
			err = &Error{Kind: KindLocked, Op: op, Key: opts.Dir,
				Hint: "stop the other linkstead or give this one another data directory"}
		}
		return nil, wrap(op, opts.Dir, err)
	}
	path := filepath.Join(opts.Dir, databaseName)
	if err := makePrivate(path); err != nil {
		return nil, wrap(op, path, err)
	}
	if err := s.connect(ctx, path); err != nil {
		return nil, wrap(op, path, err)
	}
	if err := s.checkKey(ctx); err != nil {
		return nil, wrap(op, path, err)
	}
	s.series = newSeriesCache(opts.MaxSeriesCached)
	s.heads = newHeads()
	s.wr.maxBytes, s.wr.maxRows = maxWALBytes, maxWALRows
	if err := s.replay(ctx); err != nil {
		return nil, wrap(op, path, err)
	}
	s.readWaiting(ctx)
	s.queue = newQueue(opts.Window, opts.MaxBacklog)
	go s.runWriter()
	return s, nil
}

// MakeDir makes a directory with mode 0700, and those above it that are missing,
// and makes their names durable: a synced file in a directory that a power cut
// has taken away is lost as well.
func MakeDir(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	var missing []string
	for at := dir; filepath.Dir(at) != at; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil {
			break
		}
		missing = append(missing, at)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, at := range missing {
		if err := SyncDir(filepath.Dir(at)); err != nil {
			return err
		}
	}
	return nil
}

// makePrivate makes sure the database file exists with mode 0600 before SQLite
// opens it: SQLite gives its -wal and -shm files the same mode.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	if !checkModes {
		return nil
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Chmod(path+suffix, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// dsn names a database file to the driver.
func dsn(path, vfs string, pragmas ...string) string {
	q := url.Values{"_pragma": append(pragmas, "busy_timeout(10000)", "foreign_keys(1)", "temp_store(memory)")}
	if vfs != "" {
		q.Set("vfs", vfs)
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// connect opens the two pools, the writer's of one connection and the readers',
// and brings the schema up to date.
func (s *Store) connect(ctx context.Context, path string) error {
	dsn := func(pragmas ...string) string { return dsn(path, s.opts.VFS, pragmas...) }
	wdb, err := sql.Open("sqlite", dsn("journal_mode(wal)", "synchronous("+s.opts.Durability.synchronous()+")",
		"cache_size(-32768)", "wal_autocheckpoint(4000)", "journal_size_limit(67108864)"))
	if err != nil {
		return err
	}
	wdb.SetMaxOpenConns(1)
	s.wdb = wdb
	if err := migrate(ctx, wdb); err != nil {
		return err
	}
	conn, err := wdb.Conn(ctx)
	if err != nil {
		return err
	}
	s.waiting.init()
	s.w = &tx{conn: conn, stmts: map[string]*sql.Stmt{}, waiting: &s.waiting}
	rdb, err := sql.Open("sqlite", dsn("query_only(1)", "cache_size(-8192)"))
	if err != nil {
		return err
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	rdb.SetMaxOpenConns(readers)
	rdb.SetMaxIdleConns(readers)
	s.r = &reader{db: rdb}
	return nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > want {
		return &Error{Kind: KindNewer, Op: "open store",
			Err:  fmt.Errorf("its schema is version %d, this linkstead knows up to %d", have, want),
			Hint: "run the newer linkstead, or restore a backup made before the upgrade"}
	}
	_, err = p.Up(ctx)
	return err
}

// checkKey refuses a master key that does not open what this database holds,
// before anything is sealed with it.
func (s *Store) checkKey(ctx context.Context) error {
	identity, proof := []byte("key check"), Secret("linkstead")
	return s.writeLocked(ctx, "check master key", "", func(t *tx) error {
		var sealed []byte
		row, err := t.row(ctx, `select value from setting where name = $1`, keyCheckName)
		if err != nil {
			return err
		}
		switch err := row.Scan(&sealed); {
		case errors.Is(err, sql.ErrNoRows):
			_, err := t.exec(ctx, `insert into setting (name, value) values ($1, $2)`, keyCheckName, s.vault.seal(identity, proof))
			return err
		case err != nil:
			return err
		}
		opened, err := s.vault.open(identity, sealed)
		if err != nil {
			return err
		}
		if !bytes.Equal([]byte(opened), []byte(proof)) {
			return &Error{Kind: KindCorrupt, Op: "check master key", Hint: "restore a backup of the database"}
		}
		return nil
	})
}

// Close commits what was handed over, tells its Dones, and closes the files.
// Calls made after it fail with ErrClosed.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.queue.close()
	<-s.queue.stopped
	return s.closeFiles()
}

// closeFiles undoes as much of Open as was done.
func (s *Store) closeFiles() error {
	var errs []error
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.r != nil {
		errs = append(errs, s.r.close())
	}
	if s.w != nil {
		errs = append(errs, s.w.close())
	}
	if s.wdb != nil {
		errs = append(errs, s.wdb.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return wrap("close store", s.opts.Dir, errors.Join(errs...))
}

// SetRetention changes how long history is kept, from the next look at it on.
func (s *Store) SetRetention(d time.Duration) { s.retention.Store(d.Milliseconds()) }

// now is the time in milliseconds.
func (s *Store) now() int64 { return s.opts.Now().UnixMilli() }

// fromMS is the time of a column: 0 means never.
func fromMS(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// toMS is a column's value for a time: 0 for never.
func toMS(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// flag is a column's value for a bool.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
