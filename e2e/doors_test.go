package e2e

import (
	"bytes"
	"context"
	"crypto/md5"
	endian "encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	piondtls "github.com/pion/dtls/v3"
	"github.com/plgd-dev/go-coap/v3/dtls"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/pkg/runner/periodic"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
)

// doorPost publishes at QoS 1 and returns the reply of the platform, "" if there is none.
type doorPost func(topic, payload string) (reply string)

// TestDoors: the same messages by MQTT, HTTPS, CoAP and CoAP over DTLS leave the same values, are seen alike by an
// application, and are answered alike.
func TestDoors(t *testing.T) {
	h := mustStart(t, func(cfg *config.Config) { cfg.CoAP.Listen, cfg.CoAP.TLSListen = "127.0.0.1:0", "127.0.0.1:0" })
	h.addProduct(stc15.ProductKey, "../tsl/testdata/stc15.json")
	watcher := pahoApp("tcp")(h, h.addUser("watcher"), appOptions{clientID: "watcher"})
	watcher.subscribe("#", 1)

	at := nowMS() - 60_000
	post := fmt.Sprintf(`{"id":"17","version":"1.0","params":{"Temp":{"value":24,"time":%d},"Hum":{"value":"wet","time":%d}},"method":"thing.event.property.post"}`, at, at)
	event := fmt.Sprintf(`{"id":"18","version":"1.0","params":{"value":{"Gas":900,"Level":2},"time":%d},"method":"thing.event.GasAlarm.post"}`, at)
	type record struct {
		heard   []heard
		replies []string
		latest  []platform.Value
		history []platform.Value
		events  []platform.Value
	}
	records := map[string]record{}
	for name, open := range map[string]func(*home, alink.Triple) doorPost{"mqtt": mqttDoor, "https": httpsDoor, "coap": coapDoor, "dtls": dtlsDoor} {
		d := h.addDevice(alink.Triple{ProductKey: stc15.ProductKey, DeviceName: "by-" + name})
		send := open(h, d)
		same := func(s string) string { return strings.ReplaceAll(s, d.DeviceName, "{dn}") }
		var r record
		for _, m := range []struct {
			topic, payload string
			messages       int // that the application gets
		}{
			{sysOf(d, "thing/event/property/post"), post, 2},
			{sysOf(d, "thing/event/GasAlarm/post"), event, 2},
			{sysOf(d, "thing/event/property/post"), `{"id":"19","params":[1]}`, 2},
			{"/" + d.ProductKey + "/" + d.DeviceName + "/user/update", "\x00any\xffbytes", 1},
		} {
			r.replies = append(r.replies, same(send(m.topic, m.payload)))
			for range m.messages {
				got := watcher.next()
				got.topic = same(got.topic)
				r.heard = append(r.heard, got)
			}
		}
		ctx := t.Context()
		var err [3]error
		r.latest, err[0] = h.Platform.LatestProperties(ctx, d.ProductKey, d.DeviceName)
		r.history, err[1] = h.Platform.PropertyHistory(ctx, d.ProductKey, d.DeviceName, "Temp", platform.HistoryQuery{})
		r.events, err[2] = h.Platform.EventHistory(ctx, d.ProductKey, d.DeviceName, "GasAlarm", platform.HistoryQuery{})
		if err != [3]error{} || len(r.latest) != 1 || len(r.history) != 1 || len(r.events) != 1 {
			t.Fatalf("%s: stored %v %v %v, errors %v", name, r.latest, r.history, r.events, err)
		}
		slices.SortFunc(r.heard, func(a, b heard) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		records[name] = r
	}
	want := fmt.Sprintf("%+v", records["mqtt"])
	for name, r := range records {
		if got := fmt.Sprintf("%+v", r); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
	if reply := records["mqtt"].replies[0]; reply == "" || !strings.Contains(reply, `"code":200`) {
		t.Errorf("the reply is %q", reply)
	}
}

// TestDoorsKeepPromises: an answer to QoS 1 is after everything that the message must outlive is on disk; the reply goes
// to the door that asked and not to a connection that the device has besides.
func TestDoorsKeepPromises(t *testing.T) {
	h := mustStart(t, func(cfg *config.Config) { cfg.CoAP.Listen, cfg.CoAP.TLSListen = "127.0.0.1:0", "127.0.0.1:0" })
	d := h.addSeed()
	u := h.addUser("keeper")
	keeper := pahoApp("tcp")(h, u, appOptions{clientID: "keeper", persistent: true})
	keeper.subscribe("/"+d.ProductKey+"/+/user/#", 1)
	keeper.leave()
	w := h.login(d)
	for i, open := range []func(*home, alink.Triple) doorPost{httpsDoor, coapDoor, dtlsDoor} {
		post := open(h, d)
		if reply := post(seedPostTopic, fmt.Sprintf(`{"id":"1","version":"1.0","params":{"Temp":%d}}`, i)); !strings.Contains(reply, `"code":200`) {
			t.Errorf("door %d: reply %q", i, reply)
		}
		post("/"+d.ProductKey+"/"+d.DeviceName+"/user/update", fmt.Sprint("kept ", i))
		w.ping() // fails if anything else comes first
	}
	h = h.restart()
	keeper = pahoApp("tcp")(h, u, appOptions{clientID: "keeper", persistent: true})
	for i := range 3 {
		if got := keeper.next(); got.payload != fmt.Sprint("kept ", i) || got.qos != 1 {
			t.Errorf("message %d of those that waited: %+v", i, got)
		}
	}
	h.wantLatest(d, map[string]string{"Temp": "2"})
}

func mqttDoor(h *home, d alink.Triple) doorPost {
	w := h.login(d)
	id := uint16(0)
	return func(topic, payload string) string {
		id++
		w.send(publish(topic, payload, id))
		w.want([]byte{0x40, 2, byte(id >> 8), byte(id)})
		if !strings.HasPrefix(topic, "/sys/") {
			return ""
		}
		return string(w.publication().Payload)
	}
}

// httpsDoor is a device that verifies the server's certificate and sends what C Link SDK 4 does.
func httpsDoor(h *home, d alink.Triple) doorPost {
	h.t.Helper()
	transport := &http.Transport{TLSClientConfig: h.tlsConfig()}
	h.t.Cleanup(transport.CloseIdleConnections)
	c := &http.Client{Transport: transport, Timeout: patience}
	ask := func(path, kind, token, body string) (info struct {
		Token string
		Data  json.RawMessage
	}) {
		h.t.Helper()
		r, err := http.NewRequest(http.MethodPost, "https://"+h.address()+path, strings.NewReader(body))
		if err != nil {
			h.t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		r.Header["password"] = []string{token} // in small letters, as devices write it
		res, err := c.Do(r)
		if err != nil {
			h.t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		answer := struct {
			Code int
			Info any
		}{Code: -1, Info: &info}
		if err != nil || json.Unmarshal(b, &answer) != nil || answer.Code != 0 {
			h.t.Fatalf("%s: %s %s %v", path, res.Status, b, err)
		}
		return info
	}
	id := d.ProductKey + "." + d.DeviceName
	sign := alink.Sign(alink.HMACSHA256, d.DeviceSecret, alink.SignContent(id, d.DeviceName, d.ProductKey, "", false))
	token := ask("/auth", "application/json", "", `{"clientId":"`+id+`","signmethod":"hmacsha256","deviceName":"`+d.DeviceName+`","productKey":"`+d.ProductKey+`","sign":"`+strings.ToUpper(sign)+`"}`).Token
	return func(topic, payload string) string {
		return string(ask("/topic"+topic+"?qos=1", "application/octet-stream", token, payload).Data)
	}
}

// coapPost puts the bytes of a confirmable POST together, by the standard and nothing else. Each option is its
// number and value, in order.
func coapPost(id uint16, path string, opts [][2]string, payload []byte) []byte {
	b := endian.BigEndian.AppendUint16([]byte{0x44, 0x02}, id)
	b = endian.LittleEndian.AppendUint32(b, 0x01020304+uint32(id))
	last := 0
	add := func(number int, value string) {
		nibble := func(n int) (byte, []byte) {
			switch {
			case n < 13:
				return byte(n), nil
			case n < 269:
				return 13, []byte{byte(n - 13)}
			}
			return 14, endian.BigEndian.AppendUint16(nil, uint16(n-269))
		}
		d, more := nibble(number - last)
		l, more2 := nibble(len(value))
		b = append(append(append(append(b, d<<4|l), more...), more2...), value...)
		last = number
	}
	for _, level := range strings.Split(path[1:], "/") {
		add(11, level)
	}
	for _, o := range opts {
		var n int
		fmt.Sscan(o[0], &n)
		add(n, o[1])
	}
	return append(append(b, 0xff), payload...)
}

// coapDoor is C SDK 3: hmacmd5, a session key, a sequence number in every message.
func coapDoor(h *home, d alink.Triple) doorPost {
	h.t.Helper()
	conn, err := net.Dial("udp", h.CoAPAddress())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	id := uint16(0)
	ask := func(path string, opts [][2]string, payload []byte) []byte {
		h.t.Helper()
		id++
		packet := coapPost(id, path, opts, payload)
		b := make([]byte, 2048)
		for range 10 { // as CoAP does: again if there is no answer
			if _, err := conn.Write(packet); err != nil {
				h.t.Fatal(err)
			}
			conn.SetReadDeadline(time.Now().Add(3 * time.Second))
			n, err := conn.Read(b)
			if err != nil {
				continue
			}
			if b[0] != 0x64 || b[1] != 2<<5|5 || !bytes.Equal(b[2:8], packet[2:8]) {
				h.t.Fatalf("%s: answer % x", path, b[:n])
			}
			_, body, _ := bytes.Cut(b[:n], []byte{0xff})
			return body
		}
		h.t.Fatalf("%s: no answer", path)
		return nil
	}
	clientID := d.ProductKey + "." + d.DeviceName
	sign := alink.Sign(alink.HMACMD5, d.DeviceSecret, "clientId"+clientID+"deviceName"+d.DeviceName+"productKey"+d.ProductKey+"seq4711")
	if len(sign) != 2*md5.Size {
		h.t.Fatal(sign)
	}
	var session struct {
		Random, Token string
		SeqOffset     int
	}
	body := ask("/auth", [][2]string{{"12", "\x32"}, {"17", "\x32"}}, []byte(`{"productKey":"`+d.ProductKey+`","deviceName":"`+d.DeviceName+`","clientId":"`+clientID+`","sign":"`+sign+`","seq":"4711"}`))
	if err := json.Unmarshal(body, &session); err != nil || session.Token == "" {
		h.t.Fatalf("%q: %v", body, err)
	}
	key := alink.NewCoAPKey(d.DeviceSecret, session.Random)
	seq := session.SeqOffset
	return func(topic, payload string) string {
		number := key.Encrypt(fmt.Append(nil, seq))
		seq++
		body := ask("/topic"+topic, [][2]string{{"12", "\x32"}, {"17", "\x2a"}, {"2088", session.Token}, {"2089", string(number)}}, key.Encrypt([]byte(payload)))
		if body == nil {
			return ""
		}
		reply, err := key.Decrypt(body)
		if err != nil {
			h.t.Fatalf("%x: %v", body, err)
		}
		return string(reply)
	}
}

// dtlsDoor is go-coap's client with a pre-shared key, as C Link SDK 4 makes it.
func dtlsDoor(h *home, d alink.Triple) doorPost {
	h.t.Helper()
	const stamp = "2524608000000"
	key := strings.ToUpper(alink.Sign(alink.HMACSHA256, d.DeviceSecret, "id"+d.ProductKey+"&"+d.DeviceName+"timestamp"+stamp))
	to, err := net.ResolveUDPAddr("udp", h.CoAPTLSAddress())
	if err != nil {
		h.t.Fatal(err)
	}
	secure, err := piondtls.DialWithOptions("udp", to,
		piondtls.WithPSK(func([]byte) ([]byte, error) { return []byte(key), nil }),
		piondtls.WithPSKIdentityHint([]byte("devicename|hmacsha256|"+d.ProductKey+"&"+d.DeviceName+"|"+stamp)),
		piondtls.WithCipherSuites(piondtls.TLS_PSK_WITH_AES_128_CBC_SHA256))
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		h.t.Fatal(err)
	}
	stop := make(chan struct{})
	conn := dtls.Client(secure, options.WithPeriodicRunner(periodic.New(stop, time.Second)))
	h.t.Cleanup(func() { close(stop); _ = conn.Close(); _ = secure.Close() })
	ask := func(path, token, body string) string {
		h.t.Helper()
		ctx, cancel := context.WithTimeout(h.t.Context(), patience)
		defer cancel()
		var o []message.Option
		if token != "" {
			o = append(o, message.Option{ID: 2088, Value: []byte(token)})
		}
		r, err := conn.Post(ctx, path, message.AppJSON, strings.NewReader(body), o...)
		if err != nil {
			h.t.Fatal(err)
		}
		b, err := r.ReadBody()
		if err != nil || byte(r.Code()) != 2<<5|5 {
			h.t.Fatalf("%s: %s %s %v", path, r.Code(), b, err)
		}
		return string(b)
	}
	clientID := d.ProductKey + "." + d.DeviceName
	sign := alink.Sign(alink.HMACMD5, d.DeviceSecret, "clientId"+clientID+"deviceName"+d.DeviceName+"productKey"+d.ProductKey)
	var session struct{ Token string }
	body := ask("/auth", "", `{"productKey":"`+d.ProductKey+`","deviceName":"`+d.DeviceName+`","clientId":"`+clientID+`","sign":"`+sign+`"}`)
	if err := json.Unmarshal([]byte(body), &session); err != nil || session.Token == "" {
		h.t.Fatalf("%s: %v", body, err)
	}
	return func(topic, payload string) string { return ask("/topic"+topic, session.Token, payload) }
}
