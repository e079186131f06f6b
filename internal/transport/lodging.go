package transport

import "time"

// While there is little to do, one loop does the work of all of them. A message
// from a client of one loop to a client of another costs a wake-up more than one
// within a loop, and messages that come close together wake a thread each where one
// thread would take them together; with a processor to spare that is a good trade,
// with mostly sleeping loops it is only cost. So a loop that has been calm for a
// while lodges with the first one, its host: the host waits for both and runs the
// guest's turns between its own, while the guest's goroutine waits to be sent home.
// That happens as soon as the host has more than half of its time to do, or somebody
// floods: the neighbours on other loops are not to wait for that. Nothing
// else changes: connections, timers and tasks stay the guest's, and only one
// goroutine runs a loop at any time.

const (
	// loadWindow is the time over which a loop's share of work is taken.
	loadWindow = 5 * time.Millisecond
	// calmShare is the percentage of work up to which a loop is calm, and
	// calmWindows how many windows in a row have to be before it lodges.
	calmShare   = 20
	calmWindows = 40
	// fullShare is the percentage of work from which a host sends its guests home.
	fullShare = 50
	// guestRounds is how often a host and its guests have turns before they look
	// for sockets again, if they have something for each other.
	guestRounds = 4
)

// sharer is a driver whose wait can include that of another loop.
type sharer interface {
	// adopt has wait set called of the guest at this place when its driver has
	// something, wake included.
	adopt(guest *Loop, place int) error
	// dismiss ends that.
	dismiss(guest *Loop)
}

// load measures how much of its time a loop works.
type load struct {
	since int64 // loop time at which the window began
	busy  time.Duration
	calm  int // windows in a row that were
}

// note adds a turn and returns the percentage of work when a window ends, -1 before.
func (w *load) note(took time.Duration, now int64) int {
	w.busy += took
	elapsed := now + int64(took) - w.since
	if elapsed < int64(loadWindow) {
		return -1
	}
	share := int(100 * int64(w.busy) / elapsed)
	w.since, w.busy = now+int64(took), 0
	if share <= calmShare {
		w.calm++
	} else {
		w.calm = 0
	}
	return share
}

// relaxed reports whether the loop is calm at a time, also if nothing happened lately.
func (w *load) relaxed(now int64) bool {
	if elapsed := now - w.since; elapsed >= int64(loadWindow) {
		return 100*int64(w.busy) <= calmShare*elapsed
	}
	return w.calm > 0
}

// rest has the loop lodge with the first one if it has been calm for long enough,
// and returns when it is on its own again.
func (l *Loop) rest(took time.Duration) {
	if l.load.note(took, l.nowNano) < 0 || l.load.calm < calmWindows || !l.lodges || l.index == 0 || l.flooding() || l.server.closing.Load() {
		return
	}
	l.load.calm = 0
	host := l.server.loops[0]
	host.Post(lodge{l})
	select {
	case <-l.home:
	case <-host.gone:
	}
	l.tick()
	l.load.since, l.load.busy = l.nowNano, 0
}

// lodge is a loop that asks to be a guest.
type lodge struct{ guest *Loop }

// Run takes the guest in if the loop is calm, too.
func (t lodge) Run(l *Loop) {
	if l.stop || l.flooding() || !l.load.relaxed(l.nowNano) || l.driver.(sharer).adopt(t.guest, len(l.guests)) != nil {
		t.guest.home <- struct{}{}
		return
	}
	t.guest.called = true // what came in the meantime
	l.guests = append(l.guests, t.guest)
}

// sendHome has all guests run by themselves again.
func (l *Loop) sendHome() {
	for i, g := range l.guests {
		l.guests[i] = nil
		l.driver.(sharer).dismiss(g)
		g.home <- struct{}{}
	}
	l.guests = l.guests[:0]
	l.load.calm = 0
}

// share is a turn of the loop and of those of its guests that have something to do.
func (l *Loop) share() {
	d := l.patience()
	for _, g := range l.guests {
		if p := g.patience(); p >= 0 && (d < 0 || p < d) {
			d = p
		}
	}
	l.driver.wait(l, d)
	l.tick()
	begun := l.now
	for range guestRounds {
		l.turn()
		end := time.Now()
		l.turns.Observe(int64(end.Sub(begun)))
		for _, g := range l.guests {
			g.now, g.nowNano = l.now, g.start.UnixNano()+int64(l.now.Sub(g.start))
			if g.called {
				g.called = false
				g.driver.wait(g, 0)
			} else if !g.inbox.filled.Load() && g.patience() != 0 {
				continue
			}
			begun = end
			g.turn()
			end = time.Now()
			g.turns.Observe(int64(end.Sub(begun)))
		}
		begun = end
		if !l.inbox.filled.Load() {
			break
		}
	}
	full := l.load.note(begun.Sub(l.now), l.nowNano) >= fullShare || l.flooding()
	for _, g := range l.guests {
		full = full || g.stop || g.flooding()
	}
	if full || l.stop {
		l.sendHome()
	}
}

// doze announces that the loop and its guests are about to wait, and reports
// whether they may.
func (l *Loop) doze() bool {
	for _, g := range l.guests {
		if !g.inbox.sleep() {
			return false
		}
	}
	return l.inbox.sleep()
}

// rouse ends what doze announced.
func (l *Loop) rouse() {
	l.inbox.awake()
	for _, g := range l.guests {
		g.inbox.awake()
	}
}
