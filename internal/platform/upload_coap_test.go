package platform_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	piondtls "github.com/pion/dtls/v3"
	"github.com/plgd-dev/go-coap/v3/dtls"
	coapmessage "github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/udp/client"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/demo"
	"github.com/linkstead/linkstead/internal/server"
)

// datagram is a CoAP message, put together by hand as firmware does.
type datagram struct {
	kind, code byte // 0 CON, 1 NON, 2 ACK, 3 RST
	id         uint16
	token      []byte
	options    []option // in order of their numbers
	payload    []byte
}

type option struct {
	number int
	value  string
}

func (d datagram) bytes() []byte {
	b := binary.BigEndian.AppendUint16([]byte{1<<6 | d.kind<<4 | byte(len(d.token)), d.code}, d.id)
	b = append(b, d.token...)
	last := 0
	extend := func(n int) (nibble byte, more []byte) {
		switch {
		case n < 13:
			return byte(n), nil
		case n < 269:
			return 13, []byte{byte(n - 13)}
		}
		return 14, binary.BigEndian.AppendUint16(nil, uint16(n-269))
	}
	for _, o := range d.options {
		delta, more := extend(o.number - last)
		length, more2 := extend(len(o.value))
		b = append(append(append(append(b, delta<<4|length), more...), more2...), o.value...)
		last = o.number
	}
	if len(d.payload) > 0 {
		b = append(append(b, 0xff), d.payload...)
	}
	return b
}

// parseDatagram reads an answer.
func parseDatagram(t testing.TB, b []byte) (d datagram) {
	t.Helper()
	if len(b) < 4 || b[0]>>6 != 1 || len(b) < 4+int(b[0]&15) {
		t.Fatalf("no CoAP: %x", b)
	}
	d = datagram{kind: b[0] >> 4 & 3, code: b[1], id: binary.BigEndian.Uint16(b[2:])}
	d.token, b = b[4:4+b[0]&15], b[4+b[0]&15:]
	number := 0
	for len(b) > 0 {
		if b[0] == 0xff {
			d.payload = b[1:]
			break
		}
		delta, length := int(b[0]>>4), int(b[0]&15)
		b = b[1:]
		for _, n := range []*int{&delta, &length} {
			switch *n {
			case 13:
				*n, b = int(b[0])+13, b[1:]
			case 14:
				*n, b = int(binary.BigEndian.Uint16(b))+269, b[2:]
			}
		}
		number += delta
		d.options = append(d.options, option{number, string(b[:length])})
		b = b[length:]
	}
	return d
}

func (d datagram) option(number int) string {
	for _, o := range d.options {
		if o.number == number {
			return o.value
		}
	}
	return ""
}

func (d datagram) status() string { return fmt.Sprintf("%d.%02d", d.code>>5, d.code&31) }

// coapDevice is a device with a UDP socket.
type coapDevice struct {
	t    testing.TB
	conn net.Conn
	next uint32 // token and message id
	// of the session
	key   alink.CoAPKey
	token string
	seq   int
}

func dialCoAP(t testing.TB, s *server.Server) *coapDevice {
	t.Helper()
	conn, err := net.Dial("udp", s.CoAPAddress())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &coapDevice{t: t, conn: conn, next: 0x01020304}
}

// send sends a datagram and returns its answer, retransmitting if none comes.
func (c *coapDevice) send(b []byte) datagram {
	c.t.Helper()
	var buf [4096]byte
	for range 20 {
		if _, err := c.conn.Write(b); err != nil {
			c.t.Fatal(err)
		}
		c.conn.SetReadDeadline(time.Now().Add(3 * time.Second))
		n, err := c.conn.Read(buf[:])
		if err == nil {
			return parseDatagram(c.t, bytes.Clone(buf[:n]))
		}
		if !os.IsTimeout(err) {
			c.t.Fatal(err)
		}
	}
	c.t.Fatalf("no answer to %x", b)
	return datagram{}
}

