package transport

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const upgradeHead = "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// mustHandshake upgrades with the bare head.
func mustHandshake(t *testing.T, s *Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	nc := mustDial(t, s)
	io.WriteString(nc, upgradeHead+"\r\n")
	r := bufio.NewReader(nc)
	response, err := http.ReadResponse(r, nil)
	if err != nil || response.StatusCode != 101 {
		t.Fatalf("%v, %v", response, err)
	}
	return nc, r
}

// frame makes a masked client frame.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i&3])
	}
	return b
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestUpgrade(t *testing.T) {
	var log lockedBuffer
	s := mustListen(t, Options{Handler: newRecorder(), WebSocket: true, Logger: log.logger()})
	replace := func(old, new string) string { return strings.Replace(upgradeHead, old, new, 1) + "\r\n" }
	for _, tt := range []struct {
		name, request string
		status        int
		protocol      string
	}{
		{"no sub-protocol", upgradeHead + "\r\n", 101, ""},
		{"mqtt", upgradeHead + "Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n\r\n", 101, "mqtt"},
		{"mqttv3.1", upgradeHead + "Sec-WebSocket-Protocol: mqttv3.1\r\n\r\n", 101, "mqttv3.1"},
		{"two headers", upgradeHead + "Sec-WebSocket-Protocol: mqtt\r\nsec-websocket-protocol: mqttv3.1\r\n\r\n", 101, "mqtt"},
		{"unknown sub-protocol", upgradeHead + "Sec-WebSocket-Protocol: chat\r\n\r\n", 101, ""},
		{"lower case", strings.ToLower(upgradeHead[len("GET /mqtt HTTP/1.1"):]), 0, ""},
		{"a browser", "GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n", 426, ""},
		{"old version", replace("Version: 13", "Version: 8"), 426, ""},
		{"short key", replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"), 400, ""},
		{"no key", replace("Sec-WebSocket-Key", "X-Key"), 400, ""},
		{"HTTP 1.0", replace("HTTP/1.1", "HTTP/1.0"), 400, ""},
		{"bad line", replace("Host: x", "Host x"), 400, ""},
		{"huge", "GET /" + strings.Repeat("x", upgradeBytes) + " HTTP/1.1\r\n\r\n", 431, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.status == 0 {
				tt.request, tt.status = "GET / HTTP/1.1"+strings.Replace(tt.request, "dghlihnhbxbszsbub25jzq==", "dGhlIHNhbXBsZSBub25jZQ==", 1)+"\r\n", 101
			}
			nc := mustDial(t, s)
			io.WriteString(nc, tt.request)
			response, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != tt.status || response.Header.Get("Sec-WebSocket-Protocol") != tt.protocol {
				t.Errorf("%s, sub-protocol %q", response.Status, response.Header.Get("Sec-WebSocket-Protocol"))
			}
			// The example of RFC 6455 section 1.3.
			if want := "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; tt.status == 101 && response.Header.Get("Sec-WebSocket-Accept") != want {
				t.Errorf("Sec-WebSocket-Accept %q, want %q", response.Header.Get("Sec-WebSocket-Accept"), want)
			}
			if tt.status != 101 {
				if body, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(body), "MQTT server") {
					t.Errorf("body %q, %v", body, err)
				}
			}
			nc.Close()
		})
	}
}

