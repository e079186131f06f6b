package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// DamagedFile is a file of a store that is not as it was written.
type DamagedFile struct {
	Name string `json:"name"` // in the store's folder
	What string `json:"what"`
}

// String gives name and damage.
func (d DamagedFile) String() string { return d.Name + ": " + d.What }

// look is a look at a store that changes nothing.
type look struct {
	fs      vfs.FS
	dir     string
	names   []string
	damaged []DamagedFile
	// live are the tables that the store consists of; nil if it does not say.
	live map[string]bool
	torn []DamagedFile // logs that are incomplete at the end, as after a power cut
}

func (k *look) found(name, format string, a ...any) {
	for _, d := range k.damaged {
		if d.Name == name {
			return
		}
	}
	k.damaged = append(k.damaged, DamagedFile{name, fmt.Sprintf(format, a...)})
}

// inspect looks for damage that the store would stumble over or, worse, pass over:
// each file that leads to others, each log, and by reading everything once. The
// error is for what is no damage: a disk that does not read, a later version.
func inspect(fs vfs.FS, dir string) (k *look, err error) {
	k = &look{fs: fs, dir: dir}
	if k.names, err = fs.List(dir); err != nil {
		return k, err
	}
	if !k.stored() {
		return k, nil
	}
	if err := k.markers(); err != nil {
		return k, err
	}
	for _, name := range k.names {
		switch number, ok := strings.CutSuffix(name, ".log"); {
		case ok:
			err = k.log(name, number)
		case strings.HasPrefix(name, "OPTIONS-"):
			err = k.options(name)
		case strings.HasPrefix(name, "MANIFEST-"):
			err = k.manifest(name)
		}
		if err != nil {
			return k, err
		}
	}
	if len(k.damaged) > 0 {
		k.tables()
		return k, nil
	}
	err = k.readAll()
	if err == nil {
		return k, nil
	}
	k.tables()
	if len(k.damaged) == 0 && (pebble.IsCorruptionError(err) || errors.Is(err, errPanic)) {
		k.found("the store", "it cannot be read: %v", err)
	}
	if len(k.damaged) > 0 {
		return k, nil
	}
	return k, err
}

// stored reports whether the folder holds a store with something in it.
func (k *look) stored() bool {
	for _, name := range k.names {
		if strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".log") || strings.HasPrefix(name, "MANIFEST-") {
			return true
		}
	}
	return false
}

func (k *look) has(name string) bool {
	for _, n := range k.names {
		if n == name {
			return true
		}
	}
	return false
}

// markers looks at the files whose names say where a store begins. One without
// them is taken for a new one, and its tables for litter.
func (k *look) markers() error {
	manifest, format := "", ""
	for _, name := range k.names {
		if rest, ok := strings.CutPrefix(name, "marker.manifest."); ok {
			_, manifest, _ = strings.Cut(rest, ".")
		}
		if rest, ok := strings.CutPrefix(name, "marker.format-version."); ok {
			_, format, _ = strings.Cut(rest, ".")
		}
	}
	switch {
	case manifest == "":
		k.found("marker.manifest", "it is missing: the store does not say which MANIFEST is its own")
	case !k.has(manifest):
		k.found(manifest, "it is missing, and the store begins with it")
	}
	v, err := strconv.Atoi(format)
	switch {
	case format == "":
		k.found("marker.format-version", "it is missing: the store does not say which format it has")
	case err != nil:
		k.found("marker.format-version", "%q is no format", format)
	case v > int(storeFormat):
		return fmt.Errorf("queue: the message store in %s is of a later version: run the version that wrote it, or move the folder aside", k.dir)
	}
	return nil
}