func pathOptions(path string) (o []option) {
	for level := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		o = append(o, option{11, level})
	}
	return o
}

func (c *coapDevice) request(path string, options []option, payload []byte) datagram {
	c.next++
	return datagram{code: 2, id: uint16(c.next), token: binary.LittleEndian.AppendUint32(nil, c.next), options: append(pathOptions(path), options...), payload: payload}
}

// do sends a request and checks that the answer is one to it.
func (c *coapDevice) do(d datagram) datagram {
	c.t.Helper()
	a := c.send(d.bytes())
	kind, id := byte(2), d.id
	if d.kind == 1 {
		kind, id = 1, a.id
	}
	if a.kind != kind || a.id != id || !bytes.Equal(a.token, d.token) {
		c.t.Fatalf("answer %+v to %+v", a, d)
	}
	return a
}

// coapAuth is the body of an /auth of C SDK 3, changed.
func coapAuth(dn, secret, seq string, change func(m map[string]any)) []byte {
	id := pk + "." + dn
	m := map[string]any{"productKey": pk, "deviceName": dn, "clientId": id, "seq": seq, "sign": alink.Sign(alink.HMACMD5, secret, alink.CoAPAuthContent(id, dn, pk, seq))}
	if seq == "" {
		delete(m, "seq")
		m["sign"] = alink.Sign(alink.HMACMD5, secret, alink.SignContent(id, dn, pk, "", false))
	}
	if change != nil {
		change(m)
	}
	b, _ := json.Marshal(m)
	return b
}

var jsonBoth = []option{{12, "\x32"}, {17, "\x32"}}

// auth begins a session.
func (c *coapDevice) auth(change func(m map[string]any)) {
	c.t.Helper()
	a := c.do(c.request("/auth", jsonBoth, coapAuth(dn, demo.DeviceSecret, "10", change)))
	var r struct {
		Random, Token string
		SeqOffset     int
	}
	if err := json.Unmarshal(a.payload, &r); err != nil || a.status() != "2.05" || r.SeqOffset != 1 || len(r.Random) != 16 || a.option(12) != "\x32" {
		c.t.Fatalf("%s %q %v", a.status(), a.payload, err)
	}
	c.key, c.token, c.seq = alink.NewCoAPKey(demo.DeviceSecret, r.Random), r.Token, r.SeqOffset
}

// message is a message of the session, as C SDK 3 sends it.
func (c *coapDevice) message(topic string, payload string, change func(o []option) []option) datagram {
	o := []option{{12, "\x32"}, {17, "\x2a"}, {2088, c.token}, {2089, string(c.key.Encrypt(fmt.Append(nil, c.seq)))}}
	c.seq++
	if change != nil {
		o = change(o)
	}
	var b []byte
	if payload != "" {
		b = c.key.Encrypt([]byte(payload))
	}
	return c.request("/topic"+topic, o, b)
}

// reply decrypts what an answer says.
func (c *coapDevice) reply(a datagram) string {
	c.t.Helper()
	if len(a.payload) == 0 {
		return ""
	}
	b, err := c.key.Decrypt(a.payload)
	if err != nil {
		c.t.Fatalf("%s %q: %v", a.status(), a.payload, err)
	}
	return string(b)
}

func coapHome(t testing.TB, change func(*config.Config)) *server.Server {
	t.Helper()
	return mustStart(t, func(cfg *config.Config) {
		cfg.CoAP.Listen, cfg.CoAP.TLSListen = "127.0.0.1:0", "127.0.0.1:0"
		if change != nil {
			change(cfg)
		}
	})
}

const tempPost = `{"id":"9","version":"1.0","params":{"Temp":%d},"method":"thing.event.property.post"}`

