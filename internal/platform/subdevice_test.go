package platform_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/demo"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

// The bytes of spec/gateway.md §4 and §6.
func TestTopologyAndSessionBytes(t *testing.T) {
	s := gatewayHome(t, 2, nil)
	g := loginGateway(t, s, "gateway1")

	g.ask(g.own("thing/topo/add"), `{"id":"123","version":"1.0","params":[{"deviceName":"sub001","productKey":"a1SubSubSub","clientId":"sub001","timestamp":"1524448722000","signmethod":"hmacSha1","sign":"458004cdf9b570dcca8fcb9ddd2ba576d565c60e"}],"method":"thing.topo.add"}`,
		`{"code":200,"data":[{"deviceName":"sub001","productKey":"a1SubSubSub"}],"id":"123","message":"success","method":"thing.topo.add","version":"1.0"}`)
	g.ask(g.own("thing/topo/get"), `{"id":"124","version":"1.0","params":"{}"}`,
		`{"code":200,"data":[{"deviceName":"sub001","productKey":"a1SubSubSub"}],"id":"124","message":"success","method":"thing.topo.get","version":"1.0"}`)
	g.ask(g.ext("login"), `{"id":"125","params":{"productKey":"a1SubSubSub","deviceName":"sub001","clientId":"sub001","timestamp":"1524448722000","signMethod":"hmacSha1","sign":"458004cdf9b570dcca8fcb9ddd2ba576d565c60e","cleanSession":"true"}}`,
		`{"id":"125","code":200,"message":"success","data":{"deviceName":"sub001","productKey":"a1SubSubSub"}}`)
	g.ask(g.ext("login"), `{"id":"126","params":{"productKey":"a1SubSubSub","deviceName":"sub001","clientId":"sub001","timestamp":"1524448722000","signMethod":"hmacSha1","sign":"00","cleanSession":"true"}}`,
		`{"id":"126","code":6287,"message":"invalid sign","data":{"deviceName":"sub001","productKey":"a1SubSubSub"}}`)
	g.ask(g.ext("logout"), `{"id":127,"params":{"productKey":"a1SubSubSub","deviceName":"sub001"}}`,
		`{"id":"127","code":200,"message":"success","data":{"deviceName":"sub001","productKey":"a1SubSubSub"}}`)
	g.ask(g.ext("batch_login"), `{"id":"128","params":{"deviceList":[`+entry("sub001")+`]}}`,
		`{"id":"128","code":200,"message":"success","data":[{"productKey":"a1SubSubSub","deviceName":"sub001"}]}`)
	g.ask(g.ext("batch_logout"), `{"id":"129","params":[{"productKey":"a1SubSubSub","deviceName":"sub001"},{"productKey":"a1SubSubSub","deviceName":"sub002"}]}`,
		`{"id":"129","code":520,"message":"device no session","data":[{"productKey":"a1SubSubSub","deviceName":"sub001"},{"productKey":"a1SubSubSub","deviceName":"sub002"}]}`)
	g.ask(g.own("thing/topo/delete"), `{"id":"130","params":[{"productKey":"a1SubSubSub","deviceName":"sub001"}]}`,
		`{"code":200,"data":[{"deviceName":"sub001","productKey":"a1SubSubSub"}],"id":"130","message":"success","method":"thing.topo.delete","version":"1.0"}`)
	g.ask(g.own("thing/list/found"), `{"id":"131","version":"1.0","params":[{"deviceName":"sub077","productKey":"a1SubSubSub"}],"method":"thing.list.found"}`,
		`{"code":200,"data":{},"id":"131","message":"success","method":"thing.list.found","version":"1.0"}`)
}

