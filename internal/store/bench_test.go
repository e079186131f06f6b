package store

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// lastOf is a Done that waits for the last of many.
type lastOf struct{ left chan struct{} }

func (l lastOf) Committed(err error) {
	if err != nil {
		panic(err)
	}
	l.left <- struct{}{}
}

// cpu is the processor time this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppend is the whole way of a point: Append, commit with fsync, fold.
// 5,000 series, interleaved, in batches of so many points; 64 batches
// wait at a time. CPU-ns/point is processor time of the whole process.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint("batch=", size), func(b *testing.B) {
			opts := testOptions(b)
			opts.Durability = DurabilityDisk
			opts.Window = 0
			s := mustOpen(b, opts)
			mustProduct(b, s)
			var keys []SeriesKey
			devices, err := s.CreateDevices(context.Background(), namelessDevices(500))
			if err != nil {
				b.Fatal(err)
			}
			for _, dev := range devices {
				for p := range 10 {
					keys = append(keys, SeriesKey{dev.Device.ID, Property, fmt.Sprint("property", p)})
				}
			}
			points := make([]Point, size)
			done := lastOf{make(chan struct{}, 64)}
			n := 0
			fill := func() {
				for i := range points {
					k := n % len(keys)
					points[i] = Point{keys[k], t0 + int64(n/len(keys))*1000, Float(20 + float64(n%37)/10)}
					n++
				}
			}
			for n < len(keys) { // every series is known
				fill()
				s.Append(points, done)
				<-done.left
			}
			const waiting = 64
			b.ReportAllocs()
			b.ResetTimer()
			start, from, flying := cpu(b), n, 0
			for n-from < b.N {
				fill()
				s.Append(points, done)
				if flying++; flying == waiting {
					<-done.left
					flying--
				}
			}
			for range flying {
				<-done.left
			}
			b.ReportMetric(float64(cpu(b)-start)/float64(n-from), "CPU-ns/point")
		})
	}
}

// BenchmarkRange reads 200 points of a series of 20,000, nearly all in chunks.
func BenchmarkRange(b *testing.B) {
	ctx := context.Background()
	s := mustOpen(b, testOptions(b))
	mustProduct(b, s)
	key := SeriesKey{mustDevice(b, s, "dev1").ID, Property, "Temp"}
	var points []Point
	for i := range int64(20_000) {
		points = append(points, Point{key, t0 - 30_000_000 + i*1000, Float(float64(i%400) / 10)})
		if len(points) == 50 {
			mustAppend(b, s, points...)
			points = points[:0]
		}
	}
	for _, bench := range []struct {
		name string
		q    RangeQuery
	}{
		{"middle", RangeQuery{From: t0 - 20_000_000, To: t0 - 20_000_000 + 199_000}},
		{"newest", RangeQuery{Descending: true, Limit: 200}},
		{"oldest", RangeQuery{Limit: 200}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if out, err := s.Range(ctx, key, bench.q); err != nil || len(out) != 200 {
					b.Fatal(len(out), err)
				}
			}
		})
	}
	b.Run("latest", func(b *testing.B) {
		for b.Loop() {
			if out, err := s.Latest(ctx, key.DeviceID); err != nil || len(out) != 1 {
				b.Fatal(len(out), err)
			}
		}
	})
}

// BenchmarkCommit is one round of the writer by itself, fsync included: so many
// points of as many series, from Append until it is reported.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000, 10_000} {
		b.Run(fmt.Sprint("points=", size), func(b *testing.B) {
			opts := testOptions(b)
			opts.Durability = DurabilityDisk
			s := mustOpen(b, opts)
			keys := mustSeries(b, s, size)
			points := make([]Point, size)
			done := lastOf{make(chan struct{}, 1)}
			n := int64(0)
			round := func() {
				for i, key := range keys {
					points[i] = Point{key, t0 + n*1000, Int(n % 50)}
				}
				n++
				s.Append(points, done)
				<-done.left
			}
			round() // every series is known
			b.ReportAllocs()
			for b.Loop() {
				round()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/point")
		})
	}
}

// BenchmarkRangeSizes reads so many points of a series, of numbers and of texts.
func BenchmarkRangeSizes(b *testing.B) {
	ctx := context.Background()
	s := mustOpen(b, testOptions(b))
	mustProduct(b, s)
	dev := mustDevice(b, s, "dev1")
	for _, kind := range []struct {
		name  string
		value func(i int64) Value
	}{
		{"numbers", func(i int64) Value { return Float(float64(i%400) / 10) }},
		{"texts", func(i int64) Value { return Text(fmt.Sprintf("state %d of the machine", i%400)) }},
	} {
		key := SeriesKey{dev.ID, Property, kind.name}
		var points []Point
		for i := range int64(100_000) {
			if points = append(points, Point{key, t0 - 200_000_000 + i*1000, kind.value(i)}); len(points) == 100 {
				mustAppend(b, s, points...)
				points = points[:0]
			}
		}
		for _, n := range []int{1, 100, 10_000, 100_000} {
			b.Run(fmt.Sprint(kind.name, "=", n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if out, err := s.Range(ctx, key, RangeQuery{Limit: n}); err != nil || len(out) != n {
						b.Fatal(len(out), err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/point")
			})
		}
	}
}

// BenchmarkCredentials is the read of every login.
func BenchmarkCredentials(b *testing.B) {
	ctx := context.Background()
	s := mustOpen(b, testOptions(b))
	mustProduct(b, s)
	mustDevice(b, s, "dev1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Credentials(ctx, "a1prod", "dev1"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCreateDevices registers 10,000 devices in one call.
func BenchmarkCreateDevices(b *testing.B) {
	s := mustOpen(b, testOptions(b))
	mustProduct(b, s)
	for b.Loop() {
		out, err := s.CreateDevices(context.Background(), namelessDevices(MaxBulk))
		if err != nil || out[MaxBulk-1].Err != nil {
			b.Fatal(err)
		}
	}
}

// namelessDevices asks for n devices whose names are made up.
func namelessDevices(n int) []NewDevice {
	devices := make([]NewDevice, n)
	for i := range devices {
		devices[i].ProductKey = "a1prod"
	}
	return devices
}
