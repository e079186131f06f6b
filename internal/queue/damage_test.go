package queue

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// damageTables inverts the first half of every file that matches.
func damageTables(t *testing.T, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no table to damage: %v %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b[:len(b)/2] {
			b[i] ^= 0xff
		}
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFlippedBits inverts each bit of a stored message, and of a retained one, in
// turn: nothing panics, what is damaged is told as that or read as something
// that was not sent, and everything beside it is read.
func TestFlippedBits(t *testing.T) {
	l := open(t, Options{Dir: "queue", FS: vfs.NewMem(), Durability: WriteToMemory})
	odd := &Message{Topic: "a/b", Payload: []byte("payload"), QoS: 1, Properties: []byte{1, 1}, PublishedMS: 1_700_000_000_000,
		ExpiresMS: 1_700_000_100_000, Publisher: "p", SubscriptionIDs: []uint32{7, 300}}
	mustSubmit(t, l, func(b *Batch) {
		b.Append(1, 1, message(1, 1))
		b.Append(1, 2, odd)
		b.Append(1, 3, message(1, 3))
		b.Append(2, 1, message(2, 1))
		b.SetState(1, 2, Sent, 9)
		b.PutRetained(0, "a", message(1, 1))
		b.PutRetained(0, "b", odd)
		b.PutRetained(0, "c", message(1, 1))
	})
	for _, key := range [][]byte{appendMessageKey(nil, 1, 2), append([]byte{keyRetained}, 'b')} {
		v, closer, err := l.engine.db.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		sound := bytes.Clone(v)
		_ = closer.Close()
		told := 0
		for bit := range 8 * len(sound) {
			b := bytes.Clone(sound)
			b[bit/8] ^= 1 << (bit % 8)
			if err := l.engine.db.Set(key, b, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			if key[0] == keyRetained {
				var topics []string
				if err := l.Retained(func(_ RetainedID, topic string, _ *Message) error { topics = append(topics, topic); return nil }); err != nil {
					t.Fatalf("bit %d: %v", bit, err)
				}
				if len(topics) < 2 || topics[0] != "a" || topics[len(topics)-1] != "c" {
					t.Fatalf("bit %d: retained are %v", bit, topics)
				}
				if len(topics) == 2 {
					told++
				}
				continue
			}
			// What the engine does with a queue: read on behind what is damaged.
			var found []Seq
			for after := Seq(0); ; {
				items, err := l.Read(1, after, 100, 1<<20)
				for _, item := range items {
					found = append(found, item.Seq)
				}
				if damaged := (*CorruptMessageError)(nil); errors.As(err, &damaged) {
					if damaged.Session != 1 || damaged.Seq != 2 {
						t.Fatalf("bit %d: told is %v", bit, err)
					}
					told++
					after = damaged.Seq
					continue
				}
				if err != nil {
					t.Fatalf("bit %d: %v", bit, err)
				}
				break
			}
			if len(found) < 2 || found[0] != 1 || found[len(found)-1] != 3 {
				t.Fatalf("bit %d: found %v", bit, found)
			}
			if _, err := l.ReadState(1); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("bit %d: %v", bit, err)
			}
			equal(t, "the other queue", seqs(t, l, 2), []Seq{1})
		}
		if told == 0 {
			t.Error("no damage is told")
		}
		if err := l.engine.db.Set(key, sound, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
}