// spec/services.md §15.2.
func TestUploadCoAP(t *testing.T) {
	s := coapHome(t, nil)
	c := dialCoAP(t, s)
	c.auth(nil)
	d := c.message(postTopic, fmt.Sprintf(tempPost, 23), nil)
	a := c.do(d)
	if a.status() != "2.05" || len(a.option(2090)) != 18 || !strings.Contains(c.reply(a), `"code":200`) {
		t.Fatalf("%s %v %q", a.status(), a.options, c.reply(a))
	}
	awaitActivated(t, s, pk, dn)
	if v, err := s.Platform.LatestProperties(t.Context(), pk, dn); err != nil || len(v) != 1 || string(v[0].Value) != "23" {
		t.Errorf("stored %v %v", v, err)
	}
	// The same packet again gets the same answer, and is not taken twice.
	if again := c.do(d); !bytes.Equal(again.bytes(), a.bytes()) {
		t.Errorf("the answer to the repetition: %+v, was %+v", again, a)
	}
	if h := s.Broker.Stats().Received; h != 1 {
		t.Errorf("%d messages received", h)
	}
	// Not acknowledged, as C SDK 3 sends its reports.
	n := c.message(customTopic, "x", nil)
	n.kind = 1
	if a := c.do(n); a.status() != "2.05" || len(a.payload) != 0 {
		t.Errorf("NON: %s %q", a.status(), a.payload)
	}
	// In another order.
	c.seq += 2
	late := c.message(customTopic, "late", nil)
	c.do(c.message(customTopic, "early", nil))
	if a := c.do(late); a.status() != "2.05" {
		t.Errorf("an older number that was not used: %s", a.status())
	}
	// A ping, and packets that are no requests.
	if a := c.send(datagram{id: 7}.bytes()); a.kind != 3 || a.id != 7 {
		t.Errorf("ping: %+v", a)
	}
	// An answer without data.
	c.auth(func(m map[string]any) { m["ackMode"] = 1 })
	if a := c.do(c.message(postTopic, fmt.Sprintf(tempPost, 24), nil)); a.status() != "2.05" || len(a.payload) != 0 || a.option(2090) == "" {
		t.Errorf("ackMode 1: %s %q", a.status(), a.payload)
	}
}

