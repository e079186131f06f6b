package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/simulate"
	"github.com/linkstead/linkstead/mqtt"
	"github.com/linkstead/linkstead/tsl"
)

// TestSimulateGateways: gateways add and log in their sub-devices, which post, are commanded, are logged out and in
// again over the gateway's connection, and what is counted is what the server has.
func TestSimulateGateways(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	p := serve(t, data)
	r, stderr, code := fleet(t, dir, "--data", data, "--devices", "2", "--gateways", "3", "--sub-devices", "35", "--interval", "200ms",
		"--events", "400ms", "--commands", "30", "--duration", "3s", "--logins", "1000")
	if code != 0 || !r.Good() {
		t.Fatalf("exit code %d, report %+v\n%s", code, r, stderr)
	}
	if r.Devices != 2 || r.Gateways != 3 || r.SubDevices != 105 || r.SubLogouts != 0 || r.RequestsReplied != r.Requests {
		t.Errorf("of 2 devices and 3 gateways with 35 sub-devices each the report says %+v", r)
	}
	if r.Acknowledged != r.Posts || r.Replied != r.Posts || r.CommandsReplied != r.CommandsSent || r.CommandsReceived != r.CommandsSent {
		t.Errorf("all should be answered: %+v", r)
	}
	if r.Checked != 100 || r.Lost != 0 {
		t.Errorf("the history of %d devices was compared, with %d posts, %d lost", r.Checked, r.CheckedKept, r.Lost)
	}

	// The same ones again by the protocol alone, with sub-devices and gateways that come and go.
	files := map[int]string{}
	found, err := filepath.Glob(filepath.Join(dir, "simulated-*.csv"))
	if err != nil || len(found) != 3 {
		t.Fatalf("triples in %v, %v", found, err)
	}
	for _, name := range found {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.Count(string(text), "\n")] = name
	}
	model, err := filepath.Abs("../tsl/testdata/stc15.json")
	if err != nil {
		t.Fatal(err)
	}
	nowhere := t.TempDir()
	r, stderr, code = fleet(t, dir, "--data", nowhere, "--address", p.address, "--model", model, "--gateway-triples", files[3], "--gateways", "2",
		"--sub-triples", files[105], "--sub-devices", "20", "--interval", "100ms", "--duration", "3s",
		"--churn", "700ms", "--offline", "50ms", "--gateway-churn", "2s")
	if code != 0 || !r.Good() || r.Devices != 0 || r.SubDevices != 40 || r.Replied+r.Unknown != r.Posts {
		t.Errorf("exit code %d; sub-devices should come and go and lose nothing: %+v\n%s", code, r, stderr)
	}
}

