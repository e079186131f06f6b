package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if runCrashChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// open opens a log in dir and closes it with the test.
func open(t testing.TB, o Options) *Log {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quiet
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func reopen(t testing.TB, l *Log) *Log {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	return open(t, l.opts)
}

// outcome is a Done that can be waited for.
type outcome chan error

func (o outcome) Committed(err error) { o <- err }

// submit fills a batch, submits it and waits for its fate.
func submit(l *Log, fill func(b *Batch)) error {
	b := l.GetBatch()
	fill(b)
	done := make(outcome, 1)
	l.Submit(b, done)
	err := <-done
	l.PutBatch(b)
	return err
}

func mustSubmit(t testing.TB, l *Log, fill func(b *Batch)) {
	t.Helper()
	if err := submit(l, fill); err != nil {
		t.Fatal(err)
	}
}

// message makes a message that tells where it belongs.
func message(sid SessionID, seq Seq) *Message {
	return &Message{
		Topic:       fmt.Sprintf("device/%d", sid),
		Payload:     fmt.Appendf(nil, "%d/%d", sid, seq),
		QoS:         1,
		PublishedMS: 1_700_000_000_000 + int64(seq),
	}
}

func seqs(t testing.TB, l *Log, sid SessionID) []Seq {
	t.Helper()
	items, err := l.Read(sid, 0, 1<<20, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var s []Seq
	for _, i := range items {
		if want := string(message(sid, i.Seq).Payload); string(i.Message.Payload) != want {
			t.Errorf("payload of %d/%d is %q", sid, i.Seq, i.Message.Payload)
		}
		s = append(s, i.Seq)
	}
	return s
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

var durabilities = []Durability{SyncToDisk, WriteToOS, WriteToMemory}

func TestQueueSurvivesReopening(t *testing.T) {
	for _, d := range durabilities {
		t.Run(d.String(), func(t *testing.T) {
			l := open(t, Options{Dir: t.TempDir(), Durability: d})
			full := &Message{
				Topic: "a/b", Payload: []byte("p"), QoS: 2, Retain: true, Dup: true, Properties: []byte{0x01, 0x01},
				PublishedMS: 1700000000000, ExpiresMS: 1700000060000, Publisher: "sensor-1", SubscriptionIDs: []uint32{1, 268435455},
			}
			mustSubmit(t, l, func(b *Batch) {
				b.Append(7, 1, message(7, 1))
				b.Append(7, 2, full)
				b.Append(7, 300, message(7, 300))
				b.Append(8, 1, message(8, 1))
				b.SetState(7, 2, Sent, 77)
			})
			mustSubmit(t, l, func(b *Batch) { b.SetState(7, 2, Released, 77) })
			want := []Item{
				{Seq: 1, Message: *message(7, 1)},
				{Seq: 2, State: Released, PacketID: 77, Message: *full},
				{Seq: 300, Message: *message(7, 300)},
			}
			for range 2 {
				got, err := l.Read(7, 0, 10, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "items", got, want)
				states, err := l.ReadState(7)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "states", states, []ItemState{{Seq: 2, State: Released, PacketID: 77}})
				l = reopen(t, l)
			}
		})
	}
}

func TestReadPages(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), Durability: WriteToMemory})
	mustSubmit(t, l, func(b *Batch) {
		for s := Seq(1); s <= 10; s++ {
			b.Append(1, s, message(1, s))
		}
	})
	read := func(after Seq, max, maxBytes int) (got []Seq) {
		t.Helper()
		items, err := l.Read(1, after, max, maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range items {
			got = append(got, i.Seq)
		}
		return got
	}
	size := encodedLen(message(1, 1).bodyLen())
	equal(t, "first page", read(0, 3, 1<<20), []Seq{1, 2, 3})
	equal(t, "second page", read(3, 3, 1<<20), []Seq{4, 5, 6})
	equal(t, "by bytes", read(0, 100, 2*size), []Seq{1, 2})
	equal(t, "one at least", read(0, 100, 1), []Seq{1})
	equal(t, "none asked for", read(0, 0, 1<<20), []Seq(nil))
	equal(t, "after the end", read(10, 3, 1<<20), []Seq(nil))
	equal(t, "after the last place", read(1<<64-1, 3, 1<<20), []Seq(nil))

	first, last, count, bytes, err := l.Stats(1)
	if err != nil || first != 1 || last != 10 || count != 10 || bytes != int64(10*size+1) { // "1/10" is one longer
		t.Errorf("Stats = %d %d %d %d %v, want 1 10 10 %d", first, last, count, bytes, err, 10*size+1)
	}
	if _, _, count, _, err := l.Stats(2); count != 0 || err != nil {
		t.Errorf("Stats of an empty queue: %d %v", count, err)
	}
}