func TestUploadCoAPRefusals(t *testing.T) {
	s := coapHome(t, func(cfg *config.Config) { cfg.Limits.FailedLogins = 0 })
	ctx := t.Context()
	addDevice(t, s, pk, "other", demo.DeviceSecret)
	addDevice(t, s, pk, "off", demo.DeviceSecret)
	if err := s.Platform.SetEnabled(ctx, "test", pk, "off", false); err != nil {
		t.Fatal(err)
	}
	c := dialCoAP(t, s)
	for _, tt := range []struct {
		name    string
		path    string
		code    byte
		options []option
		body    []byte
		want    string
	}{
		{"wrong secret", "/auth", 2, jsonBoth, coapAuth(dn, "guess", "10", nil), "4.01"},
		{"unknown device", "/auth", 2, jsonBoth, coapAuth("nobody", demo.DeviceSecret, "10", nil), "4.01"},
		{"disabled", "/auth", 2, jsonBoth, coapAuth("off", demo.DeviceSecret, "10", nil), "4.03"},
		{"another seq than signed", "/auth", 2, jsonBoth, coapAuth(dn, demo.DeviceSecret, "10", func(m map[string]any) { m["seq"] = "11" }), "4.01"},
		{"no seq", "/auth", 2, jsonBoth, coapAuth(dn, demo.DeviceSecret, "", nil), "4.00"},
		{"seq in words", "/auth", 2, jsonBoth, coapAuth(dn, demo.DeviceSecret, "ten", nil), "4.00"},
		{"wrong type", "/auth", 2, jsonBoth, coapAuth(dn, demo.DeviceSecret, "10", func(m map[string]any) { m["sign"] = []int{1} }), "4.00"},
		{"ackMode 7", "/auth", 2, jsonBoth, coapAuth(dn, demo.DeviceSecret, "10", func(m map[string]any) { m["ackMode"] = 7 }), "4.00"},
		{"deep", "/auth", 2, jsonBoth, []byte(strings.Repeat("[", 500)), "4.00"},
		{"nothing", "/auth", 2, jsonBoth, nil, "4.00"},
		{"huge", "/auth", 2, jsonBoth, bytes.Repeat([]byte("x"), 1500), "4.13"},
		{"beyond a packet", "/auth", 2, jsonBoth, bytes.Repeat([]byte("x"), 3000), "4.13"},
		{"CBOR", "/auth", 2, []option{{12, "\x3c"}}, coapAuth(dn, demo.DeviceSecret, "10", nil), "4.15"},
		{"asks for CBOR", "/auth", 2, []option{{17, "\x3c"}}, coapAuth(dn, demo.DeviceSecret, "10", nil), "4.06"},
		{"GET", "/auth", 1, nil, nil, "4.05"},
		{"discovery", "/.well-known/core", 1, nil, nil, "4.04"},
		{"no path", "", 2, nil, nil, "4.04"},
		{"a critical option", "/auth", 2, append([]option{}, append(jsonBoth, option{27, "\x0e"})...), coapAuth(dn, demo.DeviceSecret, "10", nil), "4.02"},
		{"no token", "/topic" + customTopic, 2, nil, []byte("x"), "4.01"},
		{"a guess", "/topic" + customTopic, 2, []option{{2088, strings.Repeat("0", 32)}}, []byte("x"), "4.01"},
		{"two tokens", "/topic" + customTopic, 2, []option{{2088, "a"}, {2088, "b"}}, []byte("x"), "4.02"},
	} {
		d := c.request(tt.path, tt.options, tt.body)
		d.code = tt.code
		if a := c.do(d); a.status() != tt.want || len(a.payload) != 0 {
			t.Errorf("%s: %s %q, want %s", tt.name, a.status(), a.payload, tt.want)
		}
	}
	if last := s.Platform.Refusals()[0]; last.Transport != "coap" || last.Remote != c.conn.LocalAddr().String() {
		t.Errorf("%+v", last)
	}

	c.auth(nil)
	c.do(c.message(customTopic, "x", nil))
	with := func(number int, value string) func(o []option) []option {
		return func(o []option) []option {
			for i := range o {
				if o[i].number == number {
					o[i].value = value
				}
			}
			return o
		}
	}
	for _, tt := range []struct {
		name   string
		d      datagram
		want   string
		reason string
	}{
		{"seq used before", c.message(customTopic, "y", with(2089, string(c.key.Encrypt([]byte("1"))))), "4.01", "sequence number 1 was used before"},
		{"seq 0", c.message(customTopic, "y", with(2089, string(c.key.Encrypt([]byte("0"))))), "4.01", "sequence number 0"},
		{"seq in the clear", c.message(customTopic, "y", with(2089, "77")), "4.01", "no encrypted text"},
		{"no seq", c.message(customTopic, "y", func(o []option) []option { return o[:3] }), "4.01", "no encrypted text"},
		{"another's topic", c.message("/"+pk+"/other/user/update", "y", nil), "4.03", "may not publish to /" + pk + "/other"},
		{"no topic", c.message("/x", "y", nil), "4.00", "is not a topic"},
		{"an empty level", c.message("/"+pk+"/"+dn+"/user//x", "y", nil), "4.00", "is not a topic"},
		{"a wildcard", c.message("/"+pk+"/"+dn+"/user/#", "y", nil), "4.00", "not a topic"},
		{"a sub-device's login", c.message("/ext/session/"+pk+"/"+dn+"/combine/login", "{}", nil), "4.03", "over MQTT only"},
		{"1025 bytes", c.message(customTopic, strings.Repeat("x", 1025), nil), "4.13", "1024 are the most"},
		{"CBOR", c.message(customTopic, "x", with(12, "\x3c")), "4.15", "60"},
		{"asks for XML", c.message(customTopic, "x", with(17, "\x29")), "4.06", "41"},
		{"a reply that does not fit", c.message("/sys/"+pk+"/"+dn+"/thing/dsltemplate/get", `{"id":"1","version":"1.0","params":{}}`, nil), "5.00", "more than fit"},
	} {
		a := c.do(tt.d)
		if got := c.reply(a); a.status() != tt.want || !strings.Contains(got, tt.reason) {
			t.Errorf("%s: %s %q, want %s %q", tt.name, a.status(), got, tt.want, tt.reason)
		}
	}
	awaitLogLine(t, s, dn, "sequence number 1 was used before")
	awaitLogLine(t, s, dn, "may not publish to /"+pk+"/other")
	plain := c.message(customTopic, "y", nil)
	plain.payload = []byte("in the clear, and no multiple of 16")
	if a := c.do(plain); a.status() != "4.00" {
		t.Errorf("a payload in the clear: %s", a.status())
	}
	// Somebody who overheard everything has the bytes, not the key: from another
	// address, neither the message nor the session's beginning does anything.
	good := c.message(customTopic, "overheard", nil)
	hello := c.request("/auth", jsonBoth, coapAuth(dn, demo.DeviceSecret, "10", nil))
	c.do(good)
	before := s.Broker.Stats().Received
	thief := dialCoAP(t, s)
	if a := thief.do(good); a.status() != "4.01" {
		t.Errorf("overheard and repeated: %s", a.status())
	}
	for i := range 20 {
		hello.id = uint16(i)
		if a := thief.do(hello); a.status() != "2.05" {
			t.Fatalf("%s", a.status())
		}
	}
	if a := c.do(c.message(customTopic, "still here", nil)); a.status() != "2.05" || s.Broker.Stats().Received != before+1 {
		t.Errorf("the session after repetitions by a thief: %s", a.status())
	}
	https := newCaller(t, s)
	if a := https.upload(customTopic, c.token, "x"); a.Code != 20003 {
		t.Errorf("the token of CoAP at the HTTPS door: %s", a.raw)
	}
	if err := s.Platform.SetEnabled(ctx, "test", pk, dn, false); err != nil {
		t.Fatal(err)
	}
	if a := c.do(c.message(customTopic, "x", nil)); a.status() != "4.01" {
		t.Errorf("disabled: %s", a.status())
	}
	for _, junk := range []string{"", "x", "\x40", "\x80\x02\x00\x01", "\x4f\x02\x00\x01", "\x50\x02\x00\x01\xdd", "\x60\x45\x00\x01", "\x70\x00\x00\x01", "\x16\xfe\xfd\x00\x00"} {
		if _, err := c.conn.Write([]byte(junk)); err != nil {
			t.Fatal(err)
		}
	}
	if a := c.send(datagram{id: 9}.bytes()); a.kind != 3 {
		t.Errorf("after junk: %+v", a)
	}
}

