package e2e

import (
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/alink"
)

// The bytes of the replays are put together here by hand and not by package mqtt or alink, so that a mistake in
// those shows.

// packet is a control packet of MQTT with this first byte.
func packet(first byte, parts ...string) []byte {
	body := strings.Join(parts, "")
	b := []byte{first}
	n := len(body)
	for ; n >= 128; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(append(b, byte(n)), body...)
}

// number is two bytes, text a string with its length in front.
func number(n int) string  { return string([]byte{byte(n >> 8), byte(n)}) }
func text(s string) string { return number(len(s)) + s }

// connectBytes is a CONNECT of MQTT 3.1.1 with user name and password.
func connectBytes(flags byte, keepAlive int, clientID, username, password string) []byte {
	return packet(0x10, text("MQTT"), "\x04", string([]byte{flags}), number(keepAlive), text(clientID), text(username), text(password))
}

// subscribeBytes asks for filters, all with one QoS.
func subscribeBytes(id int, qos byte, filters ...string) []byte {
	parts := []string{number(id)}
	for _, f := range filters {
		parts = append(parts, text(f), string([]byte{qos}))
	}
	return packet(0x82, parts...)
}

// granted is the SUBACK of a device's SUBSCRIBE: 01 for each of n filters, whatever QoS it asked for.
func granted(id, n int) []byte { return packet(0x90, number(id), strings.Repeat("\x01", n)) }

// acknowledged is a PUBACK.
func acknowledged(id int) []byte { return packet(0x40, number(id)) }

// signed is the HMAC of a login in lower-case hex digits.
func signed(h func() hash.Hash, secret, content string) string {
	m := hmac.New(h, []byte(secret))
	m.Write([]byte(content))
	return fmt.Sprintf("%x", m.Sum(nil))
}

// idOf is the id of a command that came, on its topic; the payload must have the keys, in the order, that clients
// with strstr expect.
func (w *wire) idOf(topic, method, params string) string {
	w.t.Helper()
	p := w.publication()
	var m struct{ ID string }
	if err := json.Unmarshal(p.Payload, &m); err != nil || m.ID == "" {
		w.t.Fatalf("the command %s %s has no id that is a text", p.Topic, p.Payload)
	}
	if want := fmt.Sprintf(`{"method":"%s","id":"%s","params":%s,"version":"1.0.0"}`, method, m.ID, params); string(p.Topic) != topic || string(p.Payload) != want || p.QoS != 0 {
		w.t.Fatalf("QoS %d, %s\n got %s\nwant %s %s", p.QoS, p.Topic, p.Payload, topic, want)
	}
	return m.ID
}

// posts sends a report or another question and wants code 200 with the same id.
func (w *wire) posts(d alink.Triple, tail, payload, id, method string) {
	w.t.Helper()
	w.send(publish(sysOf(d, tail), payload, 0))
	w.wantPublication(sysOf(d, tail+"_reply"), replyTo(200, "{}", id, "success", method))
}

// throughOpenSSL connects with openssl s_client, which shares no code with the server, and these cipher suites of
// TLS 1.2. Without elliptic curves among them its ClientHello is that of an mbedTLS device.
func (h *home) throughOpenSSL(ciphers string) *wire {
	h.t.Helper()
	cmd := exec.Command(need(h.t, "openssl"), "s_client", "-connect", h.address(), "-CAfile", h.CAFile(), "-verify_return_error",
		"-servername", "public.iot-as-mqtt.cn-shanghai.aliyuncs.com", "-tls1_2", "-cipher", ciphers+":@SECLEVEL=0", "-quiet", "-no_ign_eof")
	in, err := cmd.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(in, far)
		_ = in.Close()
	}()
	go func() {
		defer close(done)
		_, _ = io.Copy(far, out)
		_ = far.Close()
	}()
	h.t.Cleanup(func() {
		_ = near.Close()
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
	return newWire(h.t, near)
}

// crc16ARC is CRC-16/ARC as hand-written clients compute it, bit by bit.
func crc16ARC(b []byte) uint16 {
	crc := uint16(0)
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			if crc&1 == 1 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}

// replayHome is a server with the product and the device of spec/connect.md §15, whose passwords that has computed.
func replayHome(t *testing.T) *home {
	t.Helper()
	h := mustStart(t, withFiles)
	h.addProduct(dev01.ProductKey, "../tsl/testdata/stc15.json")
	h.addDevice(dev01)
	return h
}
