package e2e

import (
	"bytes"
	be "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

const (
	upgraders     = 16
	upgradeKills  = 6
	firmwareSize  = 4000
	firmwareBlock = 256
)

// unhurried lets packets to devices follow each other at once: what is awaited here is counted, not timed.
func unhurried(c *config.Config) { c.Device.Pace, c.Device.Settle = 0, 0 }

var unhurriedSettings = []string{"LINKSTEAD_DEVICE_PACE=0s", "LINKSTEAD_DEVICE_SETTLE=0s"}

// countdown says when so many things have happened.
type countdown struct {
	left atomic.Int64
	zero chan struct{}
}

func newCountdown(n int64) *countdown {
	c := &countdown{zero: make(chan struct{})}
	c.left.Store(n)
	return c
}

func (c *countdown) count() {
	if c.left.Add(-1) == 0 {
		close(c.zero)
	}
}

// wait returns when it has happened, or seems to happen no more.
func (c *countdown) wait() {
	select {
	case <-c.zero:
	case <-time.After(2 * time.Second):
	}
}

// TestKillUpgrades kills the server with signal 9 while devices are upgraded over MQTT: some were only told, some
// fetch blocks, report progress or have restarted with what they fetched. What was acknowledged is there afterwards,
// and no device is told to upgrade to what it has reported.
func TestKillUpgrades(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	cfg := defaults(t.TempDir())
	unhurried(&cfg)
	x := &batch{}
	h := mustStartWith(t, cfg)
	h.addProduct(stc15.ProductKey, "../tsl/testdata/stc15.json")
	for i := range upgraders {
		d := h.addDevice(alink.Triple{ProductKey: stc15.ProductKey, DeviceName: fmt.Sprintf("dev%02d", i), DeviceSecret: "secret"})
		x.devices = append(x.devices, &upgrader{device: d, connect: connectOf(d.Login(alink.LoginOptions{Method: alink.HMACSHA256}), 300), reported: -1, steps: map[int64]int{}})
	}
	seen := map[string]int{}
	for again := rounds(upgradeKills, *killFor); again(); {
		x.next(t, h)
		h.stop()
		p := serve(t, cfg.Data, unhurriedSettings...)
		x.events = newCountdown(20 + random.Int64N(80))
		var running sync.WaitGroup
		for _, u := range x.devices {
			u.lazy, u.enough, u.event = random.IntN(4) == 0, 0, x.events.count
			running.Go(func() { u.live(p.address) })
		}
		x.events.wait()
		p.kill()
		running.Wait()
		h = mustStartWith(t, cfg)
		if x.judge(t, h, seen); t.Failed() {
			return
		}
	}

	// Everybody gets to the newest version in the end.
	for {
		if _, _, err := h.Platform.StartUpgrade(t.Context(), who, platform.UpgradeJob{Firmware: x.newest, Protocol: "mqtt"}); err != nil && platform.KindOf(err) != platform.KindNotFound {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		left := 0
		for _, u := range x.devices {
			if u.reported < len(x.jobs) {
				left++
				u.lazy, u.enough = false, max(1, u.reported+1)
				running.Go(func() { u.live(h.address()) })
			}
		}
		running.Wait()
		if x.judge(t, h, seen); left == 0 || t.Failed() {
			break
		}
	}
	for _, u := range x.devices {
		w := h.dial()
		w.ask(u.connect, connected)
		w.ask(publish(otaTopic("inform", u.device), u.inform(), 1), acknowledged(1))
		w.ping() // nothing was pushed
	}
	t.Logf("%d versions to %d devices, tasks after the kills: %v", len(x.jobs), upgraders, seen)
	for _, state := range []string{"pushed", "upgrading", "success"} {
		if seen[state] == 0 {
			t.Errorf("no task was %s when the server was killed: the test means nothing", state)
		}
	}
}

// batch is what was begun: job n brings the devices to version 1.n.
type batch struct {
	devices []*upgrader
	jobs    [][]int64 // by version, from 1
	newest  int64     // id of the newest firmware
	events  *countdown
}

func versionText(n int) string { return fmt.Sprint("1.", n) }

// versionContent is the firmware of a version.
func versionContent(n int) []byte {
	b := make([]byte, firmwareSize)
	for i := range b {
		b[i] = byte(i*n + i/256)
	}
	return b
}

// next adds a version and begins to give it to everybody.
func (x *batch) next(t *testing.T, h *home) {
	t.Helper()
	n := len(x.jobs) + 1
	f, err := h.Platform.AddFirmware(t.Context(), who, platform.Firmware{ProductKey: stc15.ProductKey, Version: versionText(n)}, bytes.NewReader(versionContent(n)))
	if err != nil {
		t.Fatal(err)
	}
	x.newest = f.ID
	x.jobs = append(x.jobs, nil)
	if _, _, err := h.Platform.StartUpgrade(t.Context(), who, platform.UpgradeJob{Firmware: f.ID, Protocol: "mqtt"}); err != nil && platform.KindOf(err) != platform.KindNotFound {
		t.Fatal(err)
	}
}

// judge compares what is stored with what the devices know.
func (x *batch) judge(t *testing.T, h *home, seen map[string]int) {
	t.Helper()
	jobs, err := h.Platform.Upgrades(t.Context(), stc15.ProductKey)
	if err != nil {
		t.Fatal(err)
	}
	tasks := map[string][]platform.UpgradeTask{}
	target := map[int64]int{}
	for _, j := range jobs {
		list, err := h.Platform.UpgradeTasks(t.Context(), j.ID, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscanf(j.Firmware.Version, "1.%d", &n); err != nil {
			t.Fatal(err)
		}
		for _, k := range list {
			tasks[k.DeviceName] = append(tasks[k.DeviceName], k)
			target[k.ID] = n
			seen[k.State]++
		}
	}
	for _, u := range x.devices {
		name := u.device.DeviceName
		for _, w := range u.wrong {
			t.Errorf("%s: %s", name, w)
		}
		versions, err := h.Platform.ModuleVersions(t.Context(), u.device.ProductKey, name)
		if err != nil {
			t.Fatal(err)
		}
		stored := -1
		if v, ok := versions["default"]; ok {
			_, _ = fmt.Sscanf(v, "1.%d", &stored)
		}
		if stored < u.reported || stored > u.version {
			t.Errorf("%s: version 1.%d is stored; it runs 1.%d and 1.%d was acknowledged", name, stored, u.version, u.reported)
		}
		open := 0
		for _, k := range tasks[name] {
			n := target[k.ID]
			switch k.State {
			case "pending", "pushed", "upgrading":
				open++
				if u.reported >= n {
					t.Errorf("%s: the upgrade to 1.%d is %s; 1.%d was reported and acknowledged", name, n, k.State, u.reported)
				}
			case "success":
				if u.version < n {
					t.Errorf("%s: the upgrade to 1.%d is a success; it runs 1.%d", name, n, u.version)
				}
			case "failure":
				t.Errorf("%s: the upgrade to 1.%d failed: %s", name, n, k.Reason)
			}
			if step := u.steps[k.ID]; step > 0 && (k.Step < step || k.State != "upgrading" && k.State != "success") {
				t.Errorf("%s: step %d of the upgrade to 1.%d was acknowledged; it is %s at %d", name, step, n, k.State, k.Step)
			}
		}
		if open > 1 {
			t.Errorf("%s has %d upgrades at once", name, open)
		}
	}
}

// upgrader is a device that is upgraded. What it knows outlives its connections and the server's lives.
type upgrader struct {
	device  alink.Triple
	connect []byte
	lazy    bool // it does nothing about what it is told
	enough  int  // the version that it leaves with, 0 for none
	event   func()

	version  int           // it runs 1.version
	reported int           // the newest of which the report was acknowledged, -1 for none
	stream   int64         // of what it fetches, 0 for nothing
	target   int           // and its version
	got      []byte        // and how much it has
	steps    map[int64]int // the newest progress that was acknowledged, by stream
	restart  bool
	wrong    []string

	asking  bool // of this connection: something is under way
	id      uint16
	waiting map[uint16]func()
}

func (u *upgrader) inform() string {
	return fmt.Sprintf(`{"id":1,"params":{"version":"%s"}}`, versionText(u.version))
}

// live connects, and connects again when it has restarted, until the server is gone or it has enough.
func (u *upgrader) live(address string) {
	for {
		u.restart = false
		converse(address, new(gate), u)
		if !u.restart {
			return
		}
	}
}

func (u *upgrader) hello() []byte {
	u.asking, u.id, u.waiting = false, 0, map[uint16]func(){}
	return u.connect
}

// sure publishes with QoS 1; then is called when it was acknowledged.
func (u *upgrader) sure(out []byte, topic, payload string, then func()) []byte {
	u.id = max(u.id+1, 1)
	u.waiting[u.id] = then
	return append(out, publish(topic, payload, u.id)...)
}

func (u *upgrader) heard(f mqtt.Frame, out []byte) ([]byte, bool) {
	switch f.Type {
	case mqtt.CONNACK:
		v := u.version
		out = u.sure(out, otaTopic("inform", u.device), u.inform(), func() { u.reported = max(u.reported, v) })
		return u.fetch(out), false
	case mqtt.PUBACK:
		id := packetID(f)
		if then := u.waiting[id]; then != nil {
			delete(u.waiting, id)
			then()
			if u.event != nil {
				u.event()
			}
		}
		if u.stream != 0 && !u.asking && len(u.got) == firmwareSize {
			u.version, u.stream, u.restart = u.target, 0, true
			return out, true
		}
		return u.fetch(out), u.enough > 0 && u.reported >= u.enough
	case mqtt.PUBLISH:
	default:
		return out, false
	}
	var p mqtt.Publish
	if err := p.Decode(f, mqtt.V311, 0); err != nil {
		u.wrong = append(u.wrong, err.Error())
		return out, false
	}
	switch string(p.Topic) {
	case otaTopic("upgrade", u.device):
		u.told(p.Payload)
	case sysOf(u.device, "thing/file/download_reply"):
		u.asking = false
		if err := u.block(p.Payload); err != nil {
			u.wrong = append(u.wrong, err.Error())
		}
		if n := len(u.got); u.stream != 0 && (n%(2*firmwareBlock) == 0 || n == firmwareSize) {
			stream, step := u.stream, 100*n/firmwareSize
			u.asking = true // it does one thing at a time
			out = u.sure(out, otaTopic("progress", u.device), fmt.Sprintf(`{"id":"2","params":{"step":"%d","desc":""}}`, step), func() {
				u.steps[stream], u.asking = step, false
			})
		}
	}
	return u.fetch(out), false
}

// told takes a push. A device must not be told of what it has reported.
func (u *upgrader) told(payload []byte) {
	var m struct {
		Data struct {
			Size     int
			StreamID int64
			Version  string
		}
	}
	var n int
	err := json.Unmarshal(payload, &m)
	if err == nil {
		_, err = fmt.Sscanf(m.Data.Version, "1.%d", &n)
	}
	switch {
	case err != nil || m.Data.Size != firmwareSize:
		u.wrong = append(u.wrong, fmt.Sprintf("it is told %s", payload))
	case n <= u.reported:
		u.wrong = append(u.wrong, fmt.Sprintf("it is told to upgrade to 1.%d, but 1.%d was acknowledged", n, u.reported))
	case n > u.version && m.Data.StreamID != u.stream:
		u.stream, u.target, u.got = m.Data.StreamID, n, nil
	}
}

// fetch asks for the next block.
func (u *upgrader) fetch(out []byte) []byte {
	if u.lazy || u.asking || u.stream == 0 || len(u.got) == firmwareSize {
		return out
	}
	u.asking = true
	return append(out, publish(sysOf(u.device, "thing/file/download"), fmt.Sprintf(`{"id":"3","params":{"fileInfo":{"streamId":%d,"fileId":1},"fileBlock":{"size":%d,"offset":%d}}}`,
		u.stream, min(firmwareBlock, firmwareSize-len(u.got)), len(u.got)), 0)...)
}

// block takes a block of the file, or that there is none any more.
func (u *upgrader) block(payload []byte) error {
	if len(payload) < 2 || len(payload) < 2+int(be.BigEndian.Uint16(payload)) {
		return errors.New("a block has no header")
	}
	n := int(be.BigEndian.Uint16(payload))
	var m struct {
		Code int
		Data struct{ BSize, BOffset int }
	}
	if err := json.Unmarshal(payload[2:2+n], &m); err != nil {
		return err
	}
	if m.Code != 200 { // a newer job took its place
		u.stream = 0
		return nil
	}
	b := payload[2+n:]
	if len(b) != m.Data.BSize+2 || m.Data.BOffset != len(u.got) {
		return fmt.Errorf("asked for what is at %d, it got %s and %d bytes", len(u.got), payload[2:2+n], len(b))
	}
	b = b[:m.Data.BSize]
	if want := versionContent(u.target)[len(u.got):]; !bytes.HasPrefix(want, b) || be.LittleEndian.Uint16(payload[len(payload)-2:]) != crc16ARC(b) {
		return fmt.Errorf("the block of 1.%d at %d is not the file's: %s", u.target, len(u.got), strings.ToUpper(fmt.Sprintf("% x", b[:8])))
	}
	u.got = append(u.got, b...)
	return nil
}

func (u *upgrader) quiet(out []byte) ([]byte, bool) { return out, false }