// TestFrames sends raw frames, whole and byte by byte, and reads the raw answer.
func TestFrames(t *testing.T) {
	long := strings.Repeat("0123456789", 13000)
	closeFrame := func(code int) []byte { return []byte{0x88, 2, byte(code >> 8), byte(code)} }
	payload := func(code int) string { return string([]byte{byte(code >> 8), byte(code)}) }
	tests := []struct {
		name string
		send []byte
		want string // payload received, then control frames in %x
		code int    // of the close frame, 0: none and still open
	}{
		{"one frame", frame(0x82, "hello"), "hello", 0},
		{"three frames", join(frame(0x82, "a"), frame(0x82, ""), frame(0x82, "bc")), "abc", 0},
		{"fragments", join(frame(0x02, "a"), frame(0x00, "b"), frame(0x80, "c"), frame(0x82, "d")), "abcd", 0},
		{"126", frame(0x82, long[:126]), long[:126], 0},
		{"64 KB", frame(0x82, long[:1<<16]), long[:1<<16], 0},
		{"130 KB", frame(0x82, long), long, 0},
		{"ping", join(frame(0x82, "a"), frame(0x89, "are you there"), frame(0x82, "b")), "ab(8a0d" + fmt.Sprintf("%x", "are you there") + ")", 0},
		{"ping in a message", join(frame(0x02, "a"), frame(0x89, ""), frame(0x80, "b")), "ab(8a00)", 0},
		{"pong", join(frame(0x8a, "unasked"), frame(0x82, "x")), "x", 0},
		{"close", join(frame(0x82, "last"), frame(0x88, payload(1000))), "last", 1000},
		{"close with another code", frame(0x88, payload(1001)+"going"), "", 1001},
		{"close without a code", frame(0x88, ""), "", 1000},
		{"close with half a code", frame(0x88, "x"), "", 1002},
		{"close with a code of one's own", frame(0x88, payload(4999)+"mine"), "", 4999},
		{"a close that stands for none", frame(0x88, payload(1005)), "", 1002},
		{"a close that nobody defined", frame(0x88, payload(1016)), "", 1002},
		{"a close below all codes", frame(0x88, payload(999)), "", 1002},
		{"a close above all codes", frame(0x88, payload(5000)), "", 1002},
		{"a close whose reason is not UTF-8", frame(0x88, payload(1000)+"\xc3("), "", 1007},
		{"text", join(frame(0x82, "a"), frame(0x81, "b")), "a", 1003},
		{"text fragment", frame(0x01, "b"), "", 1003},
		{"not masked", []byte{0x82, 0x01, 'a'}, "", 1002},
		{"reserved bits", frame(0xc2, "a"), "", 1002},
		{"unknown type", frame(0x83, "a"), "", 1002},
		{"unknown control type", frame(0x8b, "a"), "", 1002},
		{"nothing to continue", frame(0x80, "a"), "", 1002},
		{"message in message", join(frame(0x02, "a"), frame(0x82, "b")), "a", 1002},
		{"fragmented ping", frame(0x09, "a"), "", 1002},
		{"long ping", frame(0x89, long[:126]), "", 1002},
		{"too long", []byte{0x82, 0xff, 0, 0, 0, 0, 0x20, 0, 0, 0, 1, 2, 3, 4}, "", 1009},
		{"absurdly long", []byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, "", 1009},
	}
	variants(t, func(t *testing.T, o Options) {
		for _, tt := range tests {
			for _, step := range []int{len(tt.send), 1, 3} {
				if step < len(tt.send) && len(tt.send) > 1000 {
					continue
				}
				t.Run(fmt.Sprintf("%s by %d", tt.name, step), func(t *testing.T) {
					h := newRecorder()
					h.opened = func(c *Conn) { c.SetLimit(1 << 20) }
					o.Handler, o.WebSocket = h, true
					nc, r := mustHandshake(t, mustListen(t, o))
					nc.(*net.TCPConn).SetNoDelay(true)
					for i := 0; i < len(tt.send); i += step {
						nc.Write(tt.send[i:min(i+step, len(tt.send))])
					}
					wantData, wantControl, _ := strings.Cut(tt.want, "(")
					var data, control string
					var closed []byte
					for len(data) < len(wantData) || len(control) < len(strings.TrimSuffix(wantControl, ")")) || tt.code != 0 && closed == nil {
						op, b, err := readFrame(r)
						if err != nil {
							t.Fatalf("%v after %q and %s", err, data, control)
						}
						switch op {
						case opBinary:
							data += string(b[frameSize(b):])
						case opClose:
							closed = b
						default:
							control += fmt.Sprintf("%x", b)
						}
					}
					if data != wantData || control != strings.TrimSuffix(wantControl, ")") {
						t.Errorf("data %.100q, control %s", data, control)
					}
					if tt.code == 0 {
						nc.Write(frame(0x82, "still open"))
						if _, b, err := readFrame(r); err != nil || string(b[2:]) != "still open" {
							t.Errorf("%q, %v", b, err)
						}
						return
					}
					if diff := cmp.Diff(closeFrame(tt.code), closed); diff != "" {
						t.Error(diff)
					}
					if rest := mustEnd(t, readWriter{r, nc}); len(rest) != 0 {
						t.Errorf("after the close frame: % x", rest)
					}
					nc.Close()
					if err := h.waitClosed(t); (err == io.EOF) != (strings.HasPrefix(tt.name, "close") && tt.code != 1002) {
						t.Errorf("closed with %v", err)
					}
				})
			}
		}
	})
}

