package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

// view is an open live view.
type view struct {
	t    *testing.T
	mu   sync.Mutex
	seen []string
}

// watch follows a device as "linkstead tail" does.
func (h *home) watch(c *client.Client, device string) *view {
	h.t.Helper()
	v := &view{t: h.t}
	ctx, cancel := context.WithCancel(context.Background())
	started, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- c.Tail(ctx, client.TailOptions{Device: device}, func() { close(started) }, func(p admin.Packet) error {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.seen = append(v.seen, fmt.Sprintf("%s[%s]%s %s %s", p.Device, p.SubDevice, p.Gateway, p.Direction, p.Packet))
			return nil
		})
	}()
	h.t.Cleanup(func() {
		cancel()
		<-done
	})
	select {
	case <-started:
	case err := <-done:
		h.t.Fatalf("the live view of %s: %v", device, err)
	}
	return v
}

// await waits until exactly these packets have been seen.
func (v *view) await(want ...string) {
	v.t.Helper()
	got := func() []string {
		v.mu.Lock()
		defer v.mu.Unlock()
		return slices.Clone(v.seen)
	}
	eventually(v.t, "the packets of a live view", func() bool { return len(got()) >= len(want) })
	if diff := cmp.Diff(want, got()); diff != "" {
		v.t.Errorf("the live view shows (-want +got)\n%s", diff)
	}
}

// TestFollowSubDevice: the live view and the record of a sub-device have what its gateway says and hears for it, and
// those of the gateway name it; also where a topic is an alias alone.
func TestFollowSubDevice(t *testing.T) {
	h := mustStart(t, promptly)
	sub := h.addDev01()
	if _, err := h.Platform.CreateProduct(t.Context(), who, platform.Product{ProductKey: "a1gateway01", Name: "gateways", NodeType: "gateway"}); err != nil {
		t.Fatal(err)
	}
	gw := h.addDevice(alink.Triple{ProductKey: "a1gateway01", DeviceName: "gw1"})
	if err := h.Platform.AddTopology(t.Context(), who, gw.ProductKey, gw.DeviceName, []platform.DeviceRef{{ProductKey: sub.ProductKey, DeviceName: sub.DeviceName}}); err != nil {
		t.Fatal(err)
	}
	c, err := client.Find(client.Options{Server: h.AdminAddress(), Token: h.AdminToken()})
	if err != nil {
		t.Fatal(err)
	}
	const subName, gwName = "a1B2c3D4e5F/dev01", "a1gateway01/gw1"
	early := h.watch(c, subName) // while it is away
	w := h.login5(gw, true, 0x22, 0, 4)
	login := "/ext/session/" + gwName + "/combine/login"
	sign := sub.Login(alink.LoginOptions{Method: alink.HMACSHA256, Prefix: "dev01", Timestamp: "1"}).Password
	w.send(publish5(login, `{"id":"1","params":{"productKey":"a1B2c3D4e5F","deviceName":"dev01","clientId":"dev01","timestamp":"1","signMethod":"hmacSha256","sign":"`+sign+`","cleanSession":"true"}}`, 0, nil))
	w.publication5()
	custom := "/" + subName + "/user/get"
	w.ask(subscribe5(2, custom), hex(t, "90 04 00 02 00 01"))
	late, gateway := h.watch(c, subName), h.watch(c, gwName)
	post := sysOf(sub, "thing/event/property/post")
	for i := range 2 { // the second on an alias, there and back
		topic := post
		if i > 0 {
			topic = ""
		}
		w.ask(publish5(topic, `{"id":"3","params":{"Temp":3}}`, uint16(3+i), []byte{0x23, 0, 1}), hex(t, fmt.Sprintf("40 02 00 0%d", 3+i)))
		if p := w.publication5(); (len(p.Topic) == 0) != (i > 0) {
			t.Fatalf("the reply came on %q", p.Topic)
		}
	}
	if err := h.Platform.Publish(t.Context(), who, custom, []byte("down"), 1, false); err != nil {
		t.Fatal(err)
	}
	p := w.publication5()
	if p.QoS != 1 {
		t.Fatalf("the message came with QoS %d", p.QoS)
	}
	w.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V5, p.PacketID, 0))
	w.send(publish5("/"+gwName+"/user/own", "own", 0, nil))
	w.ping()

	its := []string{"up SUBSCRIBE", "down SUBACK", "up PUBLISH", "down PUBACK", "down PUBLISH", "up PUBLISH", "down PUBACK", "down PUBLISH", "down PUBLISH", "up PUBACK"}
	var under, over []string
	for _, s := range its {
		under = append(under, subName+"[]"+gwName+" "+s)
		over = append(over, gwName+"["+subName+"] "+s)
	}
	early.await(under...)
	late.await(under[2:]...)
	gateway.await(slices.Concat(over[2:], []string{gwName + "[] up PUBLISH", gwName + "[] up PINGREQ", gwName + "[] down PINGRESP"})...)

	record := func(d alink.Triple) (got []string) {
		entries, err := c.Trace(t.Context(), d.ProductKey, d.DeviceName, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.SubDevice != "" || d == sub {
				got = append(got, fmt.Sprintf("%s %s q%d [%s] %s", e.Direction, e.Event, e.QoS, e.SubDevice, e.Topic))
			}
		}
		slices.Sort(got)
		return got
	}
	for d, name := range map[alink.Triple]string{sub: "", gw: subName} {
		want := []string{
			"up accepted q1 [" + name + "] " + post, "up accepted q1 [" + name + "] " + post,
			"up acknowledged q1 [" + name + "] " + post, "up acknowledged q1 [" + name + "] " + post,
			"down delivered q0 [" + name + "] " + post + "_reply", "down delivered q0 [" + name + "] " + post + "_reply",
			"down delivered q1 [" + name + "] " + custom, "down acknowledged q1 [" + name + "] " + custom,
		}
		if d == sub {
			want = append(want, "down queued q1 [] "+custom)
		}
		slices.Sort(want)
		eventually(t, "the records", func() bool { return len(record(d)) >= len(want) })
		if diff := cmp.Diff(want, record(d)); diff != "" {
			t.Errorf("the record of %s has (-want +got)\n%s", d, diff)
		}
	}
}
