package queue

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestBatchAllocatesNothing(t *testing.T) {
	m := &Message{Topic: "a/b/c", Payload: make([]byte, 200), QoS: 1, Properties: make([]byte, 20), ExpiresMS: 1, Publisher: "device", SubscriptionIDs: []uint32{1}}
	record := make([]byte, 100)
	var b Batch
	fill := func() {
		b.Reset()
		for sid := SessionID(1); sid < 50; sid++ {
			b.Append(sid, 1, m)
			b.SetState(sid, 1, Sent, 1)
			b.Delete(sid, 1)
			b.DeleteThrough(sid, 1)
			b.Clear(sid)
			b.PutSession(sid, record)
			b.PutReceived(sid, 1)
			b.PutRetained(7, "a/b/c", m)
		}
	}
	fill()
	if n := testing.AllocsPerRun(100, fill); n != 0 {
		t.Errorf("filling a used batch allocates %v times", n)
	}
}

// loop submits batches as an event loop does: some under way at a time.
type loop struct {
	log   *Log
	free  chan *turn
	wrong func(error)
}

type turn struct {
	loop  *loop
	batch *Batch
}

func (t *turn) Committed(err error) {
	if err != nil {
		t.loop.wrong(err)
	}
	t.batch.Reset()
	t.loop.free <- t
}

func newLoop(b *testing.B, l *Log, turns int) *loop {
	lp := &loop{log: l, free: make(chan *turn, turns), wrong: func(err error) { b.Error(err) }}
	for range turns {
		lp.free <- &turn{loop: lp, batch: new(Batch)}
	}
	return lp
}

func (lp *loop) drain() {
	for range cap(lp.free) {
		<-lp.free
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const benchDevices = 100_000

// BenchmarkAppend measures messages of 250 bytes for 100,000 devices, in turns of
// 500 from two loops, two turns of each under way.
func BenchmarkAppend(b *testing.B) {
	for _, d := range durabilities {
		b.Run(d.String(), func(b *testing.B) {
			l := open(b, Options{Dir: b.TempDir(), Durability: d})
			const perTurn, loops = 500, 2
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime()
			var wg sync.WaitGroup
			for n := range loops {
				wg.Go(func() {
					rnd := rand.NewChaCha8([32]byte{byte(n)})
					device := rand.New(rnd)
					lp := newLoop(b, l, 2)
					m := &Message{Topic: "/sys/a1B2c3/device/thing/service/property/set", Payload: make([]byte, 200), QoS: 1, PublishedMS: 1_700_000_000_000, Publisher: "server"}
					for seq := n; seq < b.N; {
						t := <-lp.free
						for range perTurn {
							if seq >= b.N {
								break
							}
							_, _ = rnd.Read(m.Payload[:100]) // half of it does not compress
							t.batch.Append(SessionID(device.IntN(benchDevices)), Seq(seq+1), m)
							seq += loops
						}
						l.Submit(t.batch, t)
					}
					lp.drain()
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
			m := l.Metrics()
			b.ReportMetric(float64(m.Changes)/float64(m.Groups), "msg/sync")
		})
	}
}

// filled gives a log with 20 messages of 250 bytes for each of 10,000 devices.
func filled(b *testing.B) *Log {
	l := open(b, Options{Dir: b.TempDir(), Durability: WriteToMemory})
	rnd := rand.NewChaCha8([32]byte{1})
	m := &Message{Topic: "/sys/a1B2c3/device/thing/service/property/set", Payload: make([]byte, 200), QoS: 1, PublishedMS: 1_700_000_000_000}
	for seq := Seq(1); seq <= 20; seq++ {
		for from := 0; from < 10_000; from += 500 {
			mustSubmit(b, l, func(batch *Batch) {
				for sid := from; sid < from+500; sid++ {
					_, _ = rnd.Read(m.Payload[:100])
					batch.Append(SessionID(sid), seq, m)
				}
			})
		}
	}
	return l
}

func BenchmarkRead(b *testing.B) {
	l := filled(b)
	mustSubmit(b, l, func(batch *Batch) {
		for seq := Seq(1); seq <= 100; seq++ {
			batch.Append(1<<32, seq, &Message{Topic: "/sys/a1B2c3/device/thing/service/property/set", Payload: make([]byte, 200), QoS: 1})
		}
	})
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, bench := range []struct {
		name string
		want int
		sid  func() SessionID
	}{
		{"20 of one among 10000 devices", 20, func() SessionID { return SessionID(rnd.IntN(10_000)) }},
		{"100 of one device", 100, func() SessionID { return 1 << 32 }},
		{"none", 0, func() SessionID { return 1 << 33 }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				items, err := l.Read(bench.sid(), 0, 100, 1<<20)
				if err != nil || len(items) != bench.want {
					b.Fatal(len(items), err)
				}
			}
		})
	}
}

// BenchmarkClear clears one device a turn, and reads another each time as a
// reconnecting fleet would.
func BenchmarkClear(b *testing.B) {
	l := filled(b)
	sid := 0
	for _, read := range []bool{false, true} {
		b.Run(fmt.Sprintf("reading=%v", read), func(b *testing.B) {
			for b.Loop() {
				mustSubmit(b, l, func(batch *Batch) { batch.Clear(SessionID(sid)) })
				sid++
				if read {
					if _, err := l.Read(SessionID(sid%10_000), 0, 100, 1<<20); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkRoundTrip is the life of most messages: queued, sent, acknowledged.
func BenchmarkRoundTrip(b *testing.B) {
	l := open(b, Options{Dir: b.TempDir()})
	m := &Message{Topic: "/sys/a1B2c3/device/thing/service/property/set", Payload: make([]byte, 200), QoS: 1}
	lp := newLoop(b, l, 4)
	b.ReportAllocs()
	cpu := cpuTime()
	n := Seq(0)
	for b.Loop() {
		t := <-lp.free
		for sid := range SessionID(100) {
			t.batch.Append(sid, n+1, m)
			t.batch.SetState(sid, n+1, Sent, 1)
			if n > 0 {
				t.batch.Delete(sid, n)
			}
		}
		n++
		l.Submit(t.batch, t)
	}
	b.StopTimer()
	lp.drain()
	b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(n)/100, "cpu-ns/msg")
}

// BenchmarkCommit is one batch by itself, from Submit until it is reported, fsync
// included: so many messages of 250 bytes to as many sessions.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint("messages=", size), func(b *testing.B) {
			l := open(b, Options{Dir: b.TempDir()})
			m := &Message{Topic: "/sys/a1B2c3/device/thing/service/property/set", Payload: make([]byte, 200), QoS: 1}
			batch, done := new(Batch), make(outcome, 1)
			seq := Seq(0)
			b.ReportAllocs()
			for b.Loop() {
				seq++
				batch.Reset()
				for sid := range SessionID(size) {
					batch.Append(sid, seq, m)
				}
				l.Submit(batch, done)
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/msg")
		})
	}
}
