package store

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(crashDirEnv) != "" {
		crashChild()
		return
	}
	goleak.VerifyTestMain(m)
}

var testKey = []byte("0123456789abcdef0123456789abcdef")

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.UnixMilli(1_700_000_000_000)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func testOptions(t testing.TB) Options {
	return Options{Dir: t.TempDir(), MasterKey: testKey, Durability: DurabilityMemory, Window: -1,
		Now: newClock().now, Logger: slog.New(slog.DiscardHandler)}
}

// mustOpen opens a store that is closed at the end of the test.
func mustOpen(t testing.TB, opts Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// reopen closes a store and opens its directory again.
func reopen(t testing.TB, s *Store, opts Options) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return mustOpen(t, opts)
}

// mustProduct creates the product a1prod.
func mustProduct(t testing.TB, s *Store) Product {
	t.Helper()
	p, err := s.CreateProduct(context.Background(), Product{Key: "a1prod", Name: "thermometer", Secret: "productsecret"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// mustDevice creates a device of a1prod.
func mustDevice(t testing.TB, s *Store, name string) Device {
	t.Helper()
	r, err := s.CreateDevice(context.Background(), NewDevice{ProductKey: "a1prod", Name: name, Secret: Secret("secret-of-" + name)})
	if err != nil {
		t.Fatal(err)
	}
	return r.Device
}

func TestOpenMakesPrivateFiles(t *testing.T) {
	opts := testOptions(t)
	opts.Dir = filepath.Join(opts.Dir, "a", "data")
	s := mustOpen(t, opts)
	mustProduct(t, s)
	if info, err := os.Stat(opts.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v; want mode 0700", info.Mode(), err)
	}
	entries, err := os.ReadDir(opts.Dir)
	if err != nil || len(entries) < 3 {
		t.Fatalf("%d files, %v; want the database, its log and the lock", len(entries), err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", e.Name(), info.Mode(), err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	ctx := context.Background()
	t.Run("a second process", func(t *testing.T) {
		opts := testOptions(t)
		mustOpen(t, opts)
		_, err := Open(ctx, opts)
		wantKind(t, err, ErrLocked)
	})
	t.Run("another key", func(t *testing.T) {
		opts := testOptions(t)
		if err := mustOpen(t, opts).Close(); err != nil {
			t.Fatal(err)
		}
		opts.MasterKey = []byte("another-key-another-key-another-")
		_, err := Open(ctx, opts)
		wantKind(t, err, ErrWrongKey)
	})
	t.Run("a key of the wrong size", func(t *testing.T) {
		opts := testOptions(t)
		opts.MasterKey = testKey[:31]
		_, err := Open(ctx, opts)
		wantKind(t, err, ErrInvalid)
	})
	t.Run("a newer database", func(t *testing.T) {
		opts := testOptions(t)
		s := mustOpen(t, opts)
		if err := s.write(ctx, "", "", func(x *tx) error {
			_, err := x.exec(ctx, `insert into goose_db_version (version_id, is_applied) values (9999, 1)`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		s.Close()
		_, err := Open(ctx, opts)
		wantKind(t, err, ErrNewer)
	})
	t.Run("what is no database", func(t *testing.T) {
		opts := testOptions(t)
		junk := make([]byte, 8192)
		copy(junk, "this is not a database, it only lies where one should be")
		if err := os.WriteFile(filepath.Join(opts.Dir, databaseName), junk, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(ctx, opts)
		wantKind(t, err, ErrCorrupt)
	})
	t.Run("an unknown durability", func(t *testing.T) {
		opts := testOptions(t)
		opts.Durability = "fsync"
		_, err := Open(ctx, opts)
		wantKind(t, err, ErrInvalid)
	})
}

func TestClosedStoreRefuses(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	mustProduct(t, s)
	s.Close()
	_, err := s.Product(ctx, "a1prod")
	wantKind(t, err, ErrClosed)
	wantKind(t, s.DeleteProduct(ctx, "a1prod", false), ErrClosed)
	_, err = s.Latest(ctx, 1)
	wantKind(t, err, ErrClosed)
	wantKind(t, appendWait(s, Point{Series: SeriesKey{1, Property, "a"}, Value: Int(1)}), ErrClosed)
	if err := s.Close(); err != nil {
		t.Error("closing twice:", err)
	}
}
