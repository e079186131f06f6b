package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
)

type rrpcOutcome struct {
	r   *platform.RRPCResult
	err error
}

func (h *home) rrpc(d alink.Triple, topic, payload string, timeout time.Duration) <-chan rrpcOutcome {
	c := make(chan rrpcOutcome, 1)
	ctx := h.t.Context()
	go func() {
		r, err := h.Platform.RRPC(ctx, who, d.ProductKey, d.DeviceName, topic, []byte(payload), timeout)
		c <- rrpcOutcome{r, err}
	}()
	return c
}

// TestRRPC: a request of any bytes on the system's topic; the first answer wins.
func TestRRPC(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d)
	request, response := sysOf(d, "rrpc/request/"), sysOf(d, "rrpc/response/")
	done := h.rrpc(d, "", "\x00ping\xFF", platform.MaxRRPCTimeout)
	p := w.publication()
	id, ok := strings.CutPrefix(string(p.Topic), request)
	if !ok || len(id) != 19 || strings.Trim(id, "0123456789") != "" || string(p.Payload) != "\x00ping\xFF" || p.QoS != 0 {
		t.Fatalf("asked on %s: %q", p.Topic, p.Payload)
	}
	w.send(publish(response+id, "\x01pong\xFE", 0))
	w.send(publish(response+id, "late", 0))
	if o := <-done; o.err != nil || string(o.r.Payload) != "\x01pong\xFE" || o.r.ID != id {
		t.Errorf("answer %+v, %v", o.r, o.err)
	}
	w.ping()
	if o := <-h.rrpc(d, "", "x", 999*time.Millisecond); platform.KindOf(o.err) != platform.KindInvalid {
		t.Errorf("a time-out of 999 ms: %v", o.err)
	}
	if o := <-h.rrpc(d, "/"+d.ProductKey+"/"+d.DeviceName+"/user/get", "x", time.Second); platform.KindOf(o.err) != platform.KindConflict {
		t.Errorf("a custom topic without ext=1: %v", o.err)
	}
	done = h.rrpc(d, "", "silence", time.Second)
	w.publication()
	if o := <-done; platform.KindOf(o.err) != platform.KindTimeout {
		t.Errorf("no answer: %v", o.err)
	}
	w.send([]byte{0xE0, 0})
	w.wantClosed()
	eventually(t, "the device is offline", func() bool { return platform.KindOf((<-h.rrpc(d, "", "x", time.Second)).err) == platform.KindOffline })
}

// TestCustomRRPC: the same on a custom topic, for a device that asked for it with ext=1.
func TestCustomRRPC(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d, alink.Param{Key: "ext", Value: "1"})
	inner := "/" + d.ProductKey + "/" + d.DeviceName + "/user/get"
	w.ask(append([]byte{0x82, 16, 0, 1, 0, 11}, "/ext/rrpc/#\x00"...), []byte{0x90, 3, 0, 1, 1})
	done := h.rrpc(d, inner, "ping", platform.MaxRRPCTimeout)
	p := w.publication()
	topic := string(p.Topic)
	if !strings.HasPrefix(topic, "/ext/rrpc/") || !strings.HasSuffix(topic, inner) || string(p.Payload) != "ping" {
		t.Fatalf("asked on %s: %q", topic, p.Payload)
	}
	w.send(publish(topic, "pong", 0))
	if o := <-done; o.err != nil || string(o.r.Payload) != "pong" {
		t.Errorf("answer %+v, %v", o.r, o.err)
	}
	w.ping() // its own answer does not come back
	if o := <-h.rrpc(d, "/"+d.ProductKey+"/other/user/get", "x", time.Second); platform.CodeOf(o.err) != 6813 {
		t.Errorf("another device's topic: %v", o.err)
	}
}

// TestBroadcast: to all devices that are online, and to those that subscribed.
func TestBroadcast(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	second := h.addDevice(alink.Triple{ProductKey: d.ProductKey, DeviceName: "second"})
	h.addProduct("a1other0001", "")
	stranger := h.addDevice(alink.Triple{ProductKey: "a1other0001", DeviceName: "x"})
	w, w2, w3 := h.login(d), h.login(second), h.login(stranger)
	id, n, err := h.Platform.Broadcast(t.Context(), who, d.ProductKey, "", []byte("good night"))
	if err != nil || n != 2 {
		t.Fatalf("sent to %d devices, %v", n, err)
	}
	w.wantPublication(sysOf(d, "broadcast/request/"+id), "good night")
	w2.wantPublication(sysOf(second, "broadcast/request/"+id), "good night")

	topic := "/broadcast/" + d.ProductKey + "/floor/2"
	w2.ask(append([]byte{0x82, byte(5 + len(topic)), 0, 1, 0, byte(len(topic))}, topic+"\x00"...), []byte{0x90, 3, 0, 1, 1})
	if where, n, err := h.Platform.Broadcast(t.Context(), who, d.ProductKey, "floor/2", []byte("fire")); err != nil || n != -1 || where != topic {
		t.Fatalf("%s, %d, %v", where, n, err)
	}
	w2.wantPublication(topic, "fire")
	w.ping()
	w3.ping() // nothing for the others
	if _, _, err := h.Platform.Broadcast(t.Context(), who, d.ProductKey, "", make([]byte, 64<<10+1)); platform.KindOf(err) != platform.KindInvalid {
		t.Errorf("more than 64 KB: %v", err)
	}
	if _, _, err := h.Platform.Broadcast(t.Context(), who, "nothing", "", nil); platform.KindOf(err) != platform.KindNotFound {
		t.Errorf("an unknown product: %v", err)
	}
}
