package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/fraildisk"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

// TestFailingDisk lets the disk beneath a server run full, fail, and recover: what is not on it is not
// acknowledged, the server says that it is not ready and why, goes on by itself when the disk does, and what it
// has acknowledged survives a power cut.
func TestFailingDisk(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault fraildisk.Fault
	}{
		{"full", fraildisk.Fault{Err: syscall.ENOSPC, Messages: true, Records: true}},
		{"broken", fraildisk.Fault{Err: syscall.EIO, Messages: true, Records: true}},
		{"syncs fail", fraildisk.Fault{Err: syscall.EIO, Messages: true, Records: true, SyncsOnly: true}},
		{"messages only", fraildisk.Fault{Err: syscall.EIO, Messages: true}},
		{"records only", fraildisk.Fault{Err: syscall.ENOSPC, Records: true}},
		{"nearly full", fraildisk.Fault{Free: 1 << 20}},
		{"room for messages only", fraildisk.Fault{Free: 128 << 20}},
	} {
		t.Run(tt.name, func(t *testing.T) { failingDisk(t, tt.fault) })
	}
}

func failingDisk(t *testing.T, fault fraildisk.Fault) {
	const messagesNeed = 64 << 20
	noMessages := fault.Messages || fault.Free > 0 && fault.Free < messagesNeed
	noHistory := fault.Records || fault.Free > 0 // history leaves more of it to the others
	disk := fraildisk.New(1)
	cfg := defaults(t.TempDir())
	h := mustStartOn(t, cfg, disk)
	d, u := h.addSeed(), h.addUser("app")
	reader := h.dial()
	reader.send(connectApp(u, "reader", false))
	reader.want(connected)
	s := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: []byte("mail"), QoS: 1}}}
	reader.ask(s.Append(nil, mqtt.V311), []byte{0x90, 3, 0, 1, 1})
	reader.send([]byte{0xE0, 0})
	reader.wantClosed()

	posts, mails := []int{}, []int{}
	n := 0
	// try sends one post and one message of each version, and tells which were acknowledged.
	try := func() (post, old, five bool) {
		n += 3
		if post = h.acknowledges(connectOf(d.Login(alink.LoginOptions{Method: alink.HMACSHA256}), 300), mqtt.V311,
			alink.PropertyPostTopic(d.ProductKey, d.DeviceName), postOf(n)); post {
			posts = append(posts, n)
		}
		if old = h.acknowledges(connectApp(u, "old", true), mqtt.V311, "mail", strconv.Itoa(n+1)); old {
			mails = append(mails, n+1)
		}
		c := mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("five"),
			HasUsername: true, Username: []byte(u.name), HasPassword: true, Password: []byte(u.password)}
		if five = h.acknowledges(c.Append(nil), mqtt.V5, "mail", strconv.Itoa(n+2)); five {
			mails = append(mails, n+2)
		}
		return post, old, five
	}
	all := func(want bool) {
		t.Helper()
		if post, old, five := try(); post != want || old != want || five != want {
			t.Fatalf("acknowledged: post %v, message %v, of a 5.0 client %v; want all %v", post, old, five, want)
		}
	}
	all(true)
	h.wantReady(true)

	disk.Fail(fault)
	if fault.Free > 0 {
		// It takes the server a second to notice.
		eventually(t, "refusal", func() bool { post, old, five := try(); return !post && old != noMessages && five != noMessages })
	}
	for range 5 {
		post, old, five := try()
		if post == noHistory || old == noMessages || five != old {
			t.Fatalf("with a failing disk acknowledged: post %v, message %v, of a 5.0 client %v", post, old, five)
		}
	}
	h.wantReady(false)
	if noMessages {
		h.log.await(t, "level=ERROR", "messages cannot be stored", "check the free space")
	}
	if fault.Records {
		h.log.await(t, "level=ERROR", "history is not being committed")
	}
	if fault.Free > 0 {
		h.log.await(t, "level=ERROR", "no more history is stored", "history.reserve")
	}
	if fault.Err != nil && disk.Hits() == 0 {
		t.Error("nothing failed, so nothing was tested")
	}

	disk.Heal()
	h.wantReady(true)
	eventually(t, "acknowledgement of everything", func() bool { post, old, five := try(); return post && old && five })
	all(true)

	disk.Cut()
	h.die()
	disk.PowerUp()
	h = mustStartOn(t, cfg, disk)
	found := map[int64]string{}
	values, err := h.Platform.PropertyHistory(t.Context(), d.ProductKey, d.DeviceName, "Gas",
		platform.HistoryQuery{From: trafficTime(0), To: trafficTime(n + 1), Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		found[v.Time] = string(v.Value)
	}
	for _, n := range posts {
		if found[trafficTime(n)] != strconv.Itoa(n) {
			t.Errorf("post %d was acknowledged and is not in the history", n)
		}
	}
	missing := map[string]bool{}
	for _, n := range mails {
		missing[strconv.Itoa(n)] = true
	}
	reader = h.dial()
	reader.send(connectApp(u, "reader", false))
	reader.want([]byte{0x20, 2, 1, 0})
	for last := 0; len(missing) > 0; {
		p := reader.publication()
		n, _ := strconv.Atoi(string(p.Payload))
		if n <= last {
			t.Errorf("message %d comes after %d", n, last)
		}
		last = n
		delete(missing, string(p.Payload))
		reader.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, p.PacketID, 0))
	}
}

// acknowledges logs a client in, publishes with QoS 1 and tells whether the server acknowledged that it took it.
func (h *home) acknowledges(connect []byte, v mqtt.Version, topic, payload string) bool {
	h.t.Helper()
	c := h.dial()
	defer c.conn.Close()
	c.send(connect)
	if f := c.next(); f.Type != mqtt.CONNACK || f.Body[1] != 0 {
		h.t.Fatalf("CONNACK is % X", f.Raw)
	}
	p := mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: 1, PacketID: 7}
	c.send(p.Append(nil, v))
	for {
		f, err := c.read()
		switch {
		case err != nil && v == mqtt.V311:
			return false // all that a 3.1.1 client can be told
		case err != nil:
			h.t.Fatalf("a 5.0 client is told nothing: %v", err)
		case f.Type == mqtt.PUBACK:
			var a mqtt.Ack
			if err := a.Decode(f, v, 0); err != nil {
				h.t.Fatal(err)
			}
			return a.Code < mqtt.UnspecifiedError
		}
	}
}

// wantReady waits until /readyz says so, while the server itself stays alive.
func (h *home) wantReady(want bool) {
	h.t.Helper()
	status := func(path string) int {
		client := http.Client{Timeout: patience}
		defer client.CloseIdleConnections()
		r, err := client.Get(fmt.Sprintf("http://%s%s", h.AdminAddress(), path))
		if err != nil {
			h.t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode
	}
	code := http.StatusOK
	if !want {
		code = http.StatusServiceUnavailable
	}
	for deadline := time.Now().Add(patience); status("/readyz") != code; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("/readyz does not become %d", code)
		}
	}
	if got := status("/healthz"); got != http.StatusOK {
		h.t.Errorf("/healthz is %d: a restart does not help", got)
	}
}
