package store

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mustBuckets sums up a series.
func mustBuckets(t *testing.T, s *Store, key SeriesKey, q BucketQuery) []Bucket {
	t.Helper()
	out, err := s.Buckets(context.Background(), key, q)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestBuckets covers values of every type, late points, points written again,
// gaps, chunks and heads, and a restart.
func TestBuckets(t *testing.T) {
	opts := testOptions(t)
	s := mustOpen(t, opts)
	defer func() { s.Close() }()
	key := mustSeries(t, s, 1)[0]
	const minute = 60_000
	base := int64(t0 - t0%minute)
	mustAppend(t, s, Point{key, base + 10, Int(4)}, Point{key, base + 20, Text("off")}, Point{key, base + 30, Float(1.5)},
		Point{key, base + 40, Float(math.NaN())}, Point{key, base + 3*minute, Text("x")})
	foldAll(t, s)
	// Late, and the same time again: the last value written counts.
	mustAppend(t, s, Point{key, base + 5, Int(-1)}, Point{key, base + 10, Int(8)}, Point{key, base + minute - 1, Bool(true)})
	want := []Bucket{
		{FromMS: base, Count: 6, Numbers: 4, Min: -1, Max: 8, Avg: (-1 + 8 + 1.5 + 1) / 4,
			First: Sample{base + 5, Int(-1)}, Last: Sample{base + minute - 1, Bool(true)}},
		{FromMS: base + 3*minute, Count: 1, First: Sample{base + 3*minute, Text("x")}, Last: Sample{base + 3*minute, Text("x")}},
	}
	same := cmp.AllowUnexported(Value{})
	for _, when := range []string{"written", "reopened", "folded"} {
		switch when {
		case "reopened":
			s = reopen(t, s, opts)
		case "folded":
			foldAll(t, s)
		}
		if diff := cmp.Diff(want, mustBuckets(t, s, key, BucketQuery{EveryMS: minute}), same); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", when, diff)
		}
	}
	if got := mustBuckets(t, s, key, BucketQuery{EveryMS: minute, Limit: 1}); len(got) != 1 || got[0].Count != 6 {
		t.Errorf("with a limit of 1: %+v", got)
	}
	got := mustBuckets(t, s, key, BucketQuery{EveryMS: minute, From: base + 20, To: base + 30})
	if len(got) != 1 || got[0].Count != 2 || got[0].Numbers != 1 || got[0].FromMS != base {
		t.Errorf("a part of a span: %+v", got)
	}
	if _, err := s.Buckets(context.Background(), key, BucketQuery{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("without a span: %v", err)
	}
}

// TestBucketsPages sums up more points than are read at a time.
func TestBucketsPages(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	defer s.Close()
	key := mustSeries(t, s, 1)[0]
	const n = 2*bucketPage + 123
	base := int64(t0 - t0%n)
	points := make([]Point, n)
	for i := range points {
		points[i] = Point{key, base + int64(i), Int(int64(i))}
	}
	mustAppend(t, s, points...)
	got := mustBuckets(t, s, key, BucketQuery{EveryMS: n})
	if len(got) != 1 || got[0].Count != n || got[0].Min != 0 || got[0].Max != n-1 || math.Abs(got[0].Avg-(n-1)/2.) > 1e-6 {
		t.Errorf("%d points in one bucket: %+v", n, got)
	}
	if got := mustBuckets(t, s, key, BucketQuery{EveryMS: 1, Limit: n}); len(got) != MaxBuckets {
		t.Errorf("%d buckets, allowed are %d", len(got), MaxBuckets)
	}
}

// TestBucketOverflow shows that means of the greatest numbers stay numbers.
func TestBucketOverflow(t *testing.T) {
	var b Bucket
	for i, f := range []float64{math.MaxFloat64, -math.MaxFloat64, math.MaxFloat64} {
		b.add(Sample{int64(i), Float(f)})
	}
	if math.IsInf(b.Avg, 0) || math.IsNaN(b.Avg) || b.Avg < 0 || b.Min != -math.MaxFloat64 || b.Numbers != 3 {
		t.Errorf("%+v", b)
	}
}

// TestBucketsText shows that great texts bound an answer and that the rest can
// be asked for.
func TestBucketsText(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	defer s.Close()
	key := mustSeries(t, s, 1)[0]
	const n = 20
	for i := range int64(n) {
		mustAppend(t, s, Point{key, t0 + i, Text(strings.Repeat(string(rune('a'+i)), MaxValueSize))})
	}
	var seen int64
	for from, answers := int64(t0), 0; seen < n; answers++ {
		got := mustBuckets(t, s, key, BucketQuery{EveryMS: 1, From: from})
		if len(got) == 0 || len(got) > 5 || answers > n {
			t.Fatalf("answer %d has %d buckets of 2 MiB", answers, len(got))
		}
		for _, b := range got {
			text, _ := b.Last.Value.Str()
			if b.FromMS != t0+seen || len(text) != MaxValueSize || text[0] != byte('a'+seen) {
				t.Fatalf("bucket %d begins at %d with %.3q", seen, b.FromMS-t0, text)
			}
			seen++
		}
		from = got[len(got)-1].FromMS + 1
	}
}
