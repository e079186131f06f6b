package store

import (
	"context"
	"fmt"
	"math"
	"strings"
)

// Bucket sums up the points of a series in one span of time, as a chart needs
// them. Min, Max and Avg are of the numbers among the points (truth values count
// as 0 and 1; texts, documents, null, NaN and infinities do not) and mean
// nothing if Numbers is 0.
type Bucket struct {
	FromMS      int64 // UTC milliseconds, a multiple of BucketQuery.EveryMS
	Count       int   // points of any type
	Numbers     int   // those that are numbers
	Min, Max    float64
	Avg         float64
	First, Last Sample // of any type, by time
}

// MaxBuckets is how many buckets Buckets returns at most.
const MaxBuckets = 10_000

// maxBucketText is how many bytes of first and last texts an answer may hold when
// it begins another bucket.
const maxBucketText = 8 << 20

// bucketPage is how many points are in memory at a time while they are summed up.
const bucketPage = 10_000

// BucketQuery selects points of a series and how they are summed up.
type BucketQuery struct {
	From, To int64 // ms, both included; To 0 means no end
	EveryMS  int64 // the span of a bucket, at least 1
	Limit    int   // at most this many buckets: DefaultRangeLimit if 0, MaxBuckets at most
}

// Buckets sums up what Range would return, oldest first. Spans without a point
// have no bucket. With more buckets than the limit, or more than 8 MiB of texts in
// them, the first are returned, complete; the next begins after the last one's
// span. The points are read in pages: one that is stored meanwhile may or
// may not be counted. Errors are Range's, and ErrInvalid without a span.
func (s *Store) Buckets(ctx context.Context, key SeriesKey, q BucketQuery) ([]Bucket, error) {
	if q.EveryMS < 1 {
		return nil, &Error{Kind: KindInvalid, Op: "sum up history",
			Key: fmt.Sprintf("of device %d, %.40q", key.DeviceID, key.Identifier),
			Err: fmt.Errorf("a bucket of %d ms is not at least 1 ms long", q.EveryMS)}
	}
	if q.Limit <= 0 {
		q.Limit = DefaultRangeLimit
	}
	q.Limit = min(q.Limit, MaxBuckets)
	var (
		out  []Bucket
		text int
	)
	page := RangeQuery{From: q.From, To: q.To, Limit: bucketPage}
	for {
		points, more, err := s.Page(ctx, key, page)
		if err != nil {
			return nil, err
		}
		for i := range points {
			from := points[i].TimeMS - points[i].TimeMS%q.EveryMS
			if len(out) == 0 || out[len(out)-1].FromMS != from {
				if len(out) > 0 {
					text += out[len(out)-1].close()
				}
				if len(out) == q.Limit || text > maxBucketText {
					return out, nil
				}
				out = append(out, Bucket{FromMS: from, First: points[i]})
			}
			out[len(out)-1].add(points[i])
		}
		if !more {
			if len(out) > 0 {
				out[len(out)-1].close()
			}
			return out, nil
		}
		// MaxTime may be passed here; Range then has nothing to return.
		page.From = points[len(points)-1].TimeMS + 1
	}
}

// add counts a point that is later than those before it.
func (b *Bucket) add(p Sample) {
	b.Count++
	b.Last = p
	f, ok := p.Value.Float64()
	if !ok {
		var i int64
		i, ok = p.Value.Int64()
		f = float64(i)
	}
	if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		return
	}
	b.Numbers++
	if b.Numbers == 1 {
		b.Min, b.Max, b.Avg = f, f, f
		return
	}
	b.Min, b.Max = min(b.Min, f), max(b.Max, f)
	// A running mean: a sum of great numbers could overflow to infinity, and so
	// could the difference of two of opposite sign.
	n := float64(b.Numbers)
	b.Avg += f/n - b.Avg/n
}

// close copies the texts that the bucket keeps, as they hold on to the whole
// chunk that they were read from, and returns their size in bytes.
func (b *Bucket) close() int {
	b.First.Value.text = strings.Clone(b.First.Value.text)
	b.Last.Value.text = strings.Clone(b.Last.Value.text)
	return len(b.First.Value.text) + len(b.Last.Value.text)
}
