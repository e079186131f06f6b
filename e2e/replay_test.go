package e2e

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	be "encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
)

// TestReplay plays the clients of spec/sdk-behaviour.md, each with the bytes it sends and in their order, and wants
// what each waits for: the scenarios of §14, of which TestSeedSession is the first.
func TestReplay(t *testing.T) {
	t.Run("2_C_Link_SDK_4", replayCLinkSDK4)
	t.Run("3_Node_SDK", replayNode)
	t.Run("4_Python_LinkKit", replayPython)
	t.Run("5_consumer_firmware", replayConsumer)
	t.Run("6_MCU_upgrade", replayMCUUpgrade)
	t.Run("7_AT_module", replayATModule)
	t.Run("8_one_connection", replayOneConnection)
	t.Run("9_dynamic_registration", replayRegistration)
	t.Run("10_gateways", replayGateways)
}

// replayCLinkSDK4: nothing is subscribed, _ss=1 (§2). The password is vector 12 of spec/connect.md.
func replayCLinkSDK4(t *testing.T) {
	h := replayHome(t)
	d := dev01
	connect := connectBytes(0xC2, 1200, "a1B2c3D4e5F.dev01|timestamp=2524608000000,_ss=1,_v=sdk-c-4.1.0,securemode=3,signmethod=hmacsha256,ext=3,|",
		"dev01&a1B2c3D4e5F", "1BA83B7A3200015ECEAABFB5E7FA0B1E43C0F87B8D72D64AC2AB9EC9BDE8676C")
	w := h.dial()
	w.ask(connect, connected)

	// logpost asks for its switch on connect; the version report has a number for an id and no answer.
	w.send(publish(sysOf(d, "thing/config/log/get"), `{"id":"1","version":"1.0","params":{"configScope":"device","getType":"content"},"sys":{"ack":1}}`, 0))
	w.wantPublication(sysOf(d, "thing/config/log/get_reply"), replyTo(200, `{"getType":"content","content":{"mode":0}}`, "1", "success", "thing.config.log.get"))
	w.send(publish(otaTopic("inform", d), `{"id":2,"params":{"version":"1.0"}}`, 0))
	w.posts(d, "thing/event/property/post", `{"id":"3","version":"1.0","params":{"Temp":24},"sys":{"ack":1}}`, "3", "thing.event.property.post")
	h.wantLatest(d, map[string]string{"Temp": "24"})

	// A set, a service and a synchronous service come without SUBSCRIBE.
	set := h.start("set Light", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.SetProperties(ctx, who, d.ProductKey, d.DeviceName, json.RawMessage(`{"Light":1}`), platform.CallOptions{Wait: true})
	})
	id := w.idOf(sysOf(d, "thing/service/property/set"), "thing.service.property.set", `{"Light":1}`)
	w.send(publish(sysOf(d, "thing/service/property/set_reply"), `{"id":"`+id+`","code":200,"data":{}}`, 0))
	if r := set.result(); !r.Replied || r.Code != 200 {
		t.Errorf("the set's result is %+v", r)
	}
	blink := h.start("Blink", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.InvokeService(ctx, who, d.ProductKey, d.DeviceName, "Blink", json.RawMessage(`{"times":3}`), platform.CallOptions{Wait: true})
	})
	id = w.idOf(sysOf(d, "thing/service/Blink"), "thing.service.Blink", `{"times":3}`)
	w.send(publish(sysOf(d, "thing/service/Blink_reply"), `{"id":"`+id+`","code":200,"data":{}}`, 0))
	if r := blink.result(); r.Code != 200 {
		t.Errorf("the service's result is %+v", r)
	}
	read := h.start("ReadSensor", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.InvokeService(ctx, who, d.ProductKey, d.DeviceName, "ReadSensor", nil, platform.CallOptions{})
	})
	p := w.publication()
	if !strings.HasPrefix(string(p.Topic), "/ext/rrpc/") || !strings.HasSuffix(string(p.Topic), sysOf(d, "thing/service/ReadSensor")) || len(p.Topic) > 128 {
		t.Fatalf("a synchronous service came on %s", p.Topic)
	}
	w.send(publish(string(p.Topic), `{"id":"1","code":200,"data":{"Temp":24,"Hum":40,"Gas":0}}`, 0))
	if r := read.result(); r.Code != 200 || !strings.Contains(string(r.Data), `"Hum":40`) {
		t.Errorf("the synchronous service's result is %+v", r)
	}

	// The time, with all three keys; the upgrade that its version has waited for.
	w.send(publish("/ext/ntp/a1B2c3D4e5F/dev01/request", `{"deviceSendTime":"1234"}`, 0))
	if p := w.publication(); string(p.Topic) != "/ext/ntp/a1B2c3D4e5F/dev01/response" || !bytes.HasPrefix(p.Payload, []byte(`{"deviceSendTime":"1234","serverSendTime":"1`)) || !bytes.Contains(p.Payload, []byte(`"serverRecvTime":"1`)) {
		t.Errorf("the time was answered %s %s", p.Topic, p.Payload)
	}
	f, _ := h.addFirmware(platform.Firmware{ProductKey: d.ProductKey, Version: "1.1"}, 100)
	job := h.startUpgrade(platform.UpgradeJob{Firmware: f.ID, Sources: []string{"1.0"}}, 1)
	p = w.publication()
	m := pushHTTPS.FindStringSubmatch(string(p.Payload))
	if m == nil || string(p.Topic) != otaTopic("upgrade", d) || p.QoS != 0 || len(m[3]) > 255 {
		t.Fatalf("pushed %s %s", p.Topic, p.Payload)
	}
	w.send(publish(otaTopic("progress", d), `{"id":4,"params":{"step":"100","desc":""}}`, 0))
	w.send(publish(otaTopic("inform", d), `{"id":5,"params":{"version":"1.1"}}`, 0))
	h.awaitTask(job, d, "success")

	// A QoS 1 message of its own is sent again after 3 s with the same bytes: no DUP. Both are acknowledged.
	own := "/a1B2c3D4e5F/dev01/user/update"
	for range 2 {
		w.ask(packet(0x32, text(own), number(6), "hello"), acknowledged(6))
	}
	// A QoS 1 message that it does not acknowledge holds nothing up.
	custom := "/a1B2c3D4e5F/dev01/user/get"
	w.ask(subscribeBytes(7, 1, custom), granted(7, 1))
	say := func(s string) {
		t.Helper()
		if err := h.Platform.Publish(t.Context(), who, custom, []byte(s), 1, false); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(w *wire, s string) {
		t.Helper()
		if p := w.publication(); string(p.Topic) != custom || string(p.Payload) != s || p.QoS != 1 || p.Dup || p.Retain {
			t.Fatalf("%q came as %+v", s, p)
		}
	}
	say("unanswered")
	hear(w, "unanswered")
	w.posts(d, "thing/event/property/post", `{"id":"8","version":"1.0","params":{"Temp":25},"sys":{"ack":1}}`, "8", "thing.event.property.post")
	say("next")
	hear(w, "next")
	w.ping()

	// The connection breaks. It never subscribes again, although its session is clean.
	_ = w.conn.Close()
	w = h.dial()
	w.ask(connect, connected)
	w.ping() // and what it left unacknowledged is gone with the session
	say("after the break")
	hear(w, "after the break")
	w.ask(packet(0xA0, number(9), text(custom)), packet(0xB0, number(9)))
	say("not wanted any more")
	w.ping()
}

