package transport

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
)

// proxyV2 builds a version 2 header.
func proxyV2(command, family byte, body ...[]byte) []byte {
	b := append([]byte(proxyV2Prefix), command, family, 0, 0)
	for _, part := range body {
		b = append(b, part...)
	}
	binary.BigEndian.PutUint16(b[14:], uint16(len(b)-proxyV2Head))
	return b
}

var (
	v4 = []byte{192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0x07, 0x5b} // 192.0.2.1:12345 to 198.51.100.2:1883
	v6 = append(append(append([]byte{0x20, 1, 0x0d, 0xb8, 15: 1}, make([]byte, 16)...), 0x30, 0x39), 0x07, 0x5b)
)

// withChecksum puts a CRC-32C extension behind a header.
func withChecksum(b []byte) []byte {
	at := len(b) + 3
	b = append(b, proxyCRC, 0, 4, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(b[14:], uint16(len(b)-proxyV2Head))
	binary.BigEndian.PutUint32(b[at:], crc32.Checksum(b, castagnoli))
	return b
}

func TestProxyHeader(t *testing.T) {
	broken := withChecksum(proxyV2(0x21, 0x11, v4))
	broken[16]++
	for _, c := range []struct {
		name, in, client, err string
	}{
		{"v1 IPv4", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 1883\r\n", "192.0.2.1:12345", ""},
		{"v1 IPv6", "PROXY TCP6 2001:db8::1 ::1 12345 1883\r\n", "[2001:db8::1]:12345", ""},
		{"v1 mapped IPv4", "PROXY TCP6 ::ffff:192.0.2.1 ::1 12345 1883\r\n", "192.0.2.1:12345", ""},
		{"v1 unknown", "PROXY UNKNOWN\r\n", "", ""},
		{"v1 unknown with addresses", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "", ""},
		{"v1 wrong family", "PROXY TCP4 2001:db8::1 ::1 1 2\r\n", "", "no valid address"},
		{"v1 zone", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "", "no valid address"},
		{"v1 port", "PROXY TCP4 192.0.2.1 192.0.2.2 70000 2\r\n", "", "no valid address"},
		{"v1 padded port", "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "", "no valid address"},
		{"v1 destination", "PROXY TCP4 192.0.2.1 x 1 2\r\n", "", "no valid address"},
		{"v1 UDP", "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "", "neither TCP4"},
		{"v1 too few words", "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "", "neither TCP4"},
		{"v1 endless", "PROXY TCP4 " + strings.Repeat("1", 200), "", "does not end"},
		{"v2 IPv4", string(proxyV2(0x21, 0x11, v4)), "192.0.2.1:12345", ""},
		{"v2 IPv6", string(proxyV2(0x21, 0x21, v6)), "[2001:db8::1]:12345", ""},
		{"v2 local", string(proxyV2(0x20, 0x00)), "", ""},
		{"v2 local with addresses", string(proxyV2(0x20, 0x11, v4)), "", ""},
		{"v2 unspecified", string(proxyV2(0x21, 0x00, []byte("anything"))), "", ""},
		{"v2 Unix", string(proxyV2(0x21, 0x31, make([]byte, 216))), "", ""},
		{"v2 extension", string(proxyV2(0x21, 0x11, v4, []byte{0xea, 0, 2, 'a', 'b'})), "192.0.2.1:12345", ""},
		{"v2 checksum", string(withChecksum(proxyV2(0x21, 0x11, v4))), "192.0.2.1:12345", ""},
		{"v2 wrong checksum", string(broken), "", "checksum"},
		{"v2 short checksum", string(proxyV2(0x21, 0x11, v4, []byte{proxyCRC, 0, 1, 0})), "", "instead of 4"},
		{"v2 version", string(proxyV2(0x31, 0x11, v4)), "", "version and command 31"},
		{"v2 UDP", string(proxyV2(0x21, 0x12, v4)), "", "family and protocol 12"},
		{"v2 short", string(proxyV2(0x21, 0x21, v4)), "", "36 are needed"},
		{"v2 long", string(proxyV2(0x21, 0x00, make([]byte, 5000))), "", "at most 4096"},
		{"v2 broken extension", string(proxyV2(0x21, 0x11, v4, []byte{1})), "", "middle of an extension"},
		{"v2 long extension", string(proxyV2(0x21, 0x11, v4, []byte{1, 1, 0})), "", "longer than the header"},
		{"MQTT", "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", "", "required"},
		{"nearly", "PROXZ", "", "required"},
		{"nearly v2", "\r\n\r\n\x00\r\nQUIT\r", "", "required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := parseProxy([]byte(c.in + "\x10more"))
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%+v %v, want an error with %q", h, err, c.err)
				}
				return
			case err != nil:
				t.Fatal(err)
			case h.size != len(c.in):
				t.Errorf("size %d of %d", h.size, len(c.in))
			case h.client.IsValid() != (c.client != "") || c.client != "" && h.client.String() != c.client:
				t.Errorf("client %v, want %q", h.client, c.client)
			}
			for n := range c.in { // no beginning of it is wrong or complete
				if h, err := parseProxy([]byte(c.in)[:n]); err != nil || h.size != 0 {
					t.Fatalf("the first %d bytes: %+v %v", n, h, err)
				}
			}
		})
	}
}

// FuzzProxy: a header is recognised by itself, whatever follows; one that is
// incomplete or wrong does not become right by what follows, but for the bytes it
// lacks.
func FuzzProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.2 12345 1883\r\n\x10"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add(proxyV2(0x21, 0x11, v4))
	f.Add(withChecksum(proxyV2(0x21, 0x21, v6, []byte{0xea, 0, 1, 0})))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseProxy(b)
		if h.size < 0 || h.size > len(b) || h.size > proxyV2Most {
			t.Fatalf("size %d of %d bytes", h.size, len(b))
		}
		if err == nil && h.size == 0 && len(b) >= proxyV2Most {
			t.Fatalf("%d bytes are not enough", len(b))
		}
		if err != nil || h.size == 0 {
			return
		}
		again, err := parseProxy(bytes.Clone(b[:h.size]))
		if err != nil || again != h {
			t.Fatalf("alone: %+v %v, with what follows: %+v", again, err, h)
		}
		if short, err := parseProxy(b[:h.size-1]); short.size != 0 || err != nil {
			t.Fatalf("one byte less: %+v %v", short, err)
		}
	})
}
