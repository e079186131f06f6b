package queue

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// A rescue reads what can be read of a damaged store and writes it into a new one.
// It does not trust what leads from file to file: it reads each table and each log
// by itself and merges their entries by key and sequence number, as the store does
// when it reads. What lies in damaged blocks is missing, deletions among it, so a
// message that was acknowledged may be there again: at least once, never silently
// gone.

// entry is one version of one key.
type entry struct {
	key, value []byte
	seq        uint64
	kind       pebble.InternalKeyKind
}

// span is a range deletion.
type span struct {
	start, end []byte
	seq        uint64
}

// source is a table's or a log's entries, by key, the newest version first.
type source struct {
	order int // which is asked first for versions of one age
	now   entry
	more  func() (entry, bool)
	close func()
}

type sources []*source

func (s sources) Len() int      { return len(s) }
func (s sources) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s sources) Less(i, j int) bool {
	a, b := s[i], s[j]
	return cmp.Or(compareEntries(a.now, b.now), cmp.Compare(b.order, a.order)) < 0
}
func (s *sources) Push(x any) { *s = append(*s, x.(*source)) }
func (s *sources) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	*s = (*s)[:last]
	return x
}

func compareEntries(a, b entry) int {
	return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(b.seq, a.seq), cmp.Compare(b.kind, a.kind))
}

// Rescued is what a rescue has saved.
type Rescued struct {
	Sessions int `json:"sessions"`
	Messages int `json:"messages"` // in queues
	Retained int `json:"retained"`
	// Orphans are messages of sessions that could not be read: they stay behind.
	Orphans int `json:"orphans"`
}

// rescue writes what can be read into a new store in target, which is complete
// and on disk when it returns.
func (k *look) rescue(target string) (r Rescued, err error) {
	if err := k.fs.RemoveAll(target); err != nil { // what an interrupted one has left
		return r, err
	}
	if err := makeFolder(k.fs, target); err != nil {
		return r, err
	}
	db, err := pebble.Open(target, &pebble.Options{
		FS: unlockedFS{k.fs}, ErrorIfExists: true, DisableWAL: true, Merger: stateMerger, FormatMajorVersion: storeFormat, Logger: silent(),
		MemTableSize: memTableBytes, MemTableStopWritesThreshold: memTables, L0CompactionThreshold: 4, LBaseMaxBytes: 16 << 20,
	})
	if err != nil {
		return r, err
	}
	err = guarded(func() error { return k.copyTo(db, &r) })
	if err == nil {
		err = db.Flush()
	}
	return r, errors.Join(err, db.Close())
}

