package queue

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// TestStateMergesInAnyGrouping merges the same history in every way the store
// may: oldest first, newest first, or with parts merged before.
func TestStateMergesInAnyGrouping(t *testing.T) {
	stored := func(text string) []byte {
		b, _ := (&Message{Topic: text}).AppendBinary(nil)
		return b
	}
	rapid.Check(t, func(t *rapid.T) {
		operands := [][]byte{stored("first")}
		want := append([]byte{}, operands[0]...)
		messageLen := len(want)
		for range rapid.IntRange(0, 6).Draw(t, "changes") {
			if rapid.IntRange(0, 5).Draw(t, "kind") == 0 {
				want = stored("second")
				messageLen = len(want)
				operands = append(operands, append([]byte{}, want...))
				continue
			}
			s := appendState(nil, State(rapid.IntRange(0, 2).Draw(t, "state")), rapid.Uint16().Draw(t, "id"))
			want = append(want[:messageLen], s...)
			operands = append(operands, s)
		}
		merge := func(parts [][]byte) []byte {
			newestFirst := rapid.Bool().Draw(t, "newest first")
			at := 0
			if newestFirst {
				at = len(parts) - 1
			}
			m, err := stateMerger.Merge(nil, parts[at])
			if err != nil {
				t.Fatal(err)
			}
			for i := 1; i < len(parts); i++ {
				if newestFirst {
					err = m.MergeOlder(parts[at-i])
				} else {
					err = m.MergeNewer(parts[i])
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			v, _, err := m.Finish(true)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		cut := rapid.IntRange(0, len(operands)).Draw(t, "cut")
		var parts [][]byte
		for _, half := range [][][]byte{operands[:cut], operands[cut:]} {
			if len(half) > 0 {
				parts = append(parts, merge(half))
			}
		}
		if got := merge(parts); !bytes.Equal(got, want) {
			t.Fatalf("merged to %x, want %x", got, want)
		}
	})
}

func TestDecodeState(t *testing.T) {
	for _, b := range [][]byte{{stateTag}, {stateTag, 3, 0, 0}, {0, 1, 0, 0}, {stateTag, 1, 0, 0, 0}} {
		if _, _, err := decodeState(b); err == nil {
			t.Errorf("%x is taken for a state", b)
		}
	}
	if s, id, err := decodeState(appendState(nil, Released, 65535)); s != Released || id != 65535 || err != nil {
		t.Errorf("decoded %v %d %v", s, id, err)
	}
}