// forgetful passes bytes between devices and the server on, and keeps the first PUBLISH to a device back whose topic
// ends with suffix.
func (h *home) forgetful(suffix string) (address string) {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = l.Close() })
	var forgotten atomic.Bool
	go func() {
		for {
			device, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", h.address())
			if err != nil {
				_ = device.Close()
				return
			}
			go func() {
				_, _ = io.Copy(server, device)
				_ = server.Close()
			}()
			go func() {
				defer func() { _ = device.Close() }()
				for w := (&wire{t: h.t, conn: server}); ; {
					f, err := w.read()
					if err != nil {
						return
					}
					var p mqtt.Publish
					if f.Type == mqtt.PUBLISH && p.Decode(f, mqtt.V311, 0) == nil && strings.HasSuffix(string(p.Topic), suffix) && !forgotten.Swap(true) {
						continue
					}
					if _, err := device.Write(f.Raw); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// simulated is a fleet of one gateway with sub-devices that runs until the test ends it.
func (h *home) simulated(o simulate.Options, change ...func(*simulate.Gateway)) (f *simulate.Fleet, subs []alink.Triple, end func() simulate.Report) {
	h.t.Helper()
	for pk, node := range map[string]string{"a1gateway01": "gateway", stc15.ProductKey: "subdevice"} {
		if _, err := h.Platform.CreateProduct(h.t.Context(), who, platform.Product{ProductKey: pk, Name: node, NodeType: node}); err != nil {
			h.t.Fatal(err)
		}
	}
	h.importModel(stc15.ProductKey, "../tsl/testdata/stc15.json")
	g := simulate.Gateway{Triple: h.addDevice(alink.Triple{ProductKey: "a1gateway01", DeviceName: "gw"})}
	for i := range 4 {
		g.SubDevices = append(g.SubDevices, h.addDevice(alink.Triple{ProductKey: stc15.ProductKey, DeviceName: fmt.Sprintf("sub%d", i)}))
	}
	doc, err := os.ReadFile("../tsl/testdata/stc15.json")
	if err != nil {
		h.t.Fatal(err)
	}
	model, err := tsl.Parse(doc)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range change {
		f(&g)
	}
	if o.Address == "" {
		o.Address = h.address()
	}
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	o.Model, o.Gateways, o.Interval, o.QoS, o.LoginRate, o.KeepAlive = model, []simulate.Gateway{g}, 50*time.Millisecond, 1, 100, time.Minute
	f, err = simulate.New(o)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx)
	}()
	end = func() simulate.Report {
		cancel()
		<-done
		return f.Report()
	}
	h.t.Cleanup(func() { end() })
	return f, g.SubDevices, end
}

// TestSimulateGatewayTruth: what happens to sub-devices, and what goes wrong with them, is in the report.
func TestSimulateGatewayTruth(t *testing.T) {
	t.Run("all goes well", func(t *testing.T) {
		h := mustStart(t, promptly)
		f, subs, end := h.simulated(simulate.Options{EventInterval: 100 * time.Millisecond})
		eventually(t, "posts of all sub-devices", func() bool { r := f.Report(); return r.SubsOnline == 4 && r.Events > 4 && r.Posts > 40 })
		for _, d := range subs {
			topology, err := h.Platform.Topology(t.Context(), "a1gateway01", "gw")
			if err != nil || len(topology) != 4 || h.latest(d, "Temp") == "" {
				t.Errorf("the server has of %s %q, in a topology of %d, %v", d, h.latest(d, "Temp"), len(topology), err)
			}
		}
		// The topology, and one login for all.
		if r := end(); !r.Good() || r.MostSubs != 4 || r.SubLogins != 4 || r.Requests != 2 || r.RequestsReplied != 2 || r.Acknowledged != r.Posts || r.Replied != r.Posts {
			t.Errorf("the report is %+v", r)
		}
	})
	t.Run("sub-devices come and go", func(t *testing.T) {
		h := mustStart(t, promptly)
		f, _, end := h.simulated(simulate.Options{Churn: 100 * time.Millisecond, Offline: 10 * time.Millisecond, GatewayChurn: time.Second})
		eventually(t, "logouts, logins and a connection that ended", func() bool { r := f.Report(); return r.SubLogouts > 10 && r.DroppedOut > 0 && r.Logins > 1 })
		if r := end(); !r.Good() || r.SubLogins <= 10 || r.Replied+r.Unknown != r.Posts {
			t.Errorf("the report is %+v", r)
		}
	})
	t.Run("a wrong secret", func(t *testing.T) {
		h := mustStart(t, promptly)
		f, _, end := h.simulated(simulate.Options{}, func(g *simulate.Gateway) { g.SubDevices[3].DeviceSecret = "0123456789abcdef0123456789abcdef" })
		eventually(t, "it is refused", func() bool { return f.Report().SubsRefused > 0 })
		if r := end(); r.Good() || r.LastError == "" || r.Logins != 1 || r.Broken != 0 {
			t.Errorf("the report is %+v", r)
		}
	})
	t.Run("a reply that never comes", func(t *testing.T) {
		h := mustStart(t, promptly)
		f, _, end := h.simulated(simulate.Options{Address: h.forgetful("/thing/event/property/post_reply"), Timeout: 3 * time.Second})
		eventually(t, "a post is missing its reply", func() bool { return f.Report().Missing > 0 })
		if r := end(); r.Good() || r.Missing == 0 || r.Replied != r.Posts-r.Missing-r.Unknown || r.MostSubs != 4 {
			t.Errorf("the report is %+v", r)
		}
	})
	t.Run("a login without an answer", func(t *testing.T) {
		h := mustStart(t, promptly)
		f, _, end := h.simulated(simulate.Options{Address: h.forgetful("/combine/batch_login_reply"), Timeout: 3 * time.Second})
		eventually(t, "the sub-devices are online with the next connection", func() bool { return f.Report().SubsOnline == 4 })
		if r := end(); r.Good() || r.Missing == 0 || r.Broken == 0 || r.Logins < 2 || r.RequestsReplied >= r.Requests {
			t.Errorf("the report is %+v", r)
		}
	})
	t.Run("a sub-device is disabled", func(t *testing.T) {
		h := mustStart(t, promptly)
		f, subs, end := h.simulated(simulate.Options{})
		eventually(t, "the sub-devices are online", func() bool { return f.Report().SubsOnline == 4 })
		if err := h.Platform.SetEnabled(t.Context(), who, subs[1].ProductKey, subs[1].DeviceName, false); err != nil {
			t.Fatal(err)
		}
		eventually(t, "its login was ended and the next refused", func() bool { r := f.Report(); return r.SubsBroken > 0 && r.SubsRefused > 0 })
		if r := end(); r.Good() || r.SubsBroken != 1 || r.MostSubs != 4 || r.Missing != 0 || r.Broken != 0 {
			t.Errorf("the report is %+v", r)
		}
	})
}
