package broker

import (
	"bytes"
	"testing"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/mqtt"
)

// TestFlippedBitsOfSessions reads session records as a start does, with each bit
// inverted in turn and cut off at each length: nothing panics, and what is too
// short is told as damaged.
func TestFlippedBitsOfSessions(t *testing.T) {
	s := mustStart(t, settings{loops: 1})
	for _, id := range []string{"a", "b", "c"} {
		c := s.connect(&mqtt.Connect{ClientID: []byte(id)})
		c.subscribe("t/"+id, 1)
	}
	s.stop()
	log, err := queue.Open(queue.Options{Dir: s.dir, Durability: queue.WriteToOS, MinFreeBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	records := map[queue.SessionID][]byte{}
	if err := log.Sessions(func(id queue.SessionID, r []byte) error { records[id] = r; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(records) != 3 {
		t.Fatalf("%d sessions are stored", len(records))
	}
	whole := func(b []byte) (*Session, error) {
		s := new(Session)
		err := s.parseRecord(b)
		if err == nil {
			index := topics.New[*Session]()
			for _, sub := range s.subs.list {
				index.Subscribe(sub.filter, s, sub.options, sub.id)
			}
		}
		return s, err
	}
	for id, r := range records {
		if _, err := whole(r); err != nil {
			t.Fatalf("session %d: %v", id, err)
		}
		for bit := range 8 * len(r) {
			b := bytes.Clone(r)
			b[bit/8] ^= 1 << (bit % 8)
			_, _ = whole(b) // must not panic, nor take memory for a length that is not there
		}
		for n := range r {
			if _, err := whole(r[:n]); err == nil {
				t.Errorf("session %d: %d bytes of %d are taken for a record", id, n, len(r))
			}
		}
	}
}
