package broker

import (
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/mqtt"
)

// TestRetainedExpire: retained messages are gone from memory and disk when their
// time is up, after a restart too; those that took their place stay.
func TestRetainedExpire(t *testing.T) {
	s := mustStart(t, settings{})
	p := s.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: []byte("p"), CleanStart: true})
	retain := func(topic string, seconds uint32) {
		t.Helper()
		m := mqtt.Publish{Topic: []byte(topic), Payload: []byte("x"), QoS: 1, PacketID: 1, Retain: true}
		if seconds > 0 {
			m.Properties = mqtt.AppendUint32Property(nil, mqtt.PropMessageExpiryInterval, seconds)
		}
		p.send(m.Append(nil, mqtt.V5))
		if f, err := p.next(); err != nil || f.Type != mqtt.PUBACK {
			t.Fatal(f.Type, err)
		}
	}
	retain("short", 1)
	retain("replaced", 1)
	retain("replaced", 1000)
	retain("everlasting", 1)
	retain("everlasting", 0)
	retain("deleted", 1000)
	retain("later", 3)
	p.send((&mqtt.Publish{Topic: []byte("deleted"), Retain: true}).Append(nil, mqtt.V5))
	if err := p.ping(); err != nil {
		t.Fatal(err)
	}
	await := func(gone string) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			if _, there := s.broker.retained.Get(gone); !there {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s is still there", gone)
			}
		}
		for _, topic := range []string{"replaced", "everlasting"} {
			if _, there := s.broker.retained.Get(topic); !there {
				t.Errorf("%s is gone", topic)
			}
		}
	}
	await("short")
	s.stop()
	s.start()
	await("later")
	if n := s.broker.retained.Count(); n != 2 {
		t.Errorf("%d retained messages, want 2", n)
	}
	s.synced()
	s.onLoop(0, func(l *loop) {
		if n := len(l.expiring.list); n != 1 || len(l.expiring.at) != 1 {
			t.Errorf("%d are to expire, want the replaced one", n)
		}
	})
	s.stop()
	log, err := queue.Open(queue.Options{Dir: s.dir, Durability: queue.WriteToOS, MinFreeBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	on := map[string]bool{}
	if err := log.Retained(func(_ queue.RetainedID, topic string, _ *queue.Message) error { on[topic] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(on) != 2 || !on["replaced"] || !on["everlasting"] {
		t.Errorf("on disk are %v", on)
	}
}

// TestExpiringHeap: whatever is changed, the first to end is first.
func TestExpiringHeap(t *testing.T) {
	x := &expiring{}
	var all []*ending
	for range 1000 {
		switch {
		case len(all) == 0 || rand.IntN(3) > 0:
			e := &ending{atMS: rand.Int64N(1000)}
			all = append(all, e)
			heap.Push(x, e)
		case rand.IntN(2) > 0:
			e := all[rand.IntN(len(all))]
			e.atMS = rand.Int64N(1000)
			heap.Fix(x, e.placed)
		default:
			i := rand.IntN(len(all))
			heap.Remove(x, all[i].placed)
			all = append(all[:i], all[i+1:]...)
		}
		least := int64(1 << 62)
		for _, e := range all {
			least = min(least, e.atMS)
			if x.list[e.placed] != e {
				t.Fatal("one does not know its place")
			}
		}
		if len(all) > 0 && x.list[0].atMS != least {
			t.Fatalf("%d is first, not %d", x.list[0].atMS, least)
		}
	}
}