func (k *look) read(name string) ([]byte, error) {
	f, err := k.fs.Open(k.fs.PathJoin(k.dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func (k *look) log(name, number string) error {
	b, err := k.read(name)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return nil // not one of the store's
	}
	switch c := readChunks(b, true, uint32(n)); {
	case len(c.gaps) > 0:
		k.found(name, "damaged at byte %d of the log, and in %d places altogether", c.gaps[0], len(c.gaps))
	case c.torn > 0:
		k.torn = append(k.torn, DamagedFile{name, fmt.Sprintf("the last %d bytes are no whole record", c.torn)})
	}
	return nil
}

func (k *look) manifest(name string) error {
	b, err := k.read(name)
	if err != nil {
		return err
	}
	switch c := readChunks(b, false, 0); {
	case len(c.gaps) > 0:
		k.found(name, "damaged at byte %d of the list of tables", c.gaps[0])
	case c.torn > 0:
		k.found(name, "the last %d bytes of the list of tables are no whole record", c.torn)
	case len(c.records) == 0:
		k.found(name, "the list of tables is empty")
	}
	return nil
}

func (k *look) options(name string) error {
	b, err := k.read(name)
	if err != nil {
		return err
	}
	o := &pebble.Options{Merger: stateMerger, Logger: silent()}
	o.EnsureDefaults()
	err = o.CheckCompatibility(k.dir, string(b))
	if err == nil {
		return nil
	}
	if later := laterMerger.FindString(err.Error()); later != "" {
		return fmt.Errorf("queue: the message store in %s was written by a later version (%s): run that version, or move the folder aside", k.dir, later)
	}
	k.found(name, "it cannot be read: %v", err)
	return nil
}

// laterMerger is the name under which a later version stores states.
var laterMerger = regexp.MustCompile(`from file "linkstead\.queue\.state\.[0-9]+"`)

// tables looks at the checksums of all blocks of all tables.
func (k *look) tables() {
	for _, name := range k.names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		r, err := k.table(name)
		if err == nil {
			err = guarded(r.ValidateBlockChecksums)
			_ = r.Close()
		}
		if err != nil && (pebble.IsCorruptionError(err) || errors.Is(err, errPanic)) {
			k.found(name, "damaged: %v", err)
		}
	}
}

// table opens a table by itself.
func (k *look) table(name string) (r *sstable.Reader, err error) {
	f, err := k.fs.Open(k.fs.PathJoin(k.dir, name))
	if err != nil {
		return nil, err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	o := &pebble.Options{Merger: stateMerger}
	o.EnsureDefaults()
	err = guarded(func() error {
		r, err = sstable.NewReader(context.Background(), readable, o.MakeReaderOptions())
		return err
	})
	if err != nil {
		_ = readable.Close()
	}
	return r, err
}

// readAll opens the store without changing it and reads everything.
func (k *look) readAll() error {
	return guarded(func() error {
		db, err := openReadOnly(k.fs, k.dir)
		if err != nil {
			return err
		}
		k.live = make(map[string]bool)
		levels, err := db.SSTables()
		for _, tables := range levels {
			for _, t := range tables {
				k.live[fmt.Sprintf("%06d.sst", uint64(t.BackingSSTNum))] = true
			}
		}
		if err == nil {
			err = eachKind(db)
		}
		return errors.Join(err, db.Close())
	})
}

func eachKind(db *pebble.DB) error {
	iter, err := db.NewIter(nil)
	if err != nil {
		return err
	}
	for iter.First(); iter.Valid(); iter.Next() {
		if _, err := iter.ValueAndErr(); err != nil {
			break
		}
	}
	return errors.Join(iter.Error(), iter.Close())
}

// openReadOnly opens a store whose lock the caller holds.
func openReadOnly(fs vfs.FS, dir string) (*pebble.DB, error) {
	return pebble.Open(dir, &pebble.Options{
		FS: unlockedFS{fs}, ReadOnly: true, ErrorIfNotExists: true, Merger: stateMerger, FormatMajorVersion: storeFormat, Logger: silent(),
	})
}

func silent() pebble.Logger {
	return &storeLogger{log: slog.New(slog.DiscardHandler), fence: newFence(vfs.Default, false)}
}

var errPanic = errors.New("reading ended in panic")

// guarded makes a panic over damaged bytes an error.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	return f()
}
