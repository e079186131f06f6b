package mqtt

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// seedFuzz adds the bytes of every vector, so that fuzzing starts from all
// packets in all versions.
func seedFuzz(f *testing.F, add func(v *vector)) {
	f.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no vectors: %v", err)
	}
	for _, path := range files {
		vectors, err := readVectors(path)
		if err != nil {
			f.Fatal(err)
		}
		for i := range vectors {
			if v := &vectors[i]; v.title != "" && len(v.bytes) < 1024 {
				add(v)
			}
		}
	}
}

// FuzzSplit checks that Split stays inside of its input, is not confused by
// what follows a packet, and reports nothing but patience on a prefix of one.
func FuzzSplit(f *testing.F) {
	seedFuzz(f, func(v *vector) { f.Add(v.bytes, uint16(0), uint8(v.tol)) })
	f.Fuzz(func(t *testing.T, data []byte, limit uint16, tol uint8) {
		data = bytes.Clone(data)[:len(data):len(data)]
		frame, n, err := SplitTolerant(data, int(limit), Tolerance(tol))
		if err != nil {
			checkError(t, err, data)
			if n != 0 || frame.Raw != nil {
				t.Fatalf("a frame of %d bytes along with %v", n, err)
			}
			return
		}
		if n == 0 {
			return
		}
		switch {
		case n > len(data) || limit > 0 && n > int(limit):
			t.Fatalf("frame of %d bytes out of %d, limit %d", n, len(data), limit)
		case !bytes.Equal(frame.Raw, data[:n]) || !bytes.HasSuffix(frame.Raw, frame.Body):
			t.Fatalf("frame % X is not the start of % X", frame.Raw, data)
		case cap(frame.Raw) != n || cap(frame.Body) != len(frame.Body):
			t.Fatal("appending to the frame would overwrite what follows it")
		}
		for i := range n {
			if _, m, err := SplitTolerant(data[:i:i], int(limit), Tolerance(tol)); m != 0 || err != nil {
				t.Fatalf("the first %d of %d bytes give %d, %v", i, n, m, err)
			}
		}
	})
}

// FuzzDecode checks that any bytes decode or fail without a panic, and that
// what decodes is written again as a packet that decodes to the same: never
// longer, and byte for byte the same if it was in its shortest form.
func FuzzDecode(f *testing.F) {
	seedFuzz(f, func(v *vector) { f.Add(v.bytes, uint8(v.version), v.tol != 0) })
	f.Fuzz(func(t *testing.T, data []byte, level uint8, tolerant bool) {
		v, tol := Version(3+level%3), Tolerance(0)
		if tolerant {
			tol = TolerateDevices
		}
		checkRoundTrip(t, bytes.Clone(data), v, tol)
	})
}

// checkRoundTrip holds one input against the rules of FuzzDecode.
func checkRoundTrip(t *testing.T, data []byte, v Version, tol Tolerance) {
	t.Helper()
	data = data[:len(data):len(data)]
	p, n, err := decodeFirst(data, v, tol)
	if err != nil {
		checkError(t, err, data)
		return
	}
	if n == 0 {
		return
	}
	before := p.describe()
	again := p.encode(nil, v)
	q, m, err := decodeFirst(again, v, tol)
	if err != nil || m != len(again) {
		t.Fatalf("% X decodes, but written again as % X it gives %d, %v", data[:n], again, m, err)
	}
	if diff := cmp.Diff(before, q.describe()); diff != "" {
		t.Fatalf("% X changes when written again as % X:\n%s", data[:n], again, diff)
	}
	if len(again) > n {
		t.Fatalf("% X grows when written again as % X", data[:n], again)
	}
	// Of the flags only those of a PUBLISH are kept; DUP on a SUBSCRIBE of
	// 3.1 and the flags tolerated from devices are not.
	if Type(again[0]>>4) != PUBLISH {
		data[0] = again[0]
	}
	if len(again) == n && !bytes.Equal(again, data[:n]) {
		t.Fatalf("% X is written again as % X", data[:n], again)
	}
}

// checkError checks what every error promises.
func checkError(t *testing.T, err error, data []byte) {
	t.Helper()
	var e *MalformedError
	if !errors.As(err, &e) {
		t.Fatalf("error %v is a %T", err, err)
	}
	if e.Offset < 0 || e.Offset > len(data) || e.Field == "" || e.Clause == "" || e.Reason == "" || !e.Code.Failed() {
		t.Fatalf("% X: incomplete error %#v", data, e)
	}
}

// FuzzProperties checks that look-ups in a block nobody has validated stay
// inside of it, and that what passes validation is found by them.
func FuzzProperties(f *testing.F) {
	var all Properties
	for id := range maxPropertyID + 1 {
		p := appendProperty(nil, Property{ID: id, Number: 1, Name: []byte("n"), Value: []byte("value")})
		f.Add([]byte(p), uint8(CONNACK))
		f.Add([]byte(p[:max(0, len(p)-1)]), uint8(PUBLISH))
		all = append(all, p...)
	}
	f.Add([]byte(all), uint8(CONNECT))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		p := Properties(bytes.Clone(data)[:len(data):len(data)])
		size := 0
		p.Each(func(q Property) bool {
			size += len(appendProperty(nil, q))
			switch propertyRules[q.ID].kind {
			case kindByte:
				_, _ = p.Byte(q.ID)
			case kindUint16:
				_, _ = p.Uint16(q.ID)
			case kindUint32, kindVarint:
				if _, ok := p.Uint32(q.ID); !ok {
					t.Fatalf("%s is there but not found", q.ID)
				}
			case kindString:
				if _, ok := p.String(q.ID); !ok {
					t.Fatalf("%s is there but not found", q.ID)
				}
			case kindBinary:
				if _, ok := p.Binary(q.ID); !ok {
					t.Fatalf("%s is there but not found", q.ID)
				}
			}
			return true
		})
		if err := p.Validate(Type(kind & 15)); err != nil {
			checkError(t, err, data)
		} else if size != len(p) {
			t.Fatalf("% X is valid, but only %d bytes of it are properties", []byte(p), size)
		}
	})
}

// appendProperty writes a property again with the builder for its kind.
func appendProperty(dst Properties, q Property) Properties {
	switch propertyRules[q.ID].kind {
	case kindByte:
		return AppendByteProperty(dst, q.ID, byte(q.Number))
	case kindUint16:
		return AppendUint16Property(dst, q.ID, uint16(q.Number))
	case kindUint32:
		return AppendUint32Property(dst, q.ID, q.Number)
	case kindVarint:
		return AppendSubscriptionIdentifier(dst, q.Number)
	case kindString:
		return AppendStringProperty(dst, q.ID, q.Value)
	case kindBinary:
		return AppendBinaryProperty(dst, q.ID, q.Value)
	case kindPair:
		return AppendUserProperty(dst, q.Name, q.Value)
	}
	return dst
}

// TestTruncated cuts every vector after every byte, once as it would arrive
// (incomplete) and once with the remaining length made to fit (an error, or a
// shorter packet; never a panic).
func TestTruncated(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, path := range files {
		vectors, err := readVectors(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range vectors {
			v := &vectors[i]
			frame, n, err := SplitTolerant(v.bytes, 0, v.tol)
			if err != nil || n == 0 || n > 1024 {
				continue
			}
			for i := range frame.Body {
				cut := appendHeader(nil, frame.Raw[0], i)
				cut = append(cut, frame.Body[:i]...)
				for _, version := range []Version{V31, V311, V5} {
					checkRoundTrip(t, bytes.Clone(cut), version, v.tol)
				}
			}
		}
	}
}