// replayNode: sixteen filters that also a gateway would need, composite ids (§4). The password is vector 14.
func replayNode(t *testing.T) {
	h := replayHome(t)
	d := dev01
	connect := connectBytes(0xC0, 60, "a1B2c3D4e5F&dev01|securemode=3,signmethod=hmacsha1,timestamp=1600000000000,lan=NodeJS,_v=1.2.8|",
		"dev01&a1B2c3D4e5F", "2b89fe3c0ad70432c2af86d7b9300bd47a40e0f9")
	w := h.dial()
	w.ask(connect, connected)
	subscribe := func(w *wire) {
		t.Helper()
		var all []byte
		filters := nodeFilters(d)
		for i, f := range filters {
			all = append(all, subscribeBytes(i+1, 1, f)...)
		}
		w.send(all)
		for i := range filters {
			w.want(granted(i+1, 1))
		}
	}
	subscribe(w)
	w.ask(subscribeBytes(17, 1, sysOf(d, "thing/service/ReadSensor")), granted(17, 1)) // the first of onService, no other

	// Two filters match the reply. It comes once, under the id that has the topic in it.
	id := `1|exp-topic|` + sysOf(d, "thing/event/property/post_reply")
	w.posts(d, "thing/event/property/post", `{"id":"`+id+`","version":"1.0","params":{"Temp":21},"method":"thing.event.property.post"}`, id, "thing.event.property.post")
	w.ping()
	id = `2|exp-topic|` + sysOf(d, "thing/event/GasAlarm/post_reply")
	w.posts(d, "thing/event/GasAlarm/post", `{"id":"`+id+`","version":"1.0","params":{"Gas":900,"Level":1},"method":"thing.event.GasAlarm.post"}`, id, "thing.event.GasAlarm.post")
	w.ping()
	if got := h.series(h.Platform.EventHistory, d, "GasAlarm"); got != `{"Gas":900,"Level":1}` {
		t.Errorf("the event without a wrapping is stored as %s", got)
	}

	// A set comes once and is not answered; services come by their name, subscribed or not, and synchronous ones by
	// RRPC, because the client id has no ext.
	if _, err := h.Platform.SetProperties(t.Context(), who, d.ProductKey, d.DeviceName, json.RawMessage(`{"Light":1}`), platform.CallOptions{}); err != nil {
		t.Fatal(err)
	}
	w.idOf(sysOf(d, "thing/service/property/set"), "thing.service.property.set", `{"Light":1}`)
	w.ping()
	blink := h.start("Blink", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.InvokeService(ctx, who, d.ProductKey, d.DeviceName, "Blink", json.RawMessage(`{"times":1}`), platform.CallOptions{Wait: true})
	})
	id = w.idOf(sysOf(d, "thing/service/Blink"), "thing.service.Blink", `{"times":1}`)
	w.send(publish(sysOf(d, "thing/service/Blink_reply"), `{"id":"`+id+`","code":200,"data":{}}`, 0))
	if r := blink.result(); r.Code != 200 {
		t.Errorf("the second service's result is %+v", r)
	}
	read := h.start("ReadSensor", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.InvokeService(ctx, who, d.ProductKey, d.DeviceName, "ReadSensor", nil, platform.CallOptions{})
	})
	p := w.publication()
	rrpc, ok := strings.CutPrefix(string(p.Topic), sysOf(d, "rrpc/request/"))
	if !ok {
		t.Fatalf("a synchronous service came on %s", p.Topic)
	}
	w.send(publish(sysOf(d, "rrpc/response/"+rrpc), `{"id":"1","code":200,"data":{"Temp":1,"Hum":2,"Gas":3}}`, 0))
	if r := read.result(); r.Code != 200 {
		t.Errorf("the first service's result is %+v", r)
	}

	// The shadow's version is Date.now(), its answer the raw document.
	w.send(publish("/shadow/update/a1B2c3D4e5F/dev01", `{"method":"update","state":{"reported":{"a":1}},"version":1600000000000}`, 0))
	w.wantShadow(d, `{"method":"reply","payload":{"status":"success","version":1600000000000},"timestamp":T}`)
	w.ping()

	// It comes back with its session, and mqtt.js and the SDK both subscribe again.
	_ = w.conn.Close()
	w = h.dial()
	w.ask(connect, connected)
	subscribe(w)
	subscribe(w)
	id = `3|exp-topic|` + sysOf(d, "thing/event/property/post_reply")
	w.posts(d, "thing/event/property/post", `{"id":"`+id+`","version":"1.0","params":{"Temp":22},"method":"thing.event.property.post"}`, id, "thing.event.property.post")
	w.ping()
}