// dialDTLS connects with go-coap's client.
func dialDTLS(t testing.TB, s *server.Server, o ...piondtls.ClientOption) (*client.Conn, error) {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", s.CoAPTLSAddress())
	if err != nil {
		t.Fatal(err)
	}
	secure, err := piondtls.DialWithOptions("udp", to, o...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = secure.Close()
		return nil, err
	}
	conn := dtls.Client(secure)
	t.Cleanup(func() { _ = conn.Close(); _ = secure.Close() })
	return conn, nil
}

// pskIdentity is what C Link SDK 4 calls a device.
var pskIdentity = alink.PSKIdentity(alink.HMACSHA256, dn, pk, "2524608000000")

func pskKey(upper bool) []byte {
	return alink.PSK{ProductKey: pk, DeviceName: dn, Method: alink.HMACSHA256, Timestamp: "2524608000000"}.Key(demo.DeviceSecret, upper)
}

func pskOf(key []byte) []piondtls.ClientOption {
	return []piondtls.ClientOption{
		piondtls.WithPSK(func([]byte) ([]byte, error) { return key, nil }), piondtls.WithPSKIdentityHint([]byte(pskIdentity)),
		piondtls.WithCipherSuites(piondtls.TLS_PSK_WITH_AES_128_CBC_SHA256),
	}
}

