package mqtt

import (
	"bytes"
	"testing"
)

// BenchmarkExplain shows that hostile input costs no more than its size: each
// case is about 256 KB.
func BenchmarkExplain(b *testing.B) {
	const size = 256 << 10
	unit := Publish{Topic: []byte("/a/b"), Payload: []byte(`{"a":1}`)}
	for _, c := range []struct {
		name string
		unit []byte
	}{
		{"publish", unit.Append(nil, V311)},
		{"ping", []byte{0xC0, 0}},
		{"wrong flags", []byte{0xC1, 0}},
		{"zeros", []byte{0}},
		{"brackets", []byte("[")},
		{"one long packet", nil},
	} {
		input := bytes.Repeat(c.unit, size/max(1, len(c.unit)))
		if c.unit == nil {
			long := Publish{Topic: []byte("/a/b"), Payload: bytes.Repeat([]byte("x"), size)}
			input = long.Append(nil, V311)
		}
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(input)))
			for b.Loop() {
				for _, e := range ExplainAll(input, ExplainOptions{}) {
					e.AppendText(nil)
				}
			}
		})
	}
}