// spec/sdk-behaviour.md §14, scenario 10: how each SDK logs sub-devices in.
func TestSubDeviceLoginForms(t *testing.T) {
	s := gatewayHome(t, 4, nil)
	g := loginGateway(t, s, "gateway1", alink.Param{Key: "_ss", Value: "1"}, alink.Param{Key: "ext", Value: "3"})
	for i := range 4 {
		g.code(g.own("thing/topo/add"), `{"id":"1","params":[`+entry(subName(i+1))+`]}`, 200)
	}
	content := func(clientID, dn, ts string) string { return alink.SubDeviceContent(clientID, true, dn, subKey, ts) }

	// C Link SDK 4: one sign method beside the list, capitals, uptime for a time, no method.
	sign := strings.ToUpper(alink.Sign(alink.HMACSHA256, subSecret, content(subKey+".sub001", "sub001", "12345")))
	g.ask(g.ext("batch_login"), `{"id":"1","version":"1.0","params":{"deviceList":[{"productKey":"a1SubSubSub","deviceName":"sub001","clientId":"a1SubSubSub.sub001","timestamp":"12345","cleanSession":"false","sign":"`+sign+`"}],"signMethod":"hmacSha256"}}`,
		`{"id":"1","code":200,"message":"success","data":[{"productKey":"a1SubSubSub","deviceName":"sub001"}]}`)

	// Node: a number for a time, an empty method, & in the client id.
	sign = alink.Sign(alink.HMACSHA1, subSecret, content(subKey+"&sub002", "sub002", "1600000000000"))
	g.ask(g.ext("login"), `{"id":"2","version":"1.0","params":{"productKey":"a1SubSubSub","deviceName":"sub002","clientId":"a1SubSubSub&sub002","timestamp":1600000000000,"signMethod":"hmacsha1","sign":"`+sign+`"},"method":""}`,
		`{"id":"2","code":200,"message":"success","data":{"deviceName":"sub002","productKey":"a1SubSubSub"}}`)

	// C SDK 3: bars in the client id, signed as they are.
	id3 := subKey + ".sub003|_ss=1,_v=sdk-c-3.2.0|"
	sign = alink.Sign(alink.HMACSHA256, subSecret, content(id3, "sub003", "2524608000000"))
	g.code(g.ext("login"), `{"id":3,"params":{"productKey":"a1SubSubSub","deviceName":"sub003","clientId":"`+id3+`","timestamp":"2524608000000","signMethod":"hmacSha256","sign":"`+sign+`","cleanSession":"false"}}`, 200)

	// The old form signs cleanSession.
	sign = alink.Sign(alink.HMACSHA1, subSecret, alink.SubDeviceContentCleanSession("true", "sub004", "sub004", subKey, "1524448722000"))
	g.code(g.ext("login"), `{"id":"4","params":{"productKey":"a1SubSubSub","deviceName":"sub004","clientId":"sub004","timestamp":"1524448722000","signMethod":"hmacSha1","sign":"`+sign+`","cleanSession":"true"}}`, 200)

	for i := range 4 {
		if !s.Broker.Online(platform.DeviceKey(subKey, subName(i+1))) {
			t.Errorf("%s is not online", subName(i+1))
		}
		d, err := s.Platform.Device(t.Context(), subKey, subName(i+1))
		if err != nil || !d.Online {
			t.Errorf("%s: %+v, %v", subName(i+1), d, err)
		}
	}
	// A second login through the same gateway is a success.
	g.code(g.ext("login"), `{"id":"5","params":`+entry("sub001")+`}`, 200)
	// All or nothing: one bad entry keeps the others out, and is named.
	g.code(g.ext("batch_logout"), `{"id":"6","params":[{"productKey":"a1SubSubSub","deviceName":"sub001"}]}`, 200)
	g.ask(g.ext("batch_login"), `{"id":"7","params":{"deviceList":[`+entry("sub001")+`,`+strings.Replace(entry("sub002"), `"sign":"`, `"sign":"0`, 1)+`]}}`,
		`{"id":"7","code":6287,"message":"invalid sign","data":[{"productKey":"a1SubSubSub","deviceName":"sub002"}]}`)
	if s.Broker.Online(platform.DeviceKey(subKey, "sub001")) {
		t.Error("sub001 is online, but its batch was refused")
	}
}

// What a sub-device says and hears goes over its gateway's connection.
func TestSubDeviceMessages(t *testing.T) {
	s := gatewayHome(t, 2, nil)
	g := loginGateway(t, s, "gateway1")
	g.loginSub("sub001")
	ctx := t.Context()

	// Up: a report, an event, tags.
	g.ask(subTopic("sub001", "thing/event/property/post"), `{"id":"10","params":{"Temp":21}}`,
		`{"code":200,"data":{},"id":"10","message":"success","method":"thing.event.property.post","version":"1.0"}`)
	values, err := s.Platform.LatestProperties(ctx, subKey, "sub001")
	if err != nil || len(values) != 1 || string(values[0].Value) != "21" {
		t.Errorf("stored %v, %v", values, err)
	}
	g.code(subTopic("sub001", "thing/event/GasAlarm/post"), `{"id":"11","params":{"value":{"Gas":700,"Level":1}}}`, 200)
	g.code(subTopic("sub001", "thing/deviceinfo/update"), `{"id":"12","params":[{"attrKey":"room","attrValue":"attic"}]}`, 200)

	// Down: a set with its reply, without a subscription.
	set := make(chan *platform.CallResult, 1)
	go func() {
		r, err := s.Platform.SetProperties(ctx, "test", subKey, "sub001", json.RawMessage(`{"Light":1}`), platform.CallOptions{Wait: true, ForceID: "77"})
		if err != nil {
			t.Error(err)
		}
		set <- r
	}()
	g.want(subTopic("sub001", "thing/service/property/set"), `{"method":"thing.service.property.set","id":"77","params":{"Light":1},"version":"1.0.0"}`)
	g.publish(subTopic("sub001", "thing/service/property/set_reply"), `{"id":"77","code":200,"data":{}}`)
	if r := <-set; r == nil || !r.Replied || r.Code != 200 {
		t.Errorf("the set's result is %+v", r)
	}

	// A custom topic needs a subscription, which is the sub-device's own.
	custom := "/" + subKey + "/sub001/user/get"
	g.subscribe(custom, 1)
	info := sessionOf(t, s, platform.DeviceKey(subKey, "sub001"))
	if !info.Online || info.Via != platform.DeviceKey(gatewayKey, "gateway1") || len(info.Subscriptions) != 1 || info.Subscriptions[0] != custom {
		t.Errorf("the sub-device's session is %+v", info)
	}
	if own := sessionOf(t, s, platform.DeviceKey(gatewayKey, "gateway1")); len(own.Subscriptions) != 0 {
		t.Errorf("the gateway itself has %v", own.Subscriptions)
	}
	send(t, s, custom, "hello", 0)
	g.want(custom, "hello")
	send(t, s, custom, "again", 1)
	m := g.await(custom)
	if m.payload != "again" || m.qos != 1 || m.id == 0 {
		t.Errorf("got %+v", m)
	}
	g.puback(m.id)

	// Another device's topics, a sub-device that is not logged in: dropped, and said.
	g.code(subTopic("sub001", "thing/event/property/post"), `{"id":"13","params":{"Temp":22}}`, 200)
	g.publish(subTopic("sub002", "thing/event/property/post"), `{"id":"14","params":{"Temp":23}}`)
	g.want("/ext/error/"+gatewayKey+"/gateway1", `{"id":"0","code":520,"message":"device no session","data":{"productKey":"a1SubSubSub","deviceName":"sub002"}}`)
	if values, err := s.Platform.LatestProperties(ctx, subKey, "sub002"); err != nil || len(values) != 0 {
		t.Errorf("a sub-device without a session has stored %v, %v", values, err)
	}
	if rc := g.subscribe("/"+subKey+"/sub002/user/get", 0); rc != 0x80 {
		t.Errorf("a subscription for a sub-device that is not logged in is answered %#x", rc)
	}
}

