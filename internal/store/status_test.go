package store

import (
	"testing"
	"time"
)

func waitsFor(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestStatusWindow: what is written of a device's connection waits for others of its
// kind, for no longer than its window, and hurries as soon as something else comes,
// when there is much of it, and when it is a first login.
func TestStatusWindow(t *testing.T) {
	const window = 2 * time.Millisecond
	online := status{online: t0}
	fresh := func() *queue { return newQueue(window, 1<<20) }

	q, before := fresh(), time.Now()
	if _, ok := q.wait(); ok {
		t.Error("something waits in an empty queue")
	}
	q.setStatus(1, online, true)
	first := q.next.due
	if !waitsFor(q.kick) || first.Before(before.Add(statusWindow)) || first.After(time.Now().Add(statusWindow)) {
		t.Errorf("a state is due at %v, it came after %v", first, before)
	}
	q.setStatus(2, online, true)
	if !q.next.due.Equal(first) || waitsFor(q.kick) || waitsFor(q.urgent) {
		t.Errorf("a second state moved the first from %v to %v", first, q.next.due)
	}
	if err := q.append([]Point{{SeriesKey{1, Property, "v"}, t0, Int(1)}}, false, nil, newSeriesCache(10)); err != nil {
		t.Fatal(err)
	}
	if due := q.next.due; !waitsFor(q.kick) || due.After(time.Now().Add(window)) || len(q.next.status) != 2 {
		t.Errorf("with a point %d states are due at %v", len(q.next.status), due)
	}
	due := q.next.due
	q.setStatus(3, online, true)
	if !q.next.due.Equal(due) || waitsFor(q.kick) {
		t.Error("a state put off the point that it came behind")
	}

	q = fresh()
	q.setStatus(1, online, false)
	if due := q.next.due; !waitsFor(q.kick) || due.After(time.Now().Add(window)) {
		t.Errorf("a first login is due at %v", due)
	}

	q = fresh()
	for device := range int64(statusBound) {
		if waitsFor(q.urgent) {
			t.Errorf("%d states are urgent", device)
		}
		q.setStatus(device, online, true)
		q.setStatus(device, online, true)
	}
	if !waitsFor(q.urgent) {
		t.Errorf("%d states are not urgent", statusBound)
	}
}

// TestStatusIsWritten: a state is written with nothing else behind it.
func TestStatusIsWritten(t *testing.T) {
	opts := testOptions(t)
	opts.Window = time.Millisecond
	s := mustOpen(t, opts)
	mustProduct(t, s)
	dev := mustDevice(t, s, "dev1")
	await := func(what string, ok func(Device) bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			got, err := s.Device(t.Context(), "a1prod", "dev1")
			if err != nil || time.Now().After(end) {
				t.Fatalf("%s: %+v, %v", what, got, err)
			}
			if ok(got) {
				return
			}
		}
	}
	at := func(ms int64) time.Time { return time.UnixMilli(t0 + ms) }
	s.Activate(dev.ID, at(1), "192.0.2.1:1")
	await("first login", func(d Device) bool { return d.ActivatedAt.Equal(at(1)) && d.LastOnlineAt.Equal(at(1)) })
	s.SetOffline(dev.ID, at(2), "")
	await("offline", func(d Device) bool { return d.LastOfflineAt.Equal(at(2)) })
	s.SetOnline(dev.ID, at(3), "192.0.2.1:3")
	await("online", func(d Device) bool {
		return d.ActivatedAt.Equal(at(1)) && d.LastOnlineAt.Equal(at(3)) && d.LastAddr == "192.0.2.1:3"
	})
}