// nodeFilters are what the Node SDK subscribes to for every device, one packet each.
func nodeFilters(d alink.Triple) []string {
	var filters []string
	for _, tail := range []string{
		"thing/event/property/post_reply", "thing/service/property/set", "thing/event/+/post_reply", "thing/deviceinfo/update_reply", "thing/deviceinfo/delete_reply",
		"thing/config/get_reply", "", "thing/config/push", "thing/config/push_reply", "thing/topo/add_reply", "thing/topo/delete_reply", "thing/topo/get_reply",
		"/ext/session/{P}/combine/login_reply", "/ext/session/{P}/combine/logout_reply", "thing/sub/register_reply", "rrpc/request/+",
	} {
		own := d.ProductKey + "/" + d.DeviceName
		switch {
		case tail == "":
			filters = append(filters, "/shadow/get/"+own)
		case tail[0] == '/':
			filters = append(filters, strings.Replace(tail, "{P}", own, 1))
		default:
			filters = append(filters, sysOf(d, tail))
		}
	}
	return filters
}

// replayPython: TLS on port 1883, one SUBSCRIBE with more filters than the cloud says it takes, JSON with blanks (§5).
func replayPython(t *testing.T) {
	h := replayHome(t)
	d := dev01
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", h.address(), h.tlsConfig())
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(t, conn)
	const seconds = "1600000000"
	w.ask(connectBytes(0xC2, 60, "a1B2c3D4e5F&dev01|securemode=2,signmethod=hmacsha1,ext=1,timestamp="+seconds+"|", "dev01&a1B2c3D4e5F",
		signed(sha1.New, d.DeviceSecret, "clientIda1B2c3D4e5F&dev01deviceNamedev01productKeya1B2c3D4e5Ftimestamp"+seconds)), connected)
	filters := []string{
		sysOf(d, "thing/service/property/set"), sysOf(d, "thing/event/property/post_reply"), sysOf(d, "thing/event/GasAlarm/post_reply"),
		sysOf(d, "thing/deviceinfo/update_reply"), sysOf(d, "thing/deviceinfo/delete_reply"), sysOf(d, "thing/dynamicTsl/get_reply"), "/shadow/get/a1B2c3D4e5F/dev01",
		"/ota/device/upgrade/a1B2c3D4e5F/dev01", sysOf(d, "thing/service/Blink"), "/ext/rrpc/+/sys/a1B2c3D4e5F/dev01/thing/service/ReadSensor", sysOf(d, "rrpc/request/+"),
	}
	w.ask(subscribeBytes(1, 0, filters...), granted(1, len(filters)))

	asks := func(id int, tail, payload, method string) {
		t.Helper()
		w.ask(packet(0x32, text(sysOf(d, tail)), number(id), payload), acknowledged(id))
		w.wantPublication(sysOf(d, tail+"_reply"), replyTo(200, "{}", fmt.Sprint(id), "success", method))
	}
	asks(2, "thing/deviceinfo/update", `{"id": "2", "version": "1.0", "params": [{"attrKey": "SYS_SDK_LANGUAGE", "attrValue": "Python", "domain": "SYSTEM"}, {"attrKey": "SYS_LP_SDK_VERSION", "attrValue": "1.0.0", "domain": "SYSTEM"}], "method": "thing.deviceinfo.update"}`, "thing.deviceinfo.update")
	asks(3, "thing/event/property/post", `{"id": "3", "version": "1.0", "params": {"Temp": 21, "Hum": 40}, "method": "thing.event.property.post"}`, "thing.event.property.post")
	h.wantLatest(d, map[string]string{"Temp": "21", "Hum": "40"})
	w.posts(d, "thing/event/GasAlarm/post", `{"id": "4", "version": "1.0", "params": {"Gas": 700, "Level": 1}, "method": "thing.event.GasAlarm.post"}`, "4", "thing.event.GasAlarm.post")

	// thing_answer_service and set_reply at QoS 1, with a mistake of its own kept as it is.
	set := h.start("set Light", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.SetProperties(ctx, who, d.ProductKey, d.DeviceName, json.RawMessage(`{"Light":0}`), platform.CallOptions{Wait: true})
	})
	id := w.idOf(sysOf(d, "thing/service/property/set"), "thing.service.property.set", `{"Light":0}`)
	w.ask(packet(0x32, text(sysOf(d, "thing/service/property/set_reply")), number(5), `{"id": "`+id+`", "code": 200, "data": {}}`), acknowledged(5))
	if r := set.result(); r.Code != 200 {
		t.Errorf("the set's result is %+v", r)
	}
	read := h.start("ReadSensor", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.InvokeService(ctx, who, d.ProductKey, d.DeviceName, "ReadSensor", nil, platform.CallOptions{})
	})
	p := w.publication()
	if !strings.HasPrefix(string(p.Topic), "/ext/rrpc/") || !strings.HasSuffix(string(p.Topic), "/sys/a1B2c3D4e5F/dev01/thing/service/ReadSensor") {
		t.Fatalf("a synchronous service came on %s", p.Topic)
	}
	w.send(publish(string(p.Topic), `{"id": "1", "code": 200, "data": {"Temp": 21, "Hum": 40, "Gas": 0}}`, 0))
	if r := read.result(); r.Code != 200 {
		t.Errorf("the synchronous service's result is %+v", r)
	}
	w.ping()
}