// Messages at QoS 1 wait for a sub-device that is away, are delivered when it is
// back through whichever gateway, and again if they were not acknowledged.
func TestSubDeviceQueue(t *testing.T) {
	s := gatewayHome(t, 1, nil)
	custom := "/" + subKey + "/sub001/user/get"
	g := loginGateway(t, s, "gateway1")
	g.loginSub("sub001")
	g.subscribe(custom, 1)
	g.code(g.ext("logout"), `{"id":"3","params":{"productKey":"a1SubSubSub","deviceName":"sub001"}}`, 200)
	for i := range 20 {
		send(t, s, custom, fmt.Sprint("m", i), 1)
	}
	send(t, s, custom, "lost", 0)
	g.quiet(custom)

	g.code(g.ext("login"), `{"id":"4","params":`+entry("sub001")+`}`, 200)
	for i := range 5 {
		m := g.await(custom)
		if m.payload != fmt.Sprint("m", i) || m.dup {
			t.Fatalf("message %d is %+v", i, m)
		}
		if i < 3 {
			g.puback(m.id)
		}
	}
	g.quiet("") // the server has read the acknowledgements
	// The gateway drops off: its sub-device is offline, and keeps what was not acknowledged.
	g.d.Close()
	waitOffline(t, s, platform.DeviceKey(subKey, "sub001"))

	g2 := loginGateway(t, s, "gateway2")
	g2.loginSub("sub001")
	for i := 3; i < 20; i++ {
		m := g2.await(custom)
		if m.payload != fmt.Sprint("m", i) {
			t.Fatalf("message %d is %+v", i, m)
		}
		g2.puback(m.id)
	}
	send(t, s, custom, "new", 1)
	if m := g2.await(custom); m.payload != "new" {
		t.Errorf("got %+v", m)
	} else {
		g2.puback(m.id)
	}
	g2.quiet(custom)
	// A clean session discards what waits.
	g2.code(g2.ext("logout"), `{"id":"5","params":{"productKey":"a1SubSubSub","deviceName":"sub001"}}`, 200)
	send(t, s, custom, "discarded", 1)
	g2.code(g2.ext("login"), `{"id":"6","params":`+strings.Replace(entry("sub001"), `"cleanSession":"false"`, `"cleanSession":"true"`, 1)+`}`, 200)
	g2.quiet(custom)
	// Its subscription outlives that, and now messages go without the disk.
	send(t, s, custom, "direct", 1)
	if m := g2.await(custom); m.payload != "direct" || m.qos != 1 {
		t.Errorf("got %+v", m)
	}
}

