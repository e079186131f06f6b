package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/mqtt"
)

// edit changes the message store of a server that is stopped.
func (s *server) edit(change func(b *queue.Batch)) {
	s.t.Helper()
	log, err := queue.Open(queue.Options{Dir: s.dir, Durability: queue.WriteToOS, MinFreeBytes: -1})
	if err != nil {
		s.t.Fatal(err)
	}
	b := log.GetBatch()
	change(b)
	done := make(chan error, 1)
	log.Submit(b, committedFunc(func(err error) { done <- err }))
	if err := <-done; err != nil {
		s.t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// retainedOnDisk are the retained messages of a server that is stopped.
func (s *server) retainedOnDisk() (all []string) {
	s.t.Helper()
	log, err := queue.Open(queue.Options{Dir: s.dir, Durability: queue.WriteToOS, MinFreeBytes: -1})
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	if err := log.Retained(func(id queue.RetainedID, topic string, m *queue.Message) error {
		all = append(all, fmt.Sprintf("%d %s %s", id, topic, m.Payload))
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	return all
}

// retain publishes a retained message and waits for its acknowledgement.
func (p *peer) retain(topic, payload string) error {
	if err := p.write((&mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: 1, PacketID: 1, Retain: true}).Append(nil, mqtt.V311)); err != nil {
		return err
	}
	if f, err := p.next(); err != nil || f.Type != mqtt.PUBACK {
		return fmt.Errorf("%v, %w", f.Type, err)
	}
	return nil
}

// TestRetainedOfEarlierLives: of several messages of one topic that a crash has left,
// or an earlier version, the last counts, and the others go.
func TestRetainedOfEarlierLives(t *testing.T) {
	s := mustStart(t, settings{})
	s.stop()
	s.edit(func(b *queue.Batch) {
		for _, r := range []struct {
			id      queue.RetainedID
			topic   string
			payload string
		}{{3, "a", "old"}, {5, "a", "last"}, {0, "a", "oldest"}, {0, "b", "1"}, {0, "d", "1"}, {0, "e", "1"}, {9, "c", "1"}} {
			b.PutRetained(r.id, r.topic, &queue.Message{Topic: r.topic, Payload: []byte(r.payload), Retain: true})
		}
	})
	s.start()
	p := s.connect(&mqtt.Connect{Version: mqtt.V311, ClientID: []byte("p"), CleanStart: true})
	for _, m := range [][2]string{{"b", ""}, {"b", "2"}, {"c", "2"}, {"d", "2"}, {"e", ""}, {"f", "1"}} {
		if err := p.retain(m[0], m[1]); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"a": "last", "b": "2", "c": "2", "d": "2", "f": "1"}
	for topic, payload := range want {
		if m, ok := s.broker.retained.Get(topic); !ok || string(m.payload) != payload {
			t.Errorf("%s has %+v, want %q", topic, m, payload)
		}
	}
	if n := s.broker.retained.Count(); n != len(want) {
		t.Errorf("%d topics, want %d", n, len(want))
	}
	s.stop()
	got := s.retainedOnDisk()
	if diff := cmp.Diff([]string{"5 a last", "9 c 2", "10 b 2", "11 f 1", "0 d 2"}, got); diff != "" {
		t.Errorf("on disk (-want +got)\n%s", diff)
	}
}

// TestRetainedDiskFollowsMemory: clients of several loops change the same topics; then
// the disk holds what memory does, and nothing twice.
func TestRetainedDiskFollowsMemory(t *testing.T) {
	s := mustStart(t, settings{})
	var wg sync.WaitGroup
	for w := range 6 {
		p := s.connect(&mqtt.Connect{Version: mqtt.V311, ClientID: fmt.Appendf(nil, "p%d", w), CleanStart: true})
		wg.Go(func() {
			for i := range 150 {
				payload := ""
				if rand.IntN(3) > 0 {
					payload = fmt.Sprintf("%d/%d", w, i)
				}
				if err := p.retain(fmt.Sprintf("t/%d", rand.IntN(4)), payload); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	s.synced()
	var want []string
	for i := range 4 {
		topic := fmt.Sprintf("t/%d", i)
		if m, ok := s.broker.retained.Get(topic); ok {
			want = append(want, fmt.Sprintf("%d %s %s", m.id, topic, m.payload))
		}
	}
	s.stop()
	got := s.retainedOnDisk()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("memory and disk (-memory +disk)\n%s", diff)
	}
}
