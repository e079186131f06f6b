package queue

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// model is what the store should hold, kept in maps.
type model struct {
	items    map[SessionID]map[Seq]Item
	received map[SessionID]map[uint16]bool
	records  map[SessionID]string
	retained map[modelRetained]Message
}

// modelRetained is what names a retained message: its identifier, or if that is 0
// its topic.
type modelRetained struct {
	id    RetainedID
	topic string
}

const modelSessions = 3

// TestAgainstModel runs random batches against the store and against maps, with
// reopenings and compactions between them, and compares what can be read.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l, err := OpenMemory()
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		m := model{map[SessionID]map[Seq]Item{}, map[SessionID]map[uint16]bool{}, map[SessionID]string{}, map[modelRetained]Message{}}
		next := map[SessionID]Seq{}
		for sid := SessionID(0); sid < modelSessions; sid++ {
			m.items[sid], m.received[sid] = map[Seq]Item{}, map[uint16]bool{}
		}
		for range rapid.IntRange(1, 12).Draw(rt, "batches") {
			// Several under way at once, so that deletions meet what is not
			// written yet.
			var under []outcome
			for range rapid.IntRange(1, 4).Draw(rt, "at once") {
				b, done := l.GetBatch(), make(outcome, 1)
				for range rapid.IntRange(0, 8).Draw(rt, "changes") {
					m.change(rt, b, next)
				}
				l.Submit(b, done)
				under = append(under, done)
			}
			for _, done := range under {
				if err := <-done; err != nil {
					rt.Fatal(err)
				}
			}
			switch rapid.IntRange(0, 9).Draw(rt, "between") {
			case 0:
				if err := l.Close(); err != nil {
					rt.Fatal(err)
				}
				if l, err = Open(l.opts); err != nil {
					rt.Fatal(err)
				}
			case 1:
				if err := l.engine.db.Flush(); err != nil {
					rt.Fatal(err)
				}
			}
			m.compare(rt, l)
		}
	})
}

func (m *model) change(t *rapid.T, b *Batch, next map[SessionID]Seq) {
	sid := SessionID(rapid.IntRange(0, modelSessions-1).Draw(t, "session"))
	seq := Seq(rapid.Uint64Range(1, uint64(next[sid])+1).Draw(t, "seq"))
	id := uint16(rapid.IntRange(0, 3).Draw(t, "packet id"))
	topic := rapid.SampledFrom([]string{"", "a", "a/b"}).Draw(t, "topic")
	switch rapid.IntRange(0, 11).Draw(t, "change") {
	case 0, 1, 2:
		next[sid]++
		msg := drawMessage(t)
		b.Append(sid, next[sid], msg)
		m.items[sid][next[sid]] = Item{Seq: next[sid], Message: *msg}
	case 3:
		s := State(rapid.IntRange(0, 2).Draw(t, "state"))
		if item, ok := m.items[sid][seq]; ok { // of none it would leave a trace, unseen
			item.State, item.PacketID = s, id
			m.items[sid][seq] = item
		}
		b.SetState(sid, seq, s, id)
		next[sid] = max(next[sid], seq) // a place that was named is used
	case 4:
		b.Delete(sid, seq)
		delete(m.items[sid], seq)
	case 5:
		b.DeleteThrough(sid, seq)
		for s := range m.items[sid] {
			if s <= seq {
				delete(m.items[sid], s)
			}
		}
	case 6:
		b.Clear(sid)
		clear(m.items[sid])
		clear(m.received[sid])
	case 7:
		b.PutReceived(sid, id)
		m.received[sid][id] = true
	case 8:
		b.DeleteReceived(sid, id)
		delete(m.received[sid], id)
	case 9:
		b.PutSession(sid, []byte(topic))
		m.records[sid] = topic
	case 10:
		b.DeleteSession(sid)
		delete(m.records, sid)
	case 11:
		of := modelRetained{RetainedID(rapid.Uint64Range(0, 3).Draw(t, "retained id")), topic}
		if of.id > 0 {
			of.topic = ""
		}
		if rapid.Bool().Draw(t, "retain") {
			msg := drawMessage(t)
			if of.id > 0 {
				topic = msg.Topic
			}
			b.PutRetained(of.id, topic, msg)
			m.retained[of] = *msg
		} else {
			b.DeleteRetained(of.id, topic)
			delete(m.retained, of)
		}
	}
}

func (m *model) compare(t *rapid.T, l *Log) {
	got := model{map[SessionID]map[Seq]Item{}, map[SessionID]map[uint16]bool{}, map[SessionID]string{}, map[modelRetained]Message{}}
	for sid := SessionID(0); sid < modelSessions; sid++ {
		items, err := l.Read(sid, 0, 1000, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		got.items[sid], got.received[sid] = map[Seq]Item{}, map[uint16]bool{}
		for i, item := range items {
			if i > 0 && items[i-1].Seq >= item.Seq {
				t.Fatalf("%d is read after %d", item.Seq, items[i-1].Seq)
			}
			got.items[sid][item.Seq] = item
		}
		ids, err := l.Received(sid)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			got.received[sid][id] = true
		}
	}
	if err := l.Sessions(func(sid SessionID, r []byte) error { got.records[sid] = string(r); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := l.Retained(func(id RetainedID, topic string, msg *Message) error {
		of := modelRetained{id, topic}
		if id > 0 {
			of.topic = ""
			if topic != msg.Topic {
				t.Errorf("retained message %d of %q is said to be of %q", id, msg.Topic, topic)
			}
		}
		got.retained[of] = *msg
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(*m, got, cmp.AllowUnexported(model{}), cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("(-want +got):\n%s", d)
	}
}