// Whoever takes a sub-device over, the one that had it is told.
func TestSubDeviceTakeOver(t *testing.T) {
	s := gatewayHome(t, 2, nil)
	g1, g2 := loginGateway(t, s, "gateway1"), loginGateway(t, s, "gateway2")
	g1.loginSub("sub001")
	// Another gateway adds it: the relation moves, its login ends, the old one hears of both.
	g2.code(g2.own("thing/topo/add"), `{"id":"1","params":[`+entry("sub001")+`]}`, 200)
	g1.want("/ext/error/"+gatewayKey+"/gateway1", `{"id":"0","code":6401,"message":"topo relation not exist","data":{"productKey":"a1SubSubSub","deviceName":"sub001"}}`)
	if m := g1.await(g1.own("thing/topo/change")); !strings.Contains(m.payload, `"params":{"status":1,"subList":[{"productKey":"a1SubSubSub","deviceName":"sub001"}]},"version":"1.0"}`) {
		t.Errorf("the old gateway is told %s", m.payload)
	}
	g1.publish(g1.own("thing/topo/change_reply"), `{"id":"1","code":200,"message":"success","data":{}}`)
	g1.code(g1.ext("login"), `{"id":"2","params":`+entry("sub001")+`}`, 6401)
	g2.code(g2.ext("login"), `{"id":"3","params":`+entry("sub001")+`}`, 200)

	// The device connects by itself: the gateway hears that it is kicked.
	own := dial(t, s)
	l := alink.Triple{ProductKey: subKey, DeviceName: "sub001", DeviceSecret: subSecret}.Login(alink.LoginOptions{Method: alink.HMACSHA1})
	if rc := connect(t, own, l, 60); rc != 0 {
		t.Fatalf("return code %d", rc)
	}
	g2.want("/ext/error/"+gatewayKey+"/gateway2", `{"id":"0","code":427,"message":"device connect in elsewhere","data":{"productKey":"a1SubSubSub","deviceName":"sub001"}}`)
	post := subTopic("sub001", "thing/event/property/post")
	if err := own.Send(demo.Publish(post, `{"id":"4","params":{"Temp":1}}`)); err != nil {
		t.Fatal(err)
	}
	expect(t, own, post+"_reply", `{"code":200,"data":{},"id":"4","message":"success","method":"thing.event.property.post","version":"1.0"}`)
	g2.publish(post, `{"id":"5","params":{"Temp":2}}`)
	if m := g2.await("/ext/error/" + gatewayKey + "/gateway2"); !strings.Contains(m.payload, "520") {
		t.Errorf("got %s", m.payload)
	}
	// The gateway logs it in again: its own connection ends.
	g2.code(g2.ext("login"), `{"id":"6","params":`+entry("sub001")+`}`, 200)
	if _, err := own.Receive(patience); err == nil || os.IsTimeout(err) {
		t.Error("the device's own connection is still open")
	}
	g2.code(post, `{"id":"7","params":{"Temp":3}}`, 200)
	// The gateway itself is replaced by a newer login: its sub-devices are offline.
	g3 := loginGateway(t, s, "gateway2")
	waitOffline(t, s, platform.DeviceKey(subKey, "sub001"))
	g3.code(g3.ext("login"), `{"id":"8","params":`+entry("sub001")+`}`, 200)
	g3.code(post, `{"id":"9","params":{"Temp":4}}`, 200)
}

// Disabling, enabling and deleting a sub-device, adding and removing it from here.
func TestSubDeviceNotices(t *testing.T) {
	s := gatewayHome(t, 3, nil)
	g := loginGateway(t, s, "gateway1")
	g.loginSub("sub001")
	ctx := t.Context()
	errors := "/ext/error/" + gatewayKey + "/gateway1"
	change := func(status int, dn string) {
		t.Helper()
		want := fmt.Sprintf(`"params":{"status":%d,"subList":[{"productKey":"a1SubSubSub","deviceName":%q}]},"version":"1.0"}`, status, dn)
		if m := g.await(g.own("thing/topo/change")); !strings.HasPrefix(m.payload, `{"method":"thing.topo.change","id":"`) || !strings.HasSuffix(m.payload, want) {
			t.Errorf("topo/change is %s, want …%s", m.payload, want)
		}
	}
	if err := s.Platform.SetEnabled(ctx, "test", subKey, "sub001", false); err != nil {
		t.Fatal(err)
	}
	if m := g.await(subTopic("sub001", "thing/disable")); !strings.HasPrefix(m.payload, `{"method":"thing.disable","id":"`) || !strings.HasSuffix(m.payload, `","params":{},"version":"1.0"}`) {
		t.Errorf("got %s", m.payload)
	}
	change(8, "sub001")
	g.want(errors, `{"id":"0","code":522,"message":"device forbidden","data":{"productKey":"a1SubSubSub","deviceName":"sub001"}}`)
	g.publish(subTopic("sub001", "thing/disable_reply"), `{"id":"1","code":200,"data":{}}`)
	g.quiet(errors) // the answer is not held against it
	g.code(g.ext("login"), `{"id":"3","params":`+entry("sub001")+`}`, 522)
	g.code(g.own("thing/topo/add"), `{"id":"3","params":[`+entry("sub001")+`]}`, 6204)

	if err := s.Platform.SetEnabled(ctx, "test", subKey, "sub001", true); err != nil {
		t.Fatal(err)
	}
	g.await(subTopic("sub001", "thing/enable"))
	change(2, "sub001")
	g.code(g.ext("login"), `{"id":"4","params":`+entry("sub001")+`}`, 200)

	if err := s.Platform.DeleteDevice(ctx, "test", subKey, "sub001"); err != nil {
		t.Fatal(err)
	}
	g.await(subTopic("sub001", "thing/delete"))
	change(1, "sub001")
	g.want(errors, `{"id":"0","code":521,"message":"device deleted","data":{"productKey":"a1SubSubSub","deviceName":"sub001"}}`)
	g.code(g.ext("login"), `{"id":"5","params":`+entry("sub001")+`}`, 6100)

	// From here.
	refs := []platform.DeviceRef{{ProductKey: subKey, DeviceName: "sub002"}}
	if err := s.Platform.AddTopology(ctx, "test", gatewayKey, "gateway1", refs); err != nil {
		t.Fatal(err)
	}
	change(0, "sub002")
	g.code(g.ext("login"), `{"id":"6","params":`+entry("sub002")+`}`, 200)
	if err := s.Platform.RemoveTopology(ctx, "test", gatewayKey, "gateway1", refs[0]); err != nil {
		t.Fatal(err)
	}
	g.want(errors, `{"id":"0","code":6401,"message":"topo relation not exist","data":{"productKey":"a1SubSubSub","deviceName":"sub002"}}`)
	change(1, "sub002")
	waitOffline(t, s, platform.DeviceKey(subKey, "sub002"))

	notified := make(chan *platform.CallResult, 1)
	go func() {
		r, err := s.Platform.NotifyAddTopology(ctx, "test", gatewayKey, "gateway1", refs, platform.CallOptions{Wait: true, ForceID: "88"})
		if err != nil {
			t.Error(err)
		}
		notified <- r
	}()
	g.want(g.own("thing/topo/add/notify"), `{"method":"thing.topo.add.notify","id":"88","params":[{"deviceName":"sub002","productKey":"a1SubSubSub"}],"version":"1.0"}`)
	g.publish(g.own("thing/topo/add/notify_reply"), `{"id":"88","code":200,"data":{}}`)
	if r := <-notified; r == nil || r.Code != 200 {
		t.Errorf("the notice's result is %+v", r)
	}
	if _, err := s.Platform.PermitJoin(ctx, "test", gatewayKey, "gateway1", subKey, 60, platform.CallOptions{ForceID: "89"}); err != nil {
		t.Error(err)
	}
	g.want(g.own("thing/gateway/permit"), `{"method":"thing.gateway.permit","id":"89","params":{"time":60,"productKey":"a1SubSubSub"},"version":"1.0"}`)
	if _, err := s.Platform.Bootstrap(ctx, "test", gatewayKey, "gateway1", platform.CallOptions{ForceID: "90"}); err != nil {
		t.Error(err)
	}
	g.want(g.own("thing/bootstrap/notify"), `{"method":"thing.bootstrap.notify","id":"90","params":{"cmd":0},"version":"1.0"}`)
}