func TestDeletions(t *testing.T) {
	for _, tt := range []struct {
		name     string
		fill     func(b *Batch)
		want     []Seq
		received []uint16
	}{
		{"one", func(b *Batch) { b.Delete(2, 3) }, []Seq{1, 2, 4, 5}, []uint16{1, 65535}},
		{"one with state", func(b *Batch) { b.SetState(2, 3, Sent, 9); b.Delete(2, 3) }, []Seq{1, 2, 4, 5}, []uint16{1, 65535}},
		{"state of none", func(b *Batch) { b.SetState(2, 9, Sent, 9) }, []Seq{1, 2, 3, 4, 5}, []uint16{1, 65535}},
		{"through", func(b *Batch) { b.DeleteThrough(2, 3) }, []Seq{4, 5}, []uint16{1, 65535}},
		{"through the end", func(b *Batch) { b.DeleteThrough(2, 1<<64-1) }, nil, []uint16{1, 65535}},
		{"clear", func(b *Batch) { b.Clear(2) }, nil, nil},
		{"clear, then more", func(b *Batch) { b.Clear(2); b.Append(2, 6, message(2, 6)) }, []Seq{6}, nil},
		{"received", func(b *Batch) { b.DeleteReceived(2, 1) }, []Seq{1, 2, 3, 4, 5}, []uint16{65535}},
		{"all received", func(b *Batch) { b.ClearReceived(2) }, []Seq{1, 2, 3, 4, 5}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := open(t, Options{Dir: t.TempDir(), Durability: WriteToOS})
			mustSubmit(t, l, func(b *Batch) {
				for sid := SessionID(1); sid <= 3; sid++ {
					for s := Seq(1); s <= 5; s++ {
						b.Append(sid, s, message(sid, s))
					}
					b.PutReceived(sid, 1)
					b.PutReceived(sid, 65535)
				}
			})
			mustSubmit(t, l, tt.fill)
			for range 2 {
				equal(t, "messages", seqs(t, l, 2), tt.want)
				received, err := l.Received(2)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "received", received, tt.received)
				for _, other := range []SessionID{1, 3} {
					equal(t, "neighbour's messages", seqs(t, l, other), []Seq{1, 2, 3, 4, 5})
					received, _ := l.Received(other)
					equal(t, "neighbour's received", received, []uint16{1, 65535})
				}
				l = reopen(t, l)
			}
		})
	}
}

