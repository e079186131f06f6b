package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

func strict(c *config.Config) { c.Device.Strict = true }

// acknowledged sends so many messages at QoS 1 at once and counts those that are acknowledged.
func (w *wire) acknowledged(topic string, n int) (acks int) {
	w.t.Helper()
	var all []byte
	for i := range n {
		all = append(all, publish(topic, "x", uint16(i+1))...)
	}
	w.send(append(all, 0xC0, 0))
	for {
		switch f := w.next(); f.Type {
		case mqtt.PUBACK:
			acks++
		case mqtt.PINGRESP:
			return acks
		default:
			w.t.Fatalf("the server sent % X", f.Raw)
		}
	}
}

// TestStrictRates: what a device publishes faster than the cloud takes is dropped and not acknowledged, and the
// device's log says why; without device.strict all of it is taken.
func TestStrictRates(t *testing.T) {
	const n = 2000 // more than the rates allow in a minute
	for _, change := range []func(*config.Config){func(*config.Config) {}, strict} {
		h := mustStart(t, change)
		d := h.addSeed()
		w := h.login(d)
		topic := "/" + d.ProductKey + "/" + d.DeviceName + "/user/update"
		acks := w.acknowledged(topic, n)
		_, drops := h.Platform.Drops()
		if !h.cfg.Device.Strict {
			if acks != n || drops["rate"] != 0 {
				t.Errorf("%d of %d messages are acknowledged, %d dropped", acks, n, drops["rate"])
			}
			continue
		}
		if acks < 10 || acks == n || drops["rate"] != uint64(n-acks) {
			t.Errorf("strict: %d of %d messages are acknowledged, %d dropped", acks, n, drops["rate"])
		}
		if l := h.awaitLog(d, "429"); !strings.Contains(l.Content, "more than 10 messages in a second at QoS 1") {
			t.Errorf("the log says %+v", l)
		}
		// At QoS 0 it has a rate of its own: 30 of these pass, whatever was before.
		app := h.addUser("app")
		a := h.dial()
		a.ask(connectApp(app, "app", true), connected)
		a.ask(subscribeTo(topic, 0), []byte{0x90, 3, 0, 1, 0})
		var all []byte
		for range n {
			all = append(all, publish(topic, "x", 0)...)
		}
		w.send(all)
		w.ping()
		_, after := h.Platform.Drops()
		passed := n - int(after["rate"]-drops["rate"])
		if passed < 30 || passed == n {
			t.Errorf("%d of %d messages at QoS 0 pass", passed, n)
		}
		for range passed {
			a.publication()
		}
		a.ping()
	}
}

// subscribeTo is a SUBSCRIBE packet for one filter.
func subscribeTo(filter string, qos byte) []byte {
	b := []byte{0, 1, byte(len(filter) >> 8), byte(len(filter))}
	b = append(append(b, filter...), qos)
	head := []byte{0x82}
	for n := len(b); ; {
		digit := byte(n % 128)
		if n /= 128; n == 0 {
			return append(append(head, digit), b...)
		}
		head = append(head, digit|0x80)
	}
}

// TestStrictTopics: topics of more than 128 bytes and custom topics with more than seven slashes are no topics of
// the cloud.
func TestStrictTopics(t *testing.T) {
	for _, change := range []func(*config.Config){func(*config.Config) {}, strict} {
		h := mustStart(t, change)
		d := h.addSeed()
		w := h.login(d)
		custom := "/" + d.ProductKey + "/" + d.DeviceName + "/user/"
		refused := 0
		for _, topic := range []string{custom + "a/b/c/d", custom + "a/b/c/d/e", custom + strings.Repeat("x", 128-len(custom)), custom + strings.Repeat("x", 129-len(custom))} {
			w.send(subscribeTo(topic, 0))
			if f := w.next(); f.Type != mqtt.SUBACK || len(f.Body) != 3 {
				t.Fatalf("the server sent % X", f.Raw)
			} else if f.Body[2] == 0x80 {
				refused++
			}
			w.ask(publish(topic, "x", 5), []byte{0x40, 2, 0, 5}) // in any case, or the device would send it for ever
		}
		_, drops := h.Platform.Drops()
		if got, want := fmt.Sprint(refused, drops["not authorized"], drops["topic"]), map[bool]string{false: "0 0 0", true: "2 1 1"}[h.cfg.Device.Strict]; got != want {
			t.Errorf("strict %v: refused filters, levels and lengths are %s, want %s", h.cfg.Device.Strict, got, want)
		}
		h.stop()
	}
}

// TestStrictLogins: a device that logs in more than five times in a minute is refused with return code 3.
func TestStrictLogins(t *testing.T) {
	h := mustStart(t, strict)
	d := h.addSeed()
	login := connectOf(d.Login(alink.LoginOptions{}), 300)
	for i := range 100 {
		w := h.dial()
		w.send(login)
		f := w.next()
		if f.Type != mqtt.CONNACK || i < 5 && f.Body[1] != 0 {
			t.Fatalf("login %d is answered % X", i+1, f.Raw)
		}
		if f.Body[1] == 3 {
			w.wantClosed()
			h.log.await(t, "more than 5 times in a minute")
			return
		}
	}
	t.Error("a hundred logins are accepted")
}

// TestShadowRate: requests to a shadow beyond the rate are refused with a code, those within it are answered, and
// the device's log says why.
func TestShadowRate(t *testing.T) {
	for _, c := range []struct {
		change func(*config.Config)
		burst  int
	}{{func(c *config.Config) { c.Device.ShadowRate = 2 }, 10}, {strict, 20}} {
		h := mustStart(t, c.change)
		d := h.addSeed()
		w := h.login(d)
		const n = 2000
		var all []byte
		for range n {
			all = append(all, publish("/shadow/update/"+d.ProductKey+"/"+d.DeviceName, `{"method":"get"}`, 0)...)
		}
		w.send(append(all, 0xC0, 0))
		answers, refused := n, 0
		for got := 0; got < answers; {
			f := w.next()
			if f.Type == mqtt.PINGRESP { // with device.strict some did not get as far
				_, drops := h.Platform.Drops()
				answers -= int(drops["rate"])
				continue
			}
			got++
			switch payload := string(f.Body); {
			case strings.Contains(payload, `"errorcode":"429","errormessage":"too many requests"`):
				refused++
			case !strings.Contains(payload, `"errorcode":"407"`):
				t.Fatalf("answered %q", payload)
			}
		}
		if refused == 0 || answers-refused < c.burst {
			t.Errorf("%d of %d requests are refused", refused, answers)
		}
		h.awaitLog(d, "429")
		h.stop()
	}
}

// TestBroadcastEvery: a second broadcast to all devices of a product has to wait, one to subscribers or to another
// product has not.
func TestBroadcastEvery(t *testing.T) {
	h := mustStart(t, strict)
	d := h.addSeed()
	h.addProduct("a1another00", "")
	w := h.login(d)
	send := func(pk, suffix string, kind platform.ErrorKind) {
		t.Helper()
		if _, _, err := h.Platform.Broadcast(t.Context(), who, pk, suffix, []byte("x")); err != nil && platform.KindOf(err) != kind || err == nil && kind != "" {
			t.Errorf("a broadcast to %s %s: %v, want %q", pk, suffix, err, kind)
		}
	}
	send(d.ProductKey, "", "")
	w.publication()
	send(d.ProductKey, "", platform.KindBusy)
	send(d.ProductKey, "news", "")
	send("a1another00", "", "")
	w.ping()
}