func (k *look) copyTo(db *pebble.DB, r *Rescued) error {
	known := make(map[SessionID]bool)
	last, next := SessionID(0), SessionID(0)
	err := k.merged(func(key, _ []byte) error {
		if sid := sessionOf(key); sid > 0 {
			last = max(last, sid)
			if key[0] == keySession {
				known[sid] = true
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	batch := db.NewBatch()
	defer func() { _ = batch.Close() }()
	put := func(key, value []byte) error {
		if err := batch.Set(key, value, nil); err != nil {
			return err
		}
		if batch.Len() < 1<<20 {
			return nil
		}
		err := batch.Commit(pebble.NoSync)
		batch.Reset()
		return err
	}
	err = k.merged(func(key, value []byte) error {
		switch key[0] {
		case keyMeta:
			if bytes.Equal(key, metaNextSession) && len(value) == 8 {
				next = SessionID(binary.BigEndian.Uint64(value))
			}
			if bytes.Equal(key, metaFormat) && len(value) == 4 && binary.BigEndian.Uint32(value) > recordFormat {
				return errors.New("it was written by a later version: run that one")
			}
			return nil
		case keyQueue:
			_, isMessage := keySeq(key)
			if isMessage && isBareState(value) {
				return nil
			}
			if !known[sessionOf(key)] {
				r.Orphans++
				return nil
			}
			if isMessage {
				r.Messages++
			}
		case keyRetained:
			r.Retained++
		case keySession:
			r.Sessions++
		}
		return put(key, value)
	})
	if err != nil {
		return err
	}
	// Identifiers of sessions that were lost are not given again either.
	next = max(next, last+2*idBlock)
	if err := put(metaNextSession, binary.BigEndian.AppendUint64(nil, uint64(next))); err != nil {
		return err
	}
	if err := put(metaFormat, binary.BigEndian.AppendUint32(nil, recordFormat)); err != nil {
		return err
	}
	return batch.Commit(pebble.NoSync)
}

// sessionOf is the session that a key belongs to, 0 if none.
func sessionOf(key []byte) SessionID {
	if (key[0] == keySession || key[0] == keyQueue) && len(key) >= sessionKeyLen {
		return SessionID(binary.BigEndian.Uint64(key[1:]))
	}
	return 0
}

// merged visits what the readable entries amount to, by key.
func (k *look) merged(visit func(key, value []byte) error) error {
	all, spans, err := k.sources()
	defer func() {
		for _, s := range all {
			s.close()
		}
	}()
	if err != nil {
		return err
	}
	slices.SortFunc(spans, func(a, b span) int { return bytes.Compare(a.start, b.start) })
	var h sources
	for _, s := range all {
		var ok bool
		if s.now, ok = s.more(); ok {
			h = append(h, s)
		}
	}
	heap.Init(&h)
	var versions []entry
	var active []span
	for len(h) > 0 {
		versions = versions[:0]
		for len(h) > 0 && (len(versions) == 0 || bytes.Equal(h[0].now.key, versions[0].key)) {
			s := h[0]
			versions = append(versions, s.now)
			var ok bool
			if s.now, ok = s.more(); ok {
				heap.Fix(&h, 0)
			} else {
				heap.Pop(&h)
			}
		}
		key := versions[0].key
		for len(spans) > 0 && bytes.Compare(spans[0].start, key) <= 0 {
			active, spans = append(active, spans[0]), spans[1:]
		}
		active = slices.DeleteFunc(active, func(s span) bool { return bytes.Compare(s.end, key) <= 0 })
		deleted := uint64(0)
		for _, s := range active {
			deleted = max(deleted, s.seq)
		}
		if value, there := resolve(versions, deleted); there && len(key) > 0 {
			if err := visit(key, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// resolve gives what the versions of a key, the newest first, amount to. What is
// older than a range deletion does not count.
func resolve(versions []entry, deleted uint64) (value []byte, there bool) {
	m := new(stateMerge)
	for i, e := range versions {
		if e.seq < deleted {
			break
		}
		if i > 0 && e.seq > 0 && e.seq == versions[i-1].seq { // in a log and in a table
			continue
		}
		switch e.kind {
		case pebble.InternalKeyKindSet, pebble.InternalKeyKindSetWithDelete:
			if !there {
				return e.value, true
			}
			_ = m.MergeOlder(e.value) // never fails
			return append(m.message, m.state...), true
		case pebble.InternalKeyKindMerge:
			_ = m.MergeOlder(e.value)
			there = true
			continue
		}
		break // a deletion
	}
	return append(m.message, m.state...), there
}

// sources opens everything that can be read.
func (k *look) sources() (all []*source, spans []span, err error) {
	var logged []entry
	for i, name := range k.names {
		if number, ok := strings.CutSuffix(name, ".log"); ok {
			n, err := strconv.ParseUint(number, 10, 64)
			if err != nil {
				continue
			}
			b, err := k.read(name)
			if err != nil {
				return all, spans, err
			}
			for _, record := range readChunks(b, true, uint32(n)).records {
				e, s := k.batch(name, record)
				logged, spans = append(logged, e...), append(spans, s...)
			}
			continue
		}
		if !strings.HasSuffix(name, ".sst") || k.live != nil && !k.live[name] {
			continue
		}
		s, deletions, err := k.tableSource(name)
		if err != nil {
			return all, spans, err
		}
		if spans = append(spans, deletions...); s != nil {
			s.order = i
			all = append(all, s)
		}
	}
	slices.SortStableFunc(logged, compareEntries)
	return append(all, listed(logged, math.MaxInt)), spans, nil
}

func listed(list []entry, order int) *source {
	at := 0
	return &source{order: order, close: func() {}, more: func() (e entry, ok bool) {
		if at == len(list) {
			return e, false
		}
		at++
		return list[at-1], true
	}}
}

// batch reads a record of a log.
func (k *look) batch(name string, record []byte) (entries []entry, spans []span) {
	header, ok := batchrepr.ReadHeader(record)
	if !ok {
		return nil, nil
	}
	seq := uint64(header.SeqNum)
	err := guarded(func() error {
		for r := batchrepr.Read(record); ; {
			kind, key, value, ok, err := r.Next()
			if !ok {
				return err
			}
			switch kind {
			case pebble.InternalKeyKindLogData: // takes no number
				continue
			case pebble.InternalKeyKindRangeDelete:
				spans = append(spans, span{key, value, seq})
			default:
				entries = append(entries, entry{key, value, seq, kind})
			}
			seq++
		}
	})
	if err != nil {
		k.found(name, "a record cannot be read: %v", err)
	}
	return entries, spans
}

// tableSource opens a table; nil if it cannot be read at all. The sound ones are
// read as they are needed, of the others everything that can be read from either
// end is read now.
func (k *look) tableSource(name string) (*source, []span, error) {
	r, err := k.table(name)
	if err != nil {
		if pebble.IsCorruptionError(err) || errors.Is(err, errPanic) {
			k.found(name, "nothing of it can be read: %v", err)
			return nil, nil, nil
		}
		return nil, nil, err
	}
	var spans []span
	if err := guarded(func() (err error) { spans, err = deletions(r); return err }); err != nil {
		k.found(name, "its range deletions cannot be read: %v", err)
	}
	if err := guarded(r.ValidateBlockChecksums); err != nil {
		defer r.Close()
		k.found(name, "damaged: %v", err)
		return listed(readable(r), 0), spans, nil
	}
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		return nil, spans, errors.Join(err, r.Close())
	}
	kv := it.First()
	return &source{
		close: func() { _ = it.Close(); _ = r.Close() },
		more: func() (e entry, ok bool) {
			if kv == nil {
				return e, false
			}
			v, _, err := kv.Value(nil)
			if err != nil {
				return e, false
			}
			e = entry{bytes.Clone(kv.K.UserKey), bytes.Clone(v), uint64(kv.SeqNum()), kv.Kind()}
			kv = it.Next()
			return e, true
		},
	}, spans, nil
}

// readable reads a damaged table from its beginning and from its end.
func readable(r *sstable.Reader) (list []entry) {
	walk := func(backwards bool, visit func(e entry) bool) {
		_ = guarded(func() error {
			it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
			if err != nil {
				return err
			}
			defer func() { _ = it.Close() }()
			kv := it.First()
			if backwards {
				kv = it.Last()
			}
			for kv != nil {
				v, _, err := kv.Value(nil)
				if err != nil || !visit(entry{bytes.Clone(kv.K.UserKey), bytes.Clone(v), uint64(kv.SeqNum()), kv.Kind()}) {
					return err
				}
				if backwards {
					kv = it.Prev()
				} else {
					kv = it.Next()
				}
			}
			return nil
		})
	}
	walk(false, func(e entry) bool { list = append(list, e); return true })
	var behind []entry
	walk(true, func(e entry) bool {
		if len(list) > 0 && compareEntries(e, list[len(list)-1]) <= 0 {
			return false
		}
		behind = append(behind, e)
		return true
	})
	slices.Reverse(behind)
	return append(list, behind...)
}

func deletions(r *sstable.Reader) (spans []span, err error) {
	it, err := r.NewRawRangeDelIter(context.Background(), sstable.NoFragmentTransforms, sstable.NoReadEnv)
	if err != nil || it == nil {
		return nil, err
	}
	defer it.Close()
	s, err := it.First()
	for ; s != nil; s, err = it.Next() {
		for _, key := range s.Keys {
			spans = append(spans, span{bytes.Clone(s.Start), bytes.Clone(s.End), uint64(key.SeqNum())})
		}
	}
	return spans, err
}

// describe names what a rescue has saved.
func (r Rescued) describe() string {
	return fmt.Sprintf("%d sessions, %d messages in queues and %d retained messages could be read; %d messages belong to sessions that could not", r.Sessions, r.Messages, r.Retained, r.Orphans)
}