func TestSessionsAndRetained(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	mustSubmit(t, l, func(b *Batch) {
		b.PutSession(1, []byte("one"))
		b.PutSession(256, []byte("old"))
		b.PutSession(3, []byte("gone"))
		b.PutRetained(0, "b", &Message{Topic: "b", Payload: []byte("1"), Retain: true})
		b.PutRetained(7, "a/\xc3\xa4", &Message{Topic: "a/\xc3\xa4", Payload: []byte("2")})
		b.PutRetained(8, "c", &Message{Topic: "c", Payload: []byte("3")})
	})
	mustSubmit(t, l, func(b *Batch) {
		b.PutSession(256, []byte("new"))
		b.DeleteSession(3)
		b.DeleteRetained(8, "c")
	})
	l = reopen(t, l)
	sessions := map[SessionID]string{}
	if err := l.Sessions(func(sid SessionID, r []byte) error { sessions[sid] = string(r); return nil }); err != nil {
		t.Fatal(err)
	}
	equal(t, "sessions", sessions, map[SessionID]string{1: "one", 256: "new"})
	retained := map[string]Message{}
	if err := l.Retained(func(_ RetainedID, topic string, m *Message) error { retained[topic] = *m; return nil }); err != nil {
		t.Fatal(err)
	}
	equal(t, "retained", retained, map[string]Message{
		"b": {Topic: "b", Payload: []byte("1"), Retain: true}, "a/\xc3\xa4": {Topic: "a/\xc3\xa4", Payload: []byte("2")},
	})
	stop := errors.New("stop")
	if err := l.Sessions(func(SessionID, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the visitor's error is lost: %v", err)
	}
}

func TestBatchIsReadDuringAScan(t *testing.T) {
	l, err := OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mustSubmit(t, l, func(b *Batch) { b.PutSession(4, nil); b.Append(4, 1, message(4, 1)) })
	visited := 0
	err = l.Sessions(func(sid SessionID, _ []byte) error {
		visited += len(seqs(t, l, sid))
		return submit(l, func(b *Batch) { b.DeleteSession(sid) })
	})
	if err != nil || visited != 1 {
		t.Errorf("visited %d messages, error %v", visited, err)
	}
}

func TestSecondOpenFails(t *testing.T) {
	dir := t.TempDir()
	open(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir, Logger: quiet}); err == nil {
		t.Error("a second process may open the store")
	}
	if _, err := Open(Options{}); err == nil {
		t.Error("no folder is accepted")
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	mustSubmit(t, l, func(b *Batch) { b.putMeta(metaFormat, binary.BigEndian.AppendUint32(nil, recordFormat+1)) })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(l.opts); err == nil {
		t.Error("a store of a later format was opened")
	}
}

// TestFormatOne: a store as earlier versions left it opens, what is retained in it is
// read and can be replaced and deleted, and those versions do not open it again.
func TestFormatOne(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	mustSubmit(t, l, func(b *Batch) {
		b.putMeta(metaFormat, binary.BigEndian.AppendUint32(nil, 1))
		for _, topic := range []string{"a", "b", "c"} {
			m, _ := (&Message{Topic: topic, Payload: []byte("1")}).AppendBinary(nil)
			b.putMeta([]byte("r"+topic), m)
		}
	})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, l.opts)
	v, closer, err := l.engine.db.Get(metaFormat)
	if err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint32(v); got != 2 {
		t.Errorf("the store has format %d, want 2", got)
	}
	if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	mustSubmit(t, l, func(b *Batch) {
		b.DeleteRetained(0, "a")
		b.PutRetained(0, "b", &Message{Topic: "b", Payload: []byte("2")})
		b.PutRetained(1, "a", &Message{Topic: "a", Payload: []byte("2")})
	})
	var got []string
	if err := l.Retained(func(id RetainedID, topic string, m *Message) error {
		got = append(got, fmt.Sprintf("%d %s %s", id, topic, m.Payload))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	equal(t, "retained", got, []string{"1 a 2", "0 b 2", "0 c 1"})
}

func TestDamagedStoreIsReported(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	mustSubmit(t, l, func(b *Batch) { b.Append(1, 1, message(1, 1)) })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, l.opts) // replays the log into a table
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	damageTables(t, filepath.Join(l.opts.Dir, "*.sst"))
	o := l.opts
	o.StopOnDamage = true
	if _, err := Open(o); !errors.Is(err, ErrCorrupt) {
		t.Errorf("error is %v", err)
	}
	l = open(t, l.opts)
	if items, err := l.Read(1, 0, 1, 1); len(items) > 0 || err != nil || l.Damage() == nil {
		t.Errorf("read are %v, %v; the damage is told as %+v", items, err, l.Damage())
	}
}

func TestDamagedMessageDoesNotHideTheOthers(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), Durability: WriteToMemory})
	mustSubmit(t, l, func(b *Batch) {
		b.Append(1, 1, message(1, 1))
		b.putMeta(appendMessageKey(nil, 1, 2), []byte("not a message"))
		b.SetState(1, 2, Sent, 5)
		b.Append(1, 3, message(1, 3))
		b.putMeta([]byte("rbad"), []byte{messageVersion, 200})
		b.putMeta(appendRetainedKey(nil, 3, ""), []byte{messageVersion, 200})
		b.PutRetained(4, "t", &Message{Topic: "t"})
		b.PutRetained(0, "good", message(1, 1))
	})
	items, err := l.Read(1, 0, 10, 1<<20)
	var bad *CorruptMessageError
	if !errors.As(err, &bad) || bad.Session != 1 || bad.Seq != 2 || !errors.Is(err, ErrCorrupt) || len(items) != 1 {
		t.Fatalf("Read = %d items, %v", len(items), err)
	}
	mustSubmit(t, l, func(b *Batch) { b.Delete(bad.Session, bad.Seq) })
	equal(t, "after deleting it", seqs(t, l, 1), []Seq{1, 3})
	var topics []string
	if err := l.Retained(func(_ RetainedID, topic string, _ *Message) error { topics = append(topics, topic); return nil }); err != nil {
		t.Fatal(err)
	}
	equal(t, "retained", topics, []string{"t", "good"})
	mustSubmit(t, l, func(*Batch) {})
	e, err := l.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer e.release()
	if _, _, err := e.db.Get(appendRetainedKey(nil, 3, "")); !errors.Is(err, pebble.ErrNotFound) {
		t.Errorf("what cannot be read under an identifier stays for ever: %v", err)
	}
}

func TestNextSessionIDNeverRepeats(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), Durability: WriteToOS})
	last := SessionID(0)
	take := func(n int) {
		t.Helper()
		for range n {
			id, err := l.NextSessionID()
			for errors.Is(err, ErrUnavailable) {
				mustSubmit(t, l, func(*Batch) {}) // behind the raising of the limit
				id, err = l.NextSessionID()
			}
			if err != nil || id <= last {
				t.Fatalf("NextSessionID = %d after %d, %v", id, last, err)
			}
			last = id
		}
	}
	take(10)
	if last != 10 {
		t.Errorf("a new store starts with identifiers up to %d", last)
	}
	l = reopen(t, l)
	take(3 * idBlock)
	l = reopen(t, l)
	take(1)
}
