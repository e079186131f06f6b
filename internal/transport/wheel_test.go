package transport

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWheel compares the wheel with a list of deadlines.
func TestWheel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const ms = int64(time.Millisecond)
		now := rapid.Int64Range(0, 1<<40).Draw(t, "start")
		w := &wheel{at: now / int64(wheelTick)}
		deadlines := map[*Conn]int64{}
		due := func(c *Conn) {
			at, ok := deadlines[c]
			if !ok {
				t.Fatal("a connection came up that is not in")
			}
			if at > now { // parked nearer than it is due
				w.add(c, at)
				return
			}
			delete(deadlines, c)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				c := &Conn{wheelSlot: -1}
				// Up to two hours: further than the wheel reaches.
				at := now + rapid.Int64Range(-50, 7_200_000).Draw(t, "in")*ms/rapid.Int64Range(1, 10_000).Draw(t, "divisor")
				w.add(c, at)
				deadlines[c] = max(at, w.at*int64(wheelTick)+1) // the past comes up in the next tick
			},
			"remove": func(t *rapid.T) {
				for c := range deadlines {
					w.remove(c)
					w.remove(c)
					delete(deadlines, c)
					break
				}
			},
			"advance": func(t *rapid.T) {
				now += rapid.Int64Range(0, 3_000_000).Draw(t, "by") * ms / rapid.Int64Range(1, 10_000).Draw(t, "divisor")
				w.advance(now, due)
			},
			"sleep until next": func(t *rapid.T) {
				if next := w.next(); next >= 0 {
					now = max(now, next*int64(wheelTick))
					w.advance(now, due)
				}
			},
			"": func(t *rapid.T) {
				// Nothing is more than a tick late.
				for _, at := range deadlines {
					if w.at*int64(wheelTick) >= at+int64(wheelTick) {
						t.Fatalf("overdue by %v", time.Duration(w.at*int64(wheelTick)-at))
					}
				}
				if (len(deadlines) == 0) != (w.next() < 0) {
					t.Fatalf("%d in the wheel, next %d", len(deadlines), w.next())
				}
			},
		})
	})
}

// TestTimers compares the heap with a list.
func TestTimers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := fakeLoop(newRecorder())
		l.nowNano = 1 << 40
		waiting := map[*Timer]bool{}
		start := func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(-10, 1000).Draw(t, "after"))
		}
		var last int64
		any := func() *Timer {
			for timer := range waiting {
				return timer
			}
			return nil
		}
		t.Repeat(map[string]func(*rapid.T){
			"after": func(t *rapid.T) {
				var timer *Timer
				timer = l.After(start(t), taskFunc(func(l *Loop) {
					if !waiting[timer] || timer.at > l.nowNano || timer.at < last {
						t.Fatalf("timer for %d runs at %d, after one for %d; waiting: %v", timer.at, l.nowNano, last, waiting[timer])
					}
					last = timer.at
					delete(waiting, timer)
				}))
				waiting[timer] = true
			},
			"stop": func(t *rapid.T) {
				if timer := any(); timer != nil {
					if !timer.Stop() || timer.Stop() {
						t.Fatal("Stop does not tell whether the timer was waiting")
					}
					delete(waiting, timer)
				}
			},
			"reset": func(t *rapid.T) {
				if timer := any(); timer != nil {
					timer.Reset(start(t))
				}
			},
			"advance": func(t *rapid.T) {
				l.nowNano += int64(start(t)) + 10
				last = 0
				l.runTimers()
				for timer := range waiting {
					if timer.at <= l.nowNano {
						t.Fatal("a timer did not run")
					}
				}
			},
		})
	})
}