// replayConsumer: the boot of a light bulb, over clear TCP and as its mbedTLS negotiates TLS. It goes on only when
// it was answered (§10).
func replayConsumer(t *testing.T) {
	h := replayHome(t)
	t.Run("TCP", func(t *testing.T) { bootConsumer(t, h, h.dial(), 7) })
	t.Run("TLS", func(t *testing.T) {
		// 0x003D, 0x0035, 0x003C, 0x002F, 0x00FF and nothing else, as captured.
		bootConsumer(t, h, h.throughOpenSSL("AES256-SHA256:AES256-SHA:AES128-SHA256:AES128-SHA"), 8)
	})
}

func bootConsumer(t *testing.T, h *home, w *wire, temp int) {
	d := dev01
	w.t = t
	own := "a1B2c3D4e5F.dev01"
	w.ask(connectBytes(0xC0, 120, own+"|securemode=2,tokenType=0,token=000102030405060708090a0b0c0d0e0f,_v=sdk-c-2.3.0_FY_1.6.6-16,timestamp=2524608000000,"+
		"signmethod=hmacsha1,lan=C,pid=ALI_AOS_TG7100CEVB,mid=TG7100CEVB,authtype=custom-ilop,_fy=1.6.6-16,_ss=1|", "dev01&a1B2c3D4e5F",
		signed(sha1.New, d.DeviceSecret, "clientId"+own+"deviceNamedev01productKeya1B2c3D4e5Ftimestamp2524608000000")), connected)
	w.ask(subscribeBytes(1, 0, sysOf(d, "thing/event/+/post_reply")), granted(1, 1))
	w.posts(d, "thing/deviceinfo/update", `{"id":"1","version":"1.0","params":[{"attrKey":"SYS_SDK_LANGUAGE","attrValue":"C","domain":"SYSTEM"}],"method":"thing.deviceinfo.update"}`, "1", "thing.deviceinfo.update")
	w.ask(packet(0x32, text(otaTopic("inform", d)), number(2), `{"id":2,"params":{"version":"app-1.0.0"}}`), acknowledged(2))
	w.send(publish(sysOf(d, "thing/lan/prefix/get"), `{"id":"3","version":"1.0","params":{},"method":"thing.lan.prefix.get"}`, 0))
	p := w.publication()
	var pair struct {
		ID   string
		Code int
		Data map[string]string
	}
	if err := json.Unmarshal(p.Payload, &pair); err != nil || string(p.Topic) != sysOf(d, "thing/lan/prefix/get_reply") || pair.ID != "3" || pair.Code != 200 ||
		pair.Data["deviceSecret"] == "" || pair.Data["prefix"] == "" || pair.Data["productKey"] != d.ProductKey || pair.Data["deviceName"] != d.DeviceName {
		t.Fatalf("the firmware would stay in its boot: %s %s", p.Topic, p.Payload)
	}
	w.send(publish("/ext/ntp/a1B2c3D4e5F/dev01/request", `{"deviceSendTime":"4321"}`, 0))
	if p := w.publication(); string(p.Topic) != "/ext/ntp/a1B2c3D4e5F/dev01/response" {
		t.Fatalf("the time came on %s", p.Topic)
	}
	w.posts(d, "thing/awss/enrollee/match", `{"id":"4","version":"1.0","method":"thing.awss.enrollee.match","params":{"token":"0F0E0D0C0B0A09080706050403020100"}}`, "4", "thing.awss.enrollee.match")
	w.posts(d, "thing/event/property/post", fmt.Sprintf(`{"id":"5","version":"1.0","params":{"Temp":%d,"Hum":30,"Gas":1,"Light":0},"method":"thing.event.property.post"}`, temp), "5", "thing.event.property.post")
	w.ping() // one filter and the push, but one reply
	w.posts(d, "thing/event/property/post", fmt.Sprintf(`{"id":"6","version":"1.0","params":{"Temp":{"value":%d,"time":%d}},"method":"thing.event.property.post"}`, temp+10, nowMS()), "6", "thing.event.property.post")
	h.wantLatest(d, map[string]string{"Temp": fmt.Sprint(temp + 10), "Hum": "30"})
	w.posts(d, "thing/log/post", `{"id":7,"version":"1.0","params":[{"utcTime":"2020-03-06T15:15:27.000+0800","logLevel":"INFO","module":"boot","code":"200","logContent":"up"}],"method":"thing.log.post"}`, "7", "thing.log.post")
	set := h.start("set Light", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.SetProperties(ctx, who, d.ProductKey, d.DeviceName, json.RawMessage(`{"Light":1}`), platform.CallOptions{Wait: true})
	})
	id := w.idOf(sysOf(d, "thing/service/property/set"), "thing.service.property.set", `{"Light":1}`)
	w.send(publish(sysOf(d, "thing/service/property/set_reply"), `{"id":"`+id+`","code":200,"data":{}}`, 0))
	if r := set.result(); !r.Replied || r.Code != 200 {
		t.Errorf("the set's result is %+v", r)
	}
	// Factory reset as that SDK writes it, and its end.
	w.posts(d, "thing/reset", `{"id":8, "version":"1.0", "method":"thing.reset", "params":{}}`, "8", "thing.reset")
	w.ping()
	w.send([]byte{0xE0, 0})
	w.wantClosed()
}

