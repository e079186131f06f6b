package broker

import (
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/mqtt"
)

// TestSalvageGoesOn: a server that was killed after a session had ended, and before
// others had got its messages, goes on with that.
func TestSalvageGoesOn(t *testing.T) {
	s := mustStart(t, settings{})
	b := s.connect(&mqtt.Connect{ClientID: []byte("b")})
	b.subscribe("$share/g/t", 2)
	s.stop()

	const left = 500
	log, err := queue.Open(queue.Options{Dir: s.dir, Durability: queue.WriteToOS, MinFreeBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	batch := log.GetBatch()
	batch.PutSession(left, (&salvage{key: "a:a", sent: 2, suspect: 3}).appendRecord(nil))
	now := time.Now().UnixMilli()
	for i, m := range []queue.Message{
		{Topic: "t", Payload: []byte("sent at QoS 1"), QoS: 1, Share: "$share/g/t"},
		{Topic: "t", Payload: []byte("sent at QoS 2"), QoS: 2, Share: "$share/g/t"},
		{Topic: "t", Payload: []byte("perhaps sent"), QoS: 2, Share: "$share/g/t"},
		{Topic: "t", Payload: []byte("not shared"), QoS: 1},
		{Topic: "t", Payload: []byte("of another group"), QoS: 1, Share: "$share/h/t"},
		{Topic: "t", Payload: []byte("late"), QoS: 1, Share: "$share/g/t", PublishedMS: now - 2000, ExpiresMS: now - 1000},
		{Topic: "t", Payload: []byte("not sent"), QoS: 2, Share: "$share/g/t"},
	} {
		batch.Append(left, queue.Seq(i+1), &m)
	}
	committed := make(chan error, 1)
	log.Submit(batch, committedFunc(func(err error) { committed <- err }))
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}

	s.start()
	b = s.connect(&mqtt.Connect{ClientID: []byte("b")})
	for _, want := range []string{"sent at QoS 1", "not sent"} {
		f, err := b.next()
		if err != nil {
			t.Fatal(err)
		}
		var p mqtt.Publish
		if err := p.Decode(f, mqtt.V311, 0); err != nil || string(p.Payload) != want {
			t.Fatalf("got %q, %v; want %q", p.Payload, err, want)
		}
		if p.QoS == 1 {
			b.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, p.PacketID, 0))
		}
	}
	if err := b.ping(); err != nil {
		t.Fatal(err)
	}
	// Nothing is left of it.
	for deadline := time.Now().Add(patience); ; {
		_, _, count, _, err := s.log.Stats(left)
		if err == nil && count == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages are left, %v", count, err)
		}
		s.synced()
	}
	ended, expired := 0, 0
	for _, d := range s.recorder.take() {
		switch d.Reason {
		case "session ended":
			ended += d.Count
		case "expired":
			expired += d.Count
		}
	}
	if ended != 4 || expired != 1 {
		t.Errorf("%d counted as lost with the session and %d as expired, want 4 and 1", ended, expired)
	}
	s.stop()
	if log, err = queue.Open(queue.Options{Dir: s.dir, Durability: queue.WriteToOS, MinFreeBytes: -1}); err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := log.Sessions(func(id queue.SessionID, _ []byte) error {
		if id == left {
			t.Error("the record of the session that ended is still there")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

type committedFunc func(error)

func (f committedFunc) Committed(err error) { f(err) }