// Secrets for sub-devices, by name and with the product's secret.
func TestSubDeviceRegistration(t *testing.T) {
	s := gatewayHome(t, 3, nil)
	ctx := t.Context()
	g := loginGateway(t, s, "gateway1")
	register, take := g.own("thing/sub/register"), g.own("thing/proxy/provisioning/product_register")
	const ask = `{"id":"123","version":"1.0","params":[{"deviceName":"sub001","productKey":"a1SubSubSub"}],"method":"thing.sub.register"}`
	g.code(register, ask, 6288)
	product := platform.Product{ProductKey: subKey, Name: "sub", NodeType: "subdevice", DataFormat: "alink", Validation: "weak", DynamicRegister: true}
	if err := s.Platform.UpdateProduct(ctx, "test", product); err != nil {
		t.Fatal(err)
	}
	// An application that has subscribed to everything must not see a secret.
	if err := s.Platform.PutUser(ctx, "test", "app", "long enough", []platform.Right{{Filter: "#", Subscribe: true}}); err != nil {
		t.Fatal(err)
	}
	spy := &gate{t: t, s: s, d: dial(t, s), v: mqtt.V311}
	if rc := connect(t, spy.d, alink.Login{ClientID: "spy", Username: "app", Password: "long enough"}, 60); rc != 0 {
		t.Fatalf("return code %d", rc)
	}
	spy.subscribe("#", 0)

	d, err := s.Platform.Device(ctx, subKey, "sub001")
	if err != nil {
		t.Fatal(err)
	}
	g.ask(register, ask, `{"code":200,"data":[{"iotId":"`+d.IotID+`","productKey":"a1SubSubSub","deviceName":"sub001","deviceSecret":"`+subSecret+`"}],"id":"123","message":"success","method":"thing.sub.register","version":"1.0"}`)
	g.code(register, strings.Replace(ask, "sub001", "nobody", 1), 6100)
	g.code(register, strings.Replace(ask, subKey, "a1Nothing", 1), 5005)
	g2 := loginGateway(t, s, "gateway2")
	g2.loginSub("sub002")
	g.code(register, strings.Replace(ask, "sub001", "sub002", 1), 6619)

	// With the product's secret, it is taken over.
	secret, err := s.Platform.RevealProductSecret(ctx, "test", subKey, "the test signs with it")
	if err != nil {
		t.Fatal(err)
	}
	signed := func(dn string) string {
		return fmt.Sprintf(`{"id":"124","version":"1.0","params":{"proxieds":[{"productKey":%q,"deviceName":%q,"random":"123456","sign":%q,"signMethod":"hmacSha256"}]}}`,
			subKey, dn, strings.ToUpper(alink.Sign(alink.HMACSHA256, secret, alink.DynamicRegisterContent(dn, subKey, "123456"))))
	}
	g.ask(take, signed("sub002"), `{"code":200,"data":{"failures":[],"successes":[{"deviceSecret":"`+subSecret+`","productKey":"a1SubSubSub","deviceName":"sub002"}]},"id":"124","message":"success","method":"thing.proxy.provisioning.product_register","version":"1.0"}`)
	if m := g2.await("/ext/error/" + gatewayKey + "/gateway2"); !strings.Contains(m.payload, "6401") {
		t.Errorf("the old gateway is told %s", m.payload)
	}
	g.code(g.ext("login"), `{"id":"3","params":`+entry("sub002")+`}`, 200)
	g.ask(take, strings.Replace(signed("sub003"), `"sign":"`, `"sign":"00`, 1), `{"code":200,"data":{"failures":[{"productKey":"a1SubSubSub","deviceName":"sub003","errorDetail":{"code":401,"message":"request auth error"}}],"successes":[]},"id":"124","message":"success","method":"thing.proxy.provisioning.product_register","version":"1.0"}`)
	g.ask(take, signed("sub0new"), `{"code":200,"data":{"failures":[{"productKey":"a1SubSubSub","deviceName":"sub0new","errorDetail":{"code":6100,"message":"device not found"}}],"successes":[]},"id":"124","message":"success","method":"thing.proxy.provisioning.product_register","version":"1.0"}`)
	product.AutoRegister = true
	if err := s.Platform.UpdateProduct(ctx, "test", product); err != nil {
		t.Fatal(err)
	}
	g.publish(take, signed("sub0new"))
	if m := g.await(take + "_reply"); !strings.Contains(m.payload, `"failures":[],"successes":[{"deviceSecret":"`) {
		t.Errorf("got %s", m.payload)
	}
	g.code(g.own("thing/sub/unregister"), `{"id":"9","params":[{"productKey":"a1SubSubSub","deviceName":"sub002"}]}`, 200)
	g.code(g.ext("login"), `{"id":"3","params":`+entry("sub002")+`}`, 6401)

	// Everything that the spy got, up to a mark.
	send(t, s, "/mark", "x", 0)
	spy.await("/mark")
	if len(spy.early) == 0 {
		t.Error("the spy got nothing at all")
	}
	for _, m := range spy.early {
		if strings.Contains(m.payload, subSecret) || strings.Contains(m.payload, "deviceSecret") {
			t.Errorf("an application got %s on %s", m.payload, m.topic)
		}
	}
	log, err := s.Platform.AuditLog(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	reveals := 0
	for _, e := range log {
		if e.Action == "device.secret.reveal" && strings.HasPrefix(e.Who, "gateway "+gatewayKey+"/") {
			reveals++
		}
	}
	if reveals != 3 {
		t.Errorf("the audit log has %d of 3 secrets", reveals)
	}
}

func TestSubDeviceLimits(t *testing.T) {
	s := gatewayHome(t, 4, func(c *config.Config) { c.Device.SubDevices, c.Device.SubLogins = 2, 3 })
	g := loginGateway(t, s, "gateway1")
	add := g.own("thing/topo/add")
	g.code(add, `{"id":"1","params":[`+entry("sub001")+`,`+entry("sub002")+`,`+entry("sub003")+`]}`, 6400)
	g.code(add, `{"id":"1","params":[`+entry("sub001")+`,`+entry("sub002")+`]}`, 200)
	g.code(add, `{"id":"1","params":[`+entry("sub003")+`]}`, 6400)
	for range 3 {
		g.code(g.ext("login"), `{"id":"2","params":`+entry("sub001")+`}`, 200)
	}
	g.code(g.ext("login"), `{"id":"2","params":`+entry("sub001")+`}`, 429)
	// A sub-device has 100 subscriptions of its own.
	for i := range 100 {
		if rc := g.subscribe(fmt.Sprintf("/%s/sub001/user/t%d", subKey, i), 0); rc != 1 {
			t.Fatalf("subscription %d is answered %#x", i, rc)
		}
	}
	if rc := g.subscribe("/"+subKey+"/sub001/user/more", 0); rc != 0x80 {
		t.Errorf("subscription 101 is answered %#x", rc)
	}
	if rc := g.subscribe("/"+gatewayKey+"/gateway1/user/more", 0); rc != 1 {
		t.Errorf("the gateway's own subscription is answered %#x", rc)
	}
	p := mqtt.Unsubscribe{PacketID: 11, Filters: [][]byte{[]byte("/" + subKey + "/sub001/user/t7"), []byte("/" + gatewayKey + "/gateway1/user/more")}}
	if err := g.d.Send(p.Append(nil, mqtt.V311)); err != nil {
		t.Fatal(err)
	}
	g.frame(0xb0)
	if got := sessionOf(t, s, platform.DeviceKey(subKey, "sub001")).Subscriptions; len(got) != 99 {
		t.Errorf("%d subscriptions are left", len(got))
	}
	var many []string
	for range 51 {
		many = append(many, entry("sub002"))
	}
	g.code(g.ext("batch_login"), `{"id":"5","params":{"deviceList":[`+strings.Join(many, ",")+`]}}`, 460)
	g.code(add, `{"id":"5","params":[`+strings.Join(many[:31], ",")+`]}`, 460)
}

// What no SDK sends gets a code, and hurts nobody.
func TestGatewayHostileInput(t *testing.T) {
	s := gatewayHome(t, 2, nil)
	g := loginGateway(t, s, "gateway1")
	g.loginSub("sub001")
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	kinds := map[string]string{
		"topo/add": g.own("thing/topo/add"), "topo/delete": g.own("thing/topo/delete"), "found": g.own("thing/list/found"),
		"register": g.own("thing/sub/register"), "unregister": g.own("thing/sub/unregister"),
		"product_register": g.own("thing/proxy/provisioning/product_register"),
		"login":            g.ext("login"), "batch_login": g.ext("batch_login"), "logout": g.ext("logout"), "batch_logout": g.ext("batch_logout"),
	}
	for name, topic := range kinds {
		for _, tt := range []struct {
			payload string
			codes   string
		}{
			{`{"id":"1","params":`, "6207"},
			{``, "6207"},
			{"\x00\xff\xfe", "6207"},
			{`[]`, "6831"},
			{`{"id":"1"}`, "460"},
			{`{"id":"1","params":null}`, "460"},
			{`{"id":"1","params":"x"}`, "460"},
			{`{"id":"1","params":[]}`, "460"},
			{`{"id":"1","params":[1,2]}`, "460"},
			{`{"id":"1","params":{"deviceList":"x","proxieds":7}}`, "460"},
			{`{"id":"1","params":[{"productKey":1,"deviceName":[]}]}`, "460"},
			{`{"id":"1","params":[{"productKey":"a/#","deviceName":"+","clientId":"x","timestamp":"1","signMethod":"hmacsha1","sign":"00"}]}`, "6100 460 6250 5005 520"},
			{`{"id":"1","params":[{"productKey":"` + strings.Repeat("x", 100_000) + `","deviceName":"sub001"}]}`, "460 6100 6250 5005"},
			{`{"id":"1","params":` + deep + `}`, "6207 460"},
			{`{"id":"1","params":[` + strings.Repeat(`{},`, 2000) + `{}]}`, "460"},
		} {
			g.publish(topic, tt.payload)
			got := g.await(topic + "_reply").payload
			var r struct {
				Code int             `json:"code"`
				Data json.RawMessage `json:"data"`
			}
			if err := json.Unmarshal([]byte(got), &r); err != nil {
				t.Errorf("%s: %.60s is answered %s", name, tt.payload, got)
				continue
			}
			ok := strings.Contains(tt.codes, fmt.Sprint(r.Code))
			if name == "product_register" && r.Code == 200 { // its failures are in the data
				ok = strings.Contains(string(r.Data), `"successes":[]`)
			}
			if !ok {
				t.Errorf("%s: %.60s is answered %s, want %s", name, tt.payload, got, tt.codes)
			}
		}
	}
	self := fmt.Sprintf(`{"productKey":%q,"deviceName":"gateway1","clientId":"x","timestamp":"1","signMethod":"hmacsha1","sign":%q}`, gatewayKey,
		alink.Sign(alink.HMACSHA1, gatewayTriple.DeviceSecret, alink.SubDeviceContent("x", true, "gateway1", gatewayKey, "1")))
	g.code(g.own("thing/topo/add"), `{"id":"1","params":[`+self+`]}`, 6402)
	g.code(g.ext("login"), `{"id":"1","params":`+self+`}`, 6402)
	g.code(g.own("thing/topo/delete"), `{"id":"1","params":[{"productKey":"a1SubSubSub","deviceName":"sub002"}]}`, 6401)
	other := strings.ReplaceAll(self, "gateway1", "gateway2")
	other = strings.Replace(other, other[strings.Index(other, `"sign":"`)+8:len(other)-2],
		alink.Sign(alink.HMACSHA1, gatewayTriple.DeviceSecret, alink.SubDeviceContent("x", true, "gateway2", gatewayKey, "1")), 1)
	g.code(g.own("thing/topo/add"), `{"id":"1","params":[`+other+`]}`, 460) // a gateway is nobody's sub-device

	// A device that is no gateway may not, and neither may a sub-device.
	d := login(t, s)
	topic := "/ext/session/" + pk + "/" + dn + "/combine/login"
	if err := d.Send(demo.Publish(topic, `{"id":"1","params":`+entry("sub001")+`}`)); err != nil {
		t.Fatal(err)
	}
	got, err := d.Receive(patience)
	if err != nil || !strings.Contains(string(got), `"code":403`) {
		t.Errorf("a device that is no gateway is answered %q, %v", got, err)
	}
	g.code(subTopic("sub001", "thing/topo/add"), `{"id":"1","params":[`+entry("sub002")+`]}`, 403)
	// A gateway's messages for devices that are no sub-devices of it at all.
	for topic, name := range map[string]string{"/sys/" + pk + "/" + dn + "/thing/event/property/post": dn, "/" + gatewayKey + "/gateway2/user/x": "gateway2",
		"/sys/" + subKey + "/sub002/thing/disable_reply": "sub002"} {
		g.publish(topic, `{"id":"1","params":{"Temp":66}}`)
		if m := g.await("/ext/error/" + gatewayKey + "/gateway1"); !strings.Contains(m.payload, `"code":520`) || !strings.Contains(m.payload, name) {
			t.Errorf("%s is answered %s", topic, m.payload)
		}
	}
	if v, err := s.Platform.LatestProperties(t.Context(), pk, dn); err != nil || len(v) != 0 {
		t.Errorf("a gateway has posted for another device: %v, %v", v, err)
	}
	// The sub-device that was there all the time still works.
	g.code(subTopic("sub001", "thing/event/property/post"), `{"id":"9","params":{"Temp":9}}`, 200)
}

// A 5.0 gateway's Receive Maximum holds for its own messages and those of its
// sub-devices together.
func TestSubDeviceReceiveMaximum(t *testing.T) {
	s := gatewayHome(t, 2, nil)
	const most = 4
	d := dial(t, s)
	l := alink.Triple{ProductKey: gatewayKey, DeviceName: "gateway1", DeviceSecret: gatewayTriple.DeviceSecret}.Login(alink.LoginOptions{Method: alink.HMACSHA256})
	c := mqtt.Connect{Version: mqtt.V5, CleanStart: true, KeepAlive: 60, ClientID: []byte(l.ClientID), HasUsername: true, Username: []byte(l.Username),
		HasPassword: true, Password: []byte(l.Password), Properties: mqtt.AppendUint16Property(nil, mqtt.PropReceiveMaximum, most)}
	if err := d.Send(c.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Receive(patience); err != nil || got[0] != 0x20 || got[3] != 0 {
		t.Fatalf("CONNACK is % X, %v", got, err)
	}
	g := &gate{t: t, s: s, d: d, dn: "gateway1", v: mqtt.V5}
	g.loginSub("sub001")
	g.loginSub("sub002")
	topics := []string{"/" + subKey + "/sub001/user/x", "/" + subKey + "/sub002/user/x", "/" + gatewayKey + "/gateway1/user/x"}
	const each = 20
	for _, topic := range topics {
		if rc := g.subscribe(topic, 1); rc != 1 {
			t.Fatalf("SUBACK %#x", rc)
		}
	}
	for i := range each {
		for _, topic := range topics {
			send(t, s, topic, fmt.Sprint(i), 1)
		}
	}
	next := map[string]int{}
	ids := map[uint16]bool{}
	for total := 0; total < each*len(topics); {
		g.quiet("") // whatever may be sent without an acknowledgement is here
		if len(g.early) > most {
			t.Fatalf("%d messages are in flight, %d are allowed", len(g.early), most)
		}
		if len(g.early) == 0 {
			t.Fatalf("nothing comes after %d messages", total)
		}
		batch := g.early
		g.early = nil
		clear(ids)
		for _, m := range batch {
			if m.qos != 1 || ids[m.id] || m.payload != fmt.Sprint(next[m.topic]) {
				t.Fatalf("got %+v, want %d", m, next[m.topic])
			}
			ids[m.id] = true
			next[m.topic]++
			total++
			g.puback(m.id)
		}
	}
}

// A gateway reports the values of its own and of its sub-devices in one message.
func TestSubDevicePack(t *testing.T) {
	s := gatewayHome(t, 2, nil)
	if _, err := s.Platform.ImportModel(t.Context(), "test", gatewayKey, demo.Model); err != nil {
		t.Fatal(err)
	}
	g := loginGateway(t, s, "gateway1")
	g.loginSub("sub001")
	pack, history := g.own("thing/event/property/pack/post"), g.own("thing/event/property/history/post")
	of := func(dn string, v int) string {
		return fmt.Sprintf(`{"id":"1","params":{"properties":{"Temp":{"value":%d}},"subDevices":[{"identity":{"productKey":"a1SubSubSub","deviceName":%q},"properties":{"Temp":{"value":%d}}}]}}`, v, dn, v+1)
	}
	g.code(pack, of("sub002", 30), 6401) // not logged in: nothing is taken
	g.code(pack, of("sub001", 20), 200)
	g.code(history, fmt.Sprintf(`{"id":"2","params":[{"identity":{"productKey":"a1SubSubSub","deviceName":"sub001"},"properties":[{"Hum":{"value":55,"time":%d}}]}]}`,
		time.Now().Add(-time.Hour).UnixMilli()), 200)
	latest := func(pk, dn string) map[string]string {
		values, err := s.Platform.LatestProperties(t.Context(), pk, dn)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, v := range values {
			out[v.Identifier] = string(v.Value)
		}
		return out
	}
	if got := latest(gatewayKey, "gateway1"); got["Temp"] != "20" {
		t.Errorf("the gateway's are %v", got)
	}
	if got := latest(subKey, "sub001"); got["Temp"] != "21" || got["Hum"] != "" { // what is told late is history
		t.Errorf("the sub-device's are %v", got)
	}
	if got, err := s.Platform.PropertyHistory(t.Context(), subKey, "sub001", "Hum", platform.HistoryQuery{}); err != nil || len(got) != 1 || string(got[0].Value) != "55" {
		t.Errorf("the sub-device's history is %v, %v", got, err)
	}
	if got := latest(subKey, "sub002"); len(got) != 0 {
		t.Errorf("a sub-device that is not logged in has %v", got)
	}
}