// replayMCUUpgrade: a microcontroller with sscanf and a buffer of 512 bytes fetches its firmware in blocks of 256 (§9).
// Names, size and frame are those of the capture in spec/services.md §2.2.
func replayMCUUpgrade(t *testing.T) {
	h := mustStart(t)
	h.addProduct("k08lcwgm0Ts", "../tsl/testdata/stc15.json")
	d := h.addDevice(alink.Triple{ProductKey: "k08lcwgm0Ts", DeviceName: "MQTTtest", DeviceSecret: dev01.DeviceSecret})
	w := h.dial()
	w.ask(connectBytes(0xC2, 100, "MQTTtest|securemode=3,signmethod=hmacsha1|", "MQTTtest&k08lcwgm0Ts",
		signed(sha1.New, d.DeviceSecret, "clientIdMQTTtestdeviceNameMQTTtestproductKeyk08lcwgm0Ts")), []byte{0x20, 2, 0, 0})
	// Its counter begins at 0, cleared while the CONNECT was built; one filter in a packet, QoS 0 and 1.
	w.ask(subscribeBytes(0, 0, sysOf(d, "thing/service/property/set")), []byte{0x90, 3, 0, 0, 1})
	w.ask(subscribeBytes(1, 1, otaTopic("upgrade", d)), []byte{0x90, 3, 0, 1, 1})
	w.ask(subscribeBytes(2, 1, sysOf(d, "thing/file/download_reply")), []byte{0x90, 3, 0, 2, 1})
	w.ask(packet(0xA0, number(3), text(sysOf(d, "thing/service/property/set"))), []byte{0xB0, 2, 0, 3})
	w.ask(packet(0x32, text(otaTopic("inform", d)), number(4), `{"id": "1","params": {"version": "1.0"}}`), []byte{0x40, 2, 0, 4})

	const size = 4252
	f, content := h.addFirmware(platform.Firmware{ProductKey: d.ProductKey, Version: "1.1"}, size)
	job := h.startUpgrade(platform.UpgradeJob{Firmware: f.ID, Protocol: "mqtt", Sources: []string{"1.0"}}, 1)
	stream := h.task(job, d).ID
	sum := fmt.Sprintf("%x", md5.Sum(content))
	frame := w.next()
	// The frame is the captured one but for streamId, sign and id.
	const captured = "30 A0 02 00 28 /ota/device/upgrade/k08lcwgm0Ts/MQTTtest" +
		`{"code":"1000","data":{"size":4252,"streamId":12332,"sign":"2e78f357f54732c90f3bebb2fb6a3865","dProtocol":"mqtt","version":"1.1","signMethod":"Md5","streamFileId":1,"md5":"2e78f357f54732c90f3bebb2fb6a3865"},"id":1695281536874,"message":"success"}`
	i := bytes.LastIndex(frame.Raw, []byte(`"id":`))
	if i < 0 {
		t.Fatalf("pushed %q", frame.Raw)
	}
	pattern := strings.NewReplacer("12332", fmt.Sprint(stream), "2e78f357f54732c90f3bebb2fb6a3865", sum, "1695281536874", string(frame.Raw[i+5:i+18]))
	_, payload, _ := strings.Cut(captured, "MQTTtest")
	if want := packet(0x30, text(otaTopic("upgrade", d)), pattern.Replace(payload)); !bytes.Equal(frame.Raw, want) {
		t.Fatalf("pushed\n%q\nwant\n%q", frame.Raw, want)
	}
	if body := len(frame.Body); body != 288-len("12332")+len(fmt.Sprint(stream)) || !bytes.HasPrefix(frame.Body, []byte{0, 0x28}) {
		t.Errorf("the remaining length is %d; captured were 288 with a stream id of five digits", body)
	}

	var got []byte
	for len(got) < size {
		n := min(256, size-len(got)) // the last block is exactly what remains
		w.send(publish(sysOf(d, "thing/file/download"), fmt.Sprintf(`{"id": "1","version": "1.0","params": {"fileInfo":{"streamId":%d,"fileId":1},"fileBlock":{"size":%d,"offset":%d}}}`, stream, n, len(got)), 0))
		f := w.next()
		if f.Raw[0] != 0x30 || len(f.Raw) > 512 {
			t.Fatalf("a block is a packet of %d bytes that begins with %X; the buffer has 512 and 30 is looked for", len(f.Raw), f.Raw[0])
		}
		// Nothing may follow the checksum: the client counts from the end.
		end := len(f.Raw)
		block := f.Raw[end-2-n : end-2]
		if crc := be.LittleEndian.Uint16(f.Raw[end-2:]); crc != crc16ARC(block) {
			t.Fatalf("the checksum of the block at %d is %04X, want %04X", len(got), crc, crc16ARC(block))
		}
		topic := sysOf(d, "thing/file/download_reply")
		header := fmt.Sprintf(`{"id":"1","code":200,"data":{"fileLength":%d,"bSize":%d,"bOffset":%d}}`, size, n, len(got))
		if want := packet(0x30, text(topic), text(header), string(block), string(f.Raw[end-2:])); !bytes.Equal(f.Raw, want) {
			t.Fatalf("the block at %d came as\n%q\nwant\n%q", len(got), f.Raw, want)
		}
		got = append(got, block...)
	}
	if len(got) != size || !bytes.Equal(got, content) || fmt.Sprintf("%x", md5.Sum(got)) != sum {
		t.Errorf("%d bytes were fetched, and they are not the file's %d", len(got), size)
	}
	w.send(publish(otaTopic("progress", d), `{"id": "1","params": {"step": "100","desc": "ok"}}`, 0))
	w.ping()
	// It restarts with the new firmware, and is told nothing more.
	_ = w.conn.Close()
	w = h.dial()
	w.ask(connectBytes(0xC2, 100, "MQTTtest|securemode=3,signmethod=hmacsha1|", "MQTTtest&k08lcwgm0Ts",
		signed(sha1.New, d.DeviceSecret, "clientIdMQTTtestdeviceNameMQTTtestproductKeyk08lcwgm0Ts")), connected)
	w.ask(packet(0x32, text(otaTopic("inform", d)), number(0), `{"id": "1","params": {"version": "1.1"}}`), acknowledged(0))
	h.awaitTask(job, d, "success")
	w.ping()
}