func postDTLS(t testing.TB, c *client.Conn, path string, token string, body string, o ...coapmessage.Option) (status, payload string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if token != "" {
		o = append(o, coapmessage.Option{ID: 2088, Value: []byte(token)})
	}
	r, err := c.Post(ctx, path, coapmessage.AppJSON, strings.NewReader(body), o...)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := r.ReadBody()
	code := byte(r.Code())
	return fmt.Sprintf("%d.%02d", code>>5, code&31), string(b)
}

func dtlsToken(t testing.TB, c *client.Conn) string {
	t.Helper()
	status, body := postDTLS(t, c, "/auth", "", string(coapAuth(dn, demo.DeviceSecret, "", nil)))
	var r struct{ Token, Random string }
	if err := json.Unmarshal([]byte(body), &r); status != "2.05" || err != nil || r.Token == "" || r.Random != "" {
		t.Fatalf("%s %s %v", status, body, err)
	}
	return r.Token
}

// spec/services.md §15.1.
func TestUploadDTLS(t *testing.T) {
	s := coapHome(t, nil)
	addDevice(t, s, pk, "other", demo.DeviceSecret)
	for name, o := range map[string][]piondtls.ClientOption{
		"PSK": pskOf(pskKey(true)), "certificate": {piondtls.WithInsecureSkipVerify(true)},
	} {
		c, err := dialDTLS(t, s, o...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		token := dtlsToken(t, c)
		status, body := postDTLS(t, c, "/topic"+postTopic, token, fmt.Sprintf(tempPost, 31))
		if status != "2.05" || !strings.Contains(body, `"code":200`) {
			t.Errorf("%s: %s %s", name, status, body)
		}
		if status, body := postDTLS(t, c, "/topic/"+pk+"/other/user/update", token, "x"); status != "4.03" || !strings.Contains(body, "may not publish") {
			t.Errorf("%s, another's topic: %s %s", name, status, body)
		}
		if status, _ := postDTLS(t, c, "/topic"+customTopic, "guess", "x"); status != "4.01" {
			t.Errorf("%s, a guess: %s", name, status)
		}
		other := string(coapAuth("other", demo.DeviceSecret, "", nil))
		want := map[string]string{"PSK": "4.03", "certificate": "2.05"}[name]
		if status, _ := postDTLS(t, c, "/auth", "", other); status != want {
			t.Errorf("%s, another device in the session: %s, want %s", name, status, want)
		}
	}
	if v, err := s.Platform.LatestProperties(t.Context(), pk, dn); err != nil || len(v) != 1 || string(v[0].Value) != "31" {
		t.Errorf("stored %v %v", v, err)
	}
}

// A device that writes its key in small letters is understood in the second handshake,
// and from then on.
func TestDTLSKeyInSmallLetters(t *testing.T) {
	s := coapHome(t, nil)
	small := pskKey(false)
	first, err := s.Platform.PSK(pskIdentity) // as of a handshake that fails
	if err != nil || !bytes.Equal(first, bytes.ToUpper(small)) {
		t.Fatalf("the first key is %s, %v", first, err)
	}
	c, err := dialDTLS(t, s, pskOf(small)...)
	if err != nil {
		t.Fatal(err)
	}
	dtlsToken(t, c)
	if next, err := s.Platform.PSK(pskIdentity); err != nil || !bytes.Equal(next, small) {
		t.Errorf("after a success the key is %s, %v", next, err)
	}
	for _, identity := range []string{"", "devicename|hmacsha256|" + pk + "&nobody|1", "x|y"} {
		if key, err := s.Platform.PSK(identity); err == nil {
			t.Errorf("%q has the key %s", identity, key)
		}
	}
}
