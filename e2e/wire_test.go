package e2e

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/mqtt"
)

// wire is a client that is nothing but a socket: the test says which bytes go out and which have to come.
type wire struct {
	t    *testing.T
	conn net.Conn
	in   []byte // received and not yet taken
}

// dial opens a plain TCP connection to the server.
func (h *home) dial() *wire {
	h.t.Helper()
	conn, err := net.DialTimeout("tcp", h.address(), patience)
	if err != nil {
		h.t.Fatal(err)
	}
	return newWire(h.t, conn)
}

// newWire takes over a connection and closes it at the end of the test.
func newWire(t *testing.T, conn net.Conn) *wire {
	t.Cleanup(func() { _ = conn.Close() })
	return &wire{t: t, conn: conn}
}

// send writes bytes as they are.
func (w *wire) send(b []byte) {
	w.t.Helper()
	if err := w.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.conn.Write(b); err != nil {
		w.t.Fatalf("send: %v", err)
	}
}

// next returns the next packet of the server.
func (w *wire) next() mqtt.Frame {
	w.t.Helper()
	f, err := w.read()
	if err != nil {
		w.t.Fatalf("no packet: %v (% X received)", err, w.in)
	}
	return f
}

func (w *wire) read() (mqtt.Frame, error) {
	if err := w.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return mqtt.Frame{}, err
	}
	for {
		f, n, err := mqtt.Split(w.in, 0)
		if err != nil {
			return f, err
		}
		if n > 0 {
			w.in = w.in[n:]
			return f, nil
		}
		buf := make([]byte, 4096)
		n, err = w.conn.Read(buf)
		// A fresh slice, so that packets handed out stay as they are.
		w.in = append(w.in[:len(w.in):len(w.in)], buf[:n]...)
		if err != nil && n == 0 {
			return f, err
		}
	}
}

// want fails unless the server's next packet is exactly this one.
func (w *wire) want(packet []byte) {
	w.t.Helper()
	if got := w.next().Raw; !bytes.Equal(got, packet) {
		w.t.Fatalf("the server sent\n% X\n%s\nwant\n% X\n%s", got,
			mqtt.Explain(got, mqtt.ExplainOptions{}), packet, mqtt.Explain(packet, mqtt.ExplainOptions{}))
	}
}

// ask sends a request and fails unless the answer is exactly this packet.
func (w *wire) ask(request, answer []byte) {
	w.t.Helper()
	w.send(request)
	w.want(answer)
}

// publication returns the server's next packet, which has to be a PUBLISH.
func (w *wire) publication() mqtt.Publish {
	w.t.Helper()
	f := w.next()
	var p mqtt.Publish
	if f.Type != mqtt.PUBLISH {
		w.t.Fatalf("the server sent %v (% X), want a PUBLISH", f.Type, f.Raw)
	}
	if err := p.Decode(f, mqtt.V311, 0); err != nil {
		w.t.Fatalf("the server sent a PUBLISH that is wrong: %v", err)
	}
	return p
}

// wantPublication fails unless the next packet publishes exactly this with QoS 0.
func (w *wire) wantPublication(topic, payload string) {
	w.t.Helper()
	p := mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload)}
	w.want(p.Append(nil, mqtt.V311))
}

// wantClosed fails unless the server ends the connection without another packet.
func (w *wire) wantClosed() {
	w.t.Helper()
	f, err := w.read()
	if err == nil {
		w.t.Fatalf("the server sent % X, want the end of the connection", f.Raw)
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		w.t.Fatalf("the server keeps the connection open (% X received)", w.in)
	}
	if !errors.Is(err, io.EOF) {
		w.t.Logf("closed by %v", err)
	}
}

// ping makes sure that everything sent before was dealt with.
func (w *wire) ping() {
	w.t.Helper()
	w.ask([]byte{0xC0, 0}, []byte{0xD0, 0})
}

// connectOf is the CONNECT packet of a device with clean session 1.
func connectOf(login alink.Login, keepAlive uint16) []byte {
	p := mqtt.Connect{
		Version: mqtt.V311, CleanStart: true, KeepAlive: keepAlive, ClientID: []byte(login.ClientID),
		HasUsername: true, Username: []byte(login.Username), HasPassword: true, Password: []byte(login.Password),
	}
	return p.Append(nil)
}

// connected is a CONNACK that accepts, without a stored session.
var connected = []byte{0x20, 2, 0, 0}

// publish is a PUBLISH packet of MQTT 3.1.1 with QoS 0, or 1 if id is not 0.
func publish(topic, payload string, id uint16) []byte {
	p := mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload), PacketID: id}
	if id != 0 {
		p.QoS = 1
	}
	return p.Append(nil, mqtt.V311)
}

// hex reads a packet as the notes write it.
func hex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := mqtt.ParseHex(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// replyTo is the platform's answer to a request, as the cloud writes it.
func replyTo(code int, data, id, message, method string) string {
	return `{"code":` + strconv.Itoa(code) + `,"data":` + data + `,"id":"` + id + `","message":"` + message + `","method":"` + method + `","version":"1.0"}`
}

// nowMS is the time in UTC milliseconds.
func nowMS() int64 { return time.Now().UnixMilli() }