// replayATModule: single quotes are sent as they were typed (§11).
func replayATModule(t *testing.T) {
	h := mustStart(t)
	h.addProduct(dev01.ProductKey, "")
	if _, err := h.Platform.ImportModel(t.Context(), who, dev01.ProductKey, []byte(`{"schema":"https://iotx-tsl.oss-ap-southeast-1.aliyuncs.com/schema.json","profile":{"productKey":"a1B2c3D4e5F"},
		"properties":[{"identifier":"LightSwitch","name":"switch","accessMode":"rw","required":false,"dataType":{"type":"bool","specs":{"0":"off","1":"on"}}}],"events":[],"services":[]}`)); err != nil {
		t.Fatal(err)
	}
	d := h.addDevice(dev01)
	w := h.dial()
	w.ask(connectBytes(0xC2, 120, "a1B2c3D4e5F.dev01|securemode=3,signmethod=hmacsha1,timestamp=2524608000000|", "dev01&a1B2c3D4e5F",
		signed(sha1.New, d.DeviceSecret, "clientIda1B2c3D4e5F.dev01deviceNamedev01productKeya1B2c3D4e5Ftimestamp2524608000000")), connected)
	w.ask(subscribeBytes(1, 1, sysOf(d, "thing/event/property/post_reply")), granted(1, 1)) // +QMTSUB: 0,1,0,1
	w.posts(d, "thing/event/property/post", `{'id':'1','version':'1.0','params':{'LightSwitch':1},'method':'thing.event.property.post'}`, "1", "thing.event.property.post")
	w.ping()
	h.wantLatest(d, map[string]string{"LightSwitch": "1"})
}

// replayOneConnection: the newer of two connections counts, keep-alives beyond the cloud's are refused, and who is
// silent for one and a half of them is gone (spec/connect.md §12, §13).
func replayOneConnection(t *testing.T) {
	h := mustStart(t, func(c *config.Config) { c.Device.Strict = true })
	d := h.addSeed()
	connect := func(keepAlive int) []byte {
		return connectBytes(0xC2, keepAlive, "10001|securemode=3,signmethod=hmacsha1|", "STC15&a1ji0qFv6Jf", "4756856f5bc65bbbabc7a826d73de282ff87090d")
	}
	older, newer := h.dial(), h.dial()
	older.ask(connect(100), connected)
	newer.ask(connect(100), connected)
	older.wantClosed()
	newer.ping()
	newer.posts(d, "thing/event/property/post", `{"id":"1","params":{"Temp":1}}`, "1", "thing.event.property.post")
	for keepAlive, answer := range map[int]byte{0: 2, 29: 2, 30: 0, 1200: 0, 1201: 2, 65535: 2} {
		w := h.dial()
		w.ask(connect(keepAlive), []byte{0x20, 2, 0, answer})
		if answer != 0 {
			w.wantClosed()
			continue
		}
		w.ping()
	}
	h.log.await(t, "keep-alive is 29 s")
	h.stop()

	// Nobody waits 45 s here: what is not strict takes shorter ones.
	h = mustStart(t)
	h.addSeed()
	w := h.dial()
	w.ask(connect(2), connected)
	began := time.Now()
	w.ping() // any packet begins it anew
	w.wantClosed()
	if took := time.Since(began); took < 3*time.Second {
		t.Errorf("closed after %v of silence, want one and a half of 2 s", took)
	}
	h.log.await(t, "device offline", "keep-alive")
}

