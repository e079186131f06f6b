package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// logged is a store that logs into a buffer, with one device.
func logged(t *testing.T) (s *Store, dev Device, log *bytes.Buffer) {
	t.Helper()
	log = new(bytes.Buffer)
	opts := testOptions(t)
	opts.Logger = slog.New(slog.NewTextHandler(log, nil))
	s = mustOpen(t, opts)
	mustProduct(t, s)
	return s, mustDevice(t, s, "dev1"), log
}

// TestEveryFlippedBitOfAChunkIsSeen inverts each bit of a chunk in turn: no wrong
// value is ever returned.
func TestEveryFlippedBitOfAChunkIsSeen(t *testing.T) {
	chunk := appendChunk(nil, []Sample{{t0, Int(1)}, {t0 + 5, Float(2.5)}, {t0 + 9, Text("on")}})
	for bit := range 8 * len(chunk) {
		b := bytes.Clone(chunk)
		b[bit/8] ^= 1 << (bit % 8)
		if out, err := readChunk(nil, b); err == nil {
			t.Errorf("bit %d of byte %d: read as %v", bit%8, bit/8, out)
		}
	}
	for n := range chunk {
		if out, err := readChunk(nil, chunk[:n]); err == nil {
			t.Errorf("%d bytes of %d: read as %v", n, len(chunk), out)
		}
	}
}

// TestDamagedChunkIsLeftOut damages the middle one of three chunks: the points of
// the others are read, in every way of asking, and the log says what is missing.
func TestDamagedChunkIsLeftOut(t *testing.T) {
	ctx := context.Background()
	s, dev, log := logged(t)
	key := SeriesKey{dev.ID, Property, "p"}
	for part := range 3 {
		for i := range 5 {
			mustAppend(t, s, Point{key, t0 + int64(part*1000+i), Int(int64(part*10 + i))})
		}
		foldAll(t, s)
	}
	if err := s.write(ctx, "damage", "", func(x *tx) error {
		_, err := x.exec(ctx, `update history_chunk set data = $1 where t_min = $2`, []byte{chunkVersion, 1, 2, 3, 4, 5}, t0+1000)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	want := []int64{0, 1, 2, 3, 4, 20, 21, 22, 23, 24}
	for _, q := range []RangeQuery{{}, {Descending: true}, {Limit: 10}, {Limit: 10, Descending: true}} {
		got, err := s.Range(ctx, key, q)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%+v: %v, %v", q, got, err)
		}
		for i, p := range got {
			w := want[i]
			if q.Descending {
				w = want[len(want)-1-i]
			}
			if v, _ := p.Value.Int64(); v != w {
				t.Errorf("%+v: point %d is %d, want %d", q, i, v, w)
			}
		}
	}
	if b, err := s.Buckets(ctx, key, BucketQuery{EveryMS: 1000}); err != nil || len(b) != 2 {
		t.Errorf("summed up: %v, %v", b, err)
	}
	if n := s.Stats().Damaged; n != 1 {
		t.Errorf("%d damaged rows are counted, want 1 however often it is read", n)
	}
	if n := strings.Count(log.String(), "a piece of history is damaged"); n != 1 || !strings.Contains(log.String(), fmt.Sprintf("device=%d series=p", dev.ID)) {
		t.Errorf("%d reports:\n%s", n, log)
	}
}

// TestDamagedCommitIsLeftOut damages one of three commits that are not folded: the
// store opens, with the points of the others.
func TestDamagedCommitIsLeftOut(t *testing.T) {
	ctx := context.Background()
	s, dev, log := logged(t)
	key := SeriesKey{dev.ID, Property, "p"}
	for i := range int64(3) {
		mustAppend(t, s, Point{key, t0 + i, Int(i)})
	}
	opts := s.opts
	opts.MasterKey = testKey
	if err := s.write(ctx, "damage", "", func(x *tx) error {
		_, err := x.exec(ctx, `update history_wal set data = $1 where seq = $2`, []byte("damaged"), s.round-1)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, opts)
	wantInts(t, s, key, 0, 2)
	if s.Stats().Damaged != 1 || !strings.Contains(log.String(), "a commit in the history's log is damaged") {
		t.Errorf("not reported: %+v\n%s", s.Stats(), log)
	}
	mustAppend(t, s, Point{key, t0 + 3, Int(3)})
	foldAll(t, s)
	wantInts(t, s, key, 0, 2, 3)
}

func wantInts(t *testing.T, s *Store, key SeriesKey, want ...int64) {
	t.Helper()
	got, err := s.Range(context.Background(), key, RangeQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var values []int64
	for _, p := range got {
		v, _ := p.Value.Int64()
		values = append(values, v)
	}
	if fmt.Sprint(values) != fmt.Sprint(want) {
		t.Errorf("stored are %v, want %v", values, want)
	}
}

// TestDamagedLatestValueIsLeftOut damages a property's present value: the others
// are there.
func TestDamagedLatestValueIsLeftOut(t *testing.T) {
	ctx := context.Background()
	s, dev, _ := logged(t)
	for _, id := range []string{"a", "b", "c"} {
		mustAppend(t, s, Point{SeriesKey{dev.ID, Property, id}, t0, Int(1)})
	}
	foldAll(t, s)
	if err := s.write(ctx, "damage", "", func(x *tx) error {
		_, err := x.exec(ctx, `update history_series set last_value = $1 where name = $2`, []byte{0xff, 1}, "b")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Latest(ctx, dev.ID)
	if err != nil || len(got) != 2 || got[0].Identifier != "a" || got[1].Identifier != "c" {
		t.Errorf("%v, %v", got, err)
	}
	if s.Stats().Damaged != 1 {
		t.Error("not counted")
	}
}

// TestPageIsBoundedInBytes reads documents of a megabyte, page by page: no page is
// larger than it may be, and none is missed.
func TestPageIsBoundedInBytes(t *testing.T) {
	ctx := context.Background()
	s, dev, _ := logged(t)
	key := SeriesKey{dev.ID, Property, "p"}
	const n = 40
	for i := range int64(n) {
		mustAppend(t, s, Point{key, t0 + i, Text(strings.Repeat("x", 1<<20))})
		if i%8 == 7 {
			foldAll(t, s)
		}
	}
	for _, descending := range []bool{false, true} {
		seen, pages := 0, 0
		q := RangeQuery{Descending: descending}
		for more := true; more; pages++ {
			var points []Sample
			var err error
			if points, more, err = s.Page(ctx, key, q); err != nil || len(points) == 0 {
				t.Fatal(points, err)
			}
			if len(points) > MaxRangeBytes>>20 {
				t.Errorf("a page of %d MiB", len(points))
			}
			for _, p := range points {
				want := t0 + int64(seen)
				if descending {
					want = t0 + n - 1 - int64(seen)
				}
				if p.TimeMS != want {
					t.Fatalf("point %d is that of %d, want %d", seen, p.TimeMS, want)
				}
				seen++
			}
			if last := points[len(points)-1].TimeMS; descending {
				q.To = last - 1
			} else {
				q.From = last + 1
			}
		}
		if seen != n || pages < 3 {
			t.Errorf("%d of %d points in %d pages", seen, n, pages)
		}
	}
}
