package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestHistoryModel does the same at random to a store and to plain maps, folding,
// killing memory by reopening, and compares what is read.
func TestHistoryModel(t *testing.T) {
	ctx := context.Background()
	rapid.Check(t, func(rt *rapid.T) {
		opts := testOptions(t)
		s := mustOpen(t, opts)
		defer func() { s.Close() }()
		keys := mustSeries(t, s, 3)
		model := make([]map[int64]int64, len(keys))
		for i := range model {
			model[i] = map[int64]int64{}
		}
		scale := rapid.SampledFrom([]int64{1, 60_000, 3_600_000}).Draw(rt, "scale") // makes gaps
		at := rapid.Map(rapid.Int64Range(-100, 100), func(i int64) int64 { return t0 + i*scale })
		series := rapid.IntRange(0, len(keys)-1)
		var written int64
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				var points []Point
				for range rapid.IntRange(1, 60).Draw(rt, "n") {
					i, ms := series.Draw(rt, "series"), at.Draw(rt, "time")
					written++
					points = append(points, Point{keys[i], ms, Int(written)})
					model[i][ms] = written
				}
				mustAppend(t, s, points...)
			},
			"fold":   func(rt *rapid.T) { foldAll(t, s) },
			"reopen": func(rt *rapid.T) { s = reopen(t, s, opts) },
			"range": func(rt *rapid.T) {
				i := series.Draw(rt, "series")
				q := RangeQuery{From: at.Draw(rt, "from"), To: at.Draw(rt, "to"),
					Limit: rapid.IntRange(1, 80).Draw(rt, "limit"), Descending: rapid.Bool().Draw(rt, "descending")}
				got, err := s.Range(ctx, keys[i], q)
				if err != nil {
					rt.Fatal(err)
				}
				var want []Sample
				for ms, v := range model[i] {
					if ms >= q.From && ms <= q.To {
						want = append(want, Sample{ms, Int(v)})
					}
				}
				want = normalize(want)
				if q.Descending {
					slices.Reverse(want)
				}
				want = want[:min(len(want), q.Limit)]
				if d := cmp.Diff(show(want), show(got)); d != "" {
					rt.Fatalf("%+v (-want +got)\n%s", q, d)
				}
			},
			"latest": func(rt *rapid.T) {
				got, err := s.Latest(ctx, keys[0].DeviceID)
				if err != nil {
					rt.Fatal(err)
				}
				var want []string
				for i, points := range model {
					greatest := int64(-1)
					for ms := range points {
						greatest = max(greatest, ms)
					}
					if greatest >= 0 {
						want = append(want, fmt.Sprint(keys[i].Identifier, greatest, points[greatest]))
					}
				}
				var have []string
				for _, v := range got {
					n, _ := v.Value.Int64()
					have = append(have, fmt.Sprint(v.Identifier, v.TimeMS, n))
				}
				if d := cmp.Diff(want, have); d != "" {
					rt.Fatalf("(-want +got)\n%s", d)
				}
			},
		})
	})
}

// TestReadersSeeEveryCommittedPoint reads while points are written and folded: a
// point whose commit was reported is in every later answer.
func TestReadersSeeEveryCommittedPoint(t *testing.T) {
	ctx := context.Background()
	opts := testOptions(t)
	opts.MaxHeads = 3 * headOverhead // nearly everything is folded at once
	s := mustOpen(t, opts)
	keys := mustSeries(t, s, 4)
	var wg sync.WaitGroup
	for _, key := range keys {
		wg.Go(func() {
			for i := range int64(200) {
				if err := appendWait(s, Point{key, t0 + i, Int(i)}); err != nil {
					t.Error(err)
					return
				}
				got, err := s.Range(ctx, key, RangeQuery{Limit: 5000})
				if err != nil || len(got) != int(i)+1 {
					t.Errorf("%d points after %d commits, %v", len(got), i+1, err)
					return
				}
				latest, err := s.Latest(ctx, key.DeviceID)
				j := slices.IndexFunc(latest, func(v LatestValue) bool { return v.Identifier == key.Identifier })
				if err != nil || j < 0 || latest[j].TimeMS != t0+i {
					t.Errorf("the latest value is %v after point %d, %v", latest, i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A limit makes Range stop reading chunks early; late points in between must not
// be missed for it.
func TestRangeLimitSeesLatePoints(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	keys := mustSeries(t, s, 1)
	key := keys[0]
	for from := int64(0); from < 1000; from += 50 {
		var points []Point
		for i := from; i < from+50; i++ {
			if i != 500 {
				points = append(points, Point{key, t0 + i*1000, Int(i)})
			}
		}
		mustAppend(t, s, points...)
		foldAll(t, s)
	}
	mustAppend(t, s, Point{key, t0 + 500_000, Int(-1)}, Point{key, t0 + 999_000, Int(-2)})
	foldAll(t, s)
	wantStrings(t, mustRange(t, s, key, RangeQuery{From: t0 + 499_000, Limit: 3}), "499000=499", "500000=-1", "501000=501")
	wantStrings(t, mustRange(t, s, key, RangeQuery{To: t0 + 501_000, Limit: 3, Descending: true}), "501000=501", "500000=-1", "499000=499")
	wantStrings(t, mustRange(t, s, key, RangeQuery{Limit: 1, Descending: true}), "999000=-2")
	if got := mustRange(t, s, key, RangeQuery{}); len(got) != 1000 {
		t.Errorf("%d points, want the default limit of 1000", len(got))
	}
	wantStrings(t, mustRange(t, s, key, RangeQuery{From: t0 + 10, To: t0}))
	wantStrings(t, mustRange(t, s, SeriesKey{key.DeviceID, Event, key.Identifier}, RangeQuery{}))
}