// replayRegistration: a device that has its product's secret only, as the C Link SDK 4 asks (spec/connect.md §10). The
// password is vector 15.
func replayRegistration(t *testing.T) {
	h := mustStart(t)
	if settle := time.Duration(h.cfg.Device.Settle); settle >= time.Second {
		t.Errorf("a device hears nothing for %v after CONNACK; the SDK gives up after 5 s, the scenario says 1 s", settle)
	}
	const secret = "ProductSecret123"
	if _, err := h.Platform.CreateProduct(t.Context(), who, platform.Product{ProductKey: dev01.ProductKey, Name: "registers", ProductSecret: secret, DynamicRegister: true, AutoRegister: true}); err != nil {
		t.Fatal(err)
	}
	d := h.addDevice(dev01)
	secure := func() *wire {
		t.Helper()
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", h.address(), h.tlsConfig())
		if err != nil {
			t.Fatal(err)
		}
		return newWire(t, conn)
	}
	register := connectBytes(0xC2, 60, "dev01.a1B2c3D4e5F|random=8Ygb7ULYh53B6OA,authType=register,securemode=2,signmethod=hmacsha256|", "dev01&a1B2c3D4e5F",
		strings.ToUpper("1e4b4d11595ed31e42bd1868f0895919c0ed28c6de4d5ff280ed6648eb4e1582"))
	refused := func(w *wire, connect []byte, code byte) {
		t.Helper()
		w.ask(connect, []byte{0x20, 2, 0, code})
		w.wantClosed()
	}
	refused(h.dial(), register, 2) // in the clear

	w := secure()
	w.ask(register, connected)
	w.wantPublication("/ext/register", `{"productKey":"a1B2c3D4e5F","deviceName":"dev01","deviceSecret":"0123456789abcdef0123456789abcdef"}`)
	w.send([]byte{0xE0, 0})
	w.wantClosed()
	w = h.dial()
	w.ask(connectBytes(0xC2, 1200, "a1B2c3D4e5F.dev01|timestamp=2524608000000,_ss=1,_v=sdk-c-4.1.0,securemode=3,signmethod=hmacsha256,ext=3,|", "dev01&a1B2c3D4e5F",
		"1BA83B7A3200015ECEAABFB5E7FA0B1E43C0F87B8D72D64AC2AB9EC9BDE8676C"), connected)
	eventually(t, "the device is activated", func() bool {
		got, err := h.Platform.Device(t.Context(), d.ProductKey, d.DeviceName)
		return err == nil && got.ActivatedAt != 0
	})
	refused(secure(), register, 4)
	w.ping() // that concerned nobody else

	// Nobody has registered this one. LuatOS wants all four keys; the topic decides for the C SDK.
	anew := connectBytes(0xC2, 60, "unit7.a1B2c3D4e5F|random=8Ygb7ULYh53B6OA,authType=regnwl,securemode=2,signmethod=hmacsha256|", "unit7&a1B2c3D4e5F",
		strings.ToUpper(signed(sha256.New, secret, "deviceNameunit7productKeya1B2c3D4e5Frandom8Ygb7ULYh53B6OA")))
	refused(h.dial(), anew, 2)
	w = secure()
	w.ask(anew, connected)
	p := w.publication()
	var got struct{ ProductKey, DeviceName, ClientID, DeviceToken string }
	if err := json.Unmarshal(p.Payload, &got); err != nil || string(p.Topic) != "/ext/regnwl" || got.ProductKey != d.ProductKey || got.DeviceName != "unit7" || got.ClientID == "" || got.DeviceToken == "" {
		t.Fatalf("pushed %s %s", p.Topic, p.Payload)
	}
	w.send([]byte{0xE0, 0})
	w.wantClosed()
	w = h.dial()
	w.ask(connectBytes(0xC2, 1200, got.ClientID+"|authType=connwl,securemode=-2,_ss=1,ext=3,_v=sdk-c-4.1.0|", "unit7&a1B2c3D4e5F", got.DeviceToken), connected)
	w.ping()
	refused(h.dial(), connectBytes(0xC2, 1200, got.ClientID+"|authType=connwl,securemode=-2,_ss=1,ext=3,_v=sdk-c-4.1.0|", "unit7&a1B2c3D4e5F", got.DeviceToken+"x"), 4)
}