func frameSize(b []byte) int {
	switch b[1] {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

// readFrame reads one frame of the server, whole.
func readFrame(r *bufio.Reader) (op byte, b []byte, err error) {
	head, err := r.Peek(2)
	if err != nil {
		return 0, nil, err
	}
	op = head[0] & 0x0f
	size := frameSize(head)
	head, err = r.Peek(size)
	if err != nil {
		return 0, nil, err
	}
	n := int(head[1])
	switch size {
	case 4:
		n = int(binary.BigEndian.Uint16(head[2:]))
	case 10:
		n = int(binary.BigEndian.Uint64(head[2:]))
	}
	b = make([]byte, size+n)
	_, err = io.ReadFull(r, b)
	return op, b, err
}

// TestPingFlood pings without reading: the answers that wait are bounded.
func TestPingFlood(t *testing.T) {
	h := newRecorder()
	s := mustListen(t, Options{Handler: h, WebSocket: true})
	nc, r := mustHandshake(t, s)
	flood := bytes.Repeat(frame(0x89, strings.Repeat("x", 100)), 1000)
	go func() {
		for range 200 {
			if _, err := nc.Write(flood); err != nil {
				return
			}
		}
		nc.Write(frame(0x82, "done"))
	}()
	for {
		op, b, err := readFrame(r)
		if err != nil {
			t.Fatal(err)
		}
		if op == opBinary {
			if string(b[2:]) != "done" {
				t.Errorf("%q", b)
			}
			break
		}
	}
	worst := make(chan int, 1)
	s.Loops()[0].Post(taskFunc(func(l *Loop) { worst <- l.pool.held }))
	if held := <-worst; held > 4*readSize {
		t.Errorf("%d bytes of buffers for one connection that pings", held)
	}
}

// FuzzDeframe compares the frame reader fed whole with the one fed in pieces.
func FuzzDeframe(f *testing.F) {
	f.Add(join(frame(0x82, "hello"), frame(0x89, "x"), frame(0x02, "a"), frame(0x80, "b")), uint16(3))
	f.Add([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5}, uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, step uint16) {
		whole := deframeAll(b, len(b)+1)
		if pieces := deframeAll(b, int(step)+1); pieces != whole {
			t.Errorf("% x: whole %q, in pieces of %d %q", b, whole, step+1, pieces)
		}
	})
}

// deframeAll returns the payload that the frames in b carry, the answers, and
// how it ended.
func deframeAll(b []byte, step int) string {
	h := newRecorder()
	var got []byte
	h.received = func(c *Conn, b []byte) int {
		got = append(got, b...)
		return len(b)
	}
	l := fakeLoop(h)
	c := l.fakeConn()
	c.layer = &layer{ws: &frames{}}
	buf := make([]byte, headroom+step)
	for len(b) > 0 && c.flags&flagEnding == 0 {
		n := copy(buf[headroom:], b)
		b = b[n:]
		l.deframe(c, buf, headroom, headroom+n)
	}
	end := "open"
	if c.flags&flagEnding != 0 {
		end = l.ending[0].cause.Error()
	}
	return fmt.Sprintf("%q, %x, %s", got, c.layer.ws.pending, end)
}