// replayGateways: how each SDK adds sub-devices and logs them in (spec/gateway.md §6, §13). The signatures of sub001
// are vectors 19 and 20.
func replayGateways(t *testing.T) {
	h := mustStart(t)
	const gw, sub, secret = "a1Gateway01", "a1SubSubSub", "fedcba9876543210fedcba9876543210"
	for _, p := range []platform.Product{{ProductKey: gw, Name: "gateway", NodeType: "gateway"}, {ProductKey: sub, Name: "sub", NodeType: "subdevice"}} {
		if _, err := h.Platform.CreateProduct(t.Context(), who, p); err != nil {
			t.Fatal(err)
		}
	}
	h.importModel(sub, "../tsl/testdata/stc15.json")
	g := h.addDevice(alink.Triple{ProductKey: gw, DeviceName: "gateway1", DeviceSecret: dev01.DeviceSecret})
	subs := map[string]alink.Triple{}
	for _, name := range []string{"sub001", "sub002", "sub003", "sub004"} {
		subs[name] = h.addDevice(alink.Triple{ProductKey: sub, DeviceName: name, DeviceSecret: secret})
	}
	ext := func(action string) string { return "/ext/session/a1Gateway01/gateway1/combine/" + action }
	login := func(w *wire, clientID, method, password string) {
		t.Helper()
		w.ask(connectBytes(0xC2, 1200, "a1Gateway01.gateway1|timestamp=2524608000000,"+clientID+",signmethod="+method+"|", "gateway1&a1Gateway01", password), connected)
	}
	signed256 := signed(sha256.New, g.DeviceSecret, "clientIda1Gateway01.gateway1deviceNamegateway1productKeya1Gateway01timestamp2524608000000")
	posts := func(w *wire, name string) {
		t.Helper()
		w.posts(subs[name], "thing/event/property/post", `{"id":"9","version":"1.0","params":{"Temp":9},"sys":{"ack":1}}`, "9", "thing.event.property.post")
	}

	// C Link SDK 4: nothing subscribed, no method, capitals, its uptime for a time, one signMethod beside the list.
	w := h.dial()
	login(w, "_ss=1,_v=sdk-c-4.1.0,securemode=3,ext=3", "hmacsha256", strings.ToUpper(signed256))
	sign := strings.ToUpper(signed(sha256.New, secret, "clientIda1SubSubSub.sub002deviceNamesub002productKeya1SubSubSubtimestamp12345"))
	w.send(publish(sysOf(g, "thing/topo/add"), `{"id":"1","version":"1.0","params":[{"productKey":"a1SubSubSub","deviceName":"sub002","clientId":"a1SubSubSub.sub002","timestamp":"12345","signmethod":"hmacSha256","sign":"`+sign+`"}]}`, 0))
	w.wantPublication(sysOf(g, "thing/topo/add_reply"), replyTo(200, `[{"deviceName":"sub002","productKey":"a1SubSubSub"}]`, "1", "success", "thing.topo.add"))
	w.send(publish(sysOf(g, "thing/topo/get"), `{"id":"2","version":"1.0","params":"{}"}`, 0))
	w.wantPublication(sysOf(g, "thing/topo/get_reply"), replyTo(200, `[{"deviceName":"sub002","productKey":"a1SubSubSub"}]`, "2", "success", "thing.topo.get"))
	w.send(publish(ext("batch_login"), `{"id":"3","version":"1.0","params":{"deviceList":[{"productKey":"a1SubSubSub","deviceName":"sub002","clientId":"a1SubSubSub.sub002","timestamp":"12345","cleanSession":"false","sign":"`+sign+`"}],"signMethod":"hmacSha256"}}`, 0))
	w.wantPublication(ext("batch_login_reply"), `{"id":"3","code":200,"message":"success","data":[{"productKey":"a1SubSubSub","deviceName":"sub002"}]}`)
	posts(w, "sub002")
	if _, err := h.Platform.SetProperties(t.Context(), who, sub, "sub002", json.RawMessage(`{"Light":1}`), platform.CallOptions{}); err != nil {
		t.Fatal(err)
	}
	w.idOf(sysOf(subs["sub002"], "thing/service/property/set"), "thing.service.property.set", `{"Light":1}`)
	w.send(publish(ext("batch_logout"), `{"id":4,"version":"1.0","params":[{"productKey":"a1SubSubSub","deviceName":"sub002"}]}`, 0))
	w.wantPublication(ext("batch_logout_reply"), `{"id":"4","code":200,"message":"success","data":[{"productKey":"a1SubSubSub","deviceName":"sub002"}]}`)

	// Node: a number for a time, & in the client id, signMethod for topo/add too, an empty method; then 16 filters of
	// the sub-device's.
	sign = signed(sha1.New, secret, "clientIda1SubSubSub&sub003deviceNamesub003productKeya1SubSubSubtimestamp1600000000000")
	entry := `{"productKey":"a1SubSubSub","deviceName":"sub003","clientId":"a1SubSubSub&sub003","timestamp":1600000000000,"signMethod":"hmacsha1","sign":"` + sign + `"`
	w.send(publish(sysOf(g, "thing/topo/add"), `{"id":"5","version":"1.0","params":[`+entry+`}],"method":"thing.topo.add"}`, 0))
	w.wantPublication(sysOf(g, "thing/topo/add_reply"), replyTo(200, `[{"deviceName":"sub003","productKey":"a1SubSubSub"}]`, "5", "success", "thing.topo.add"))
	w.send(publish(ext("login"), `{"id":"6","version":"1.0","params":`+entry+`,"cleanSession":"true"},"method":""}`, 0))
	w.wantPublication(ext("login_reply"), `{"id":"6","code":200,"message":"success","data":{"deviceName":"sub003","productKey":"a1SubSubSub"}}`)
	for i, f := range nodeFilters(subs["sub003"]) {
		w.ask(subscribeBytes(i+1, 1, f), granted(i+1, 1))
	}
	posts(w, "sub003")
	w.ping() // the reply came once

	// C SDK 3: a single login, bars in the client id, signed as they are.
	id3 := "a1SubSubSub.sub004|_ss=1,_v=sdk-c-3.2.0|"
	sign = signed(sha256.New, secret, "clientId"+id3+"deviceNamesub004productKeya1SubSubSubtimestamp2524608000000")
	w.send(publish(sysOf(g, "thing/topo/add"), `{"id":7,"version":"1.0","params":[{"productKey":"a1SubSubSub","deviceName":"sub004","signmethod":"hmacSha256","sign":"`+sign+`","timestamp":"2524608000000","clientId":"`+id3+`"}],"method":"thing.topo.add"}`, 0))
	w.wantPublication(sysOf(g, "thing/topo/add_reply"), replyTo(200, `[{"deviceName":"sub004","productKey":"a1SubSubSub"}]`, "7", "success", "thing.topo.add"))
	w.send(publish(ext("login"), `{"id":8,"params":{"productKey":"a1SubSubSub","deviceName":"sub004","clientId":"`+id3+`","timestamp":"2524608000000","signMethod":"hmacSha256","sign":"`+sign+`","cleanSession":"false"}}`, 0))
	w.wantPublication(ext("login_reply"), `{"id":"8","code":200,"message":"success","data":{"deviceName":"sub004","productKey":"a1SubSubSub"}}`)
	posts(w, "sub004")

	// The documentation's bytes, and its older form that signs cleanSession too.
	w.send(publish(sysOf(g, "thing/topo/add"), `{"id":"123","version":"1.0","params":[{"deviceName":"sub001","productKey":"a1SubSubSub","clientId":"sub001","timestamp":"1524448722000","signmethod":"hmacSha1","sign":"458004cdf9b570dcca8fcb9ddd2ba576d565c60e"}],"method":"thing.topo.add"}`, 0))
	w.wantPublication(sysOf(g, "thing/topo/add_reply"), replyTo(200, `[{"deviceName":"sub001","productKey":"a1SubSubSub"}]`, "123", "success", "thing.topo.add"))
	old := `{"id":"124","params":{"productKey":"a1SubSubSub","deviceName":"sub001","clientId":"sub001","timestamp":"1524448722000","signMethod":"hmacSha1","sign":"8e2c23f04f3c28fc118fb9eb3a07024f9c75d356","cleanSession":"true"}}`
	w.send(publish(ext("login"), old, 0))
	w.wantPublication(ext("login_reply"), `{"id":"124","code":200,"message":"success","data":{"deviceName":"sub001","productKey":"a1SubSubSub"}}`)
	posts(w, "sub001")
	// What was signed with true does not hold for false; failures name the device.
	w.send(publish(ext("login"), strings.Replace(old, `"true"`, `"false"`, 1), 0))
	w.wantPublication(ext("login_reply"), `{"id":"124","code":6287,"message":"invalid sign","data":{"deviceName":"sub001","productKey":"a1SubSubSub"}}`)
	// The session of sub002 was ended above.
	w.send(publish(sysOf(subs["sub002"], "thing/event/property/post"), `{"id":"10","params":{"Temp":1}}`, 0))
	w.wantPublication("/ext/error/a1Gateway01/gateway1", `{"id":"0","code":520,"message":"device no session","data":{"productKey":"a1SubSubSub","deviceName":"sub002"}}`)
}
