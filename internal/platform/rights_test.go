package platform

import (
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

func TestDeviceMayPublish(t *testing.T) {
	d := newDevice(&deviceEntry{id: 1}, "a1ji0qFv6Jf", "STC15", 0, time.Time{})
	for topic, want := range map[string]broker.Decision{
		"/sys/a1ji0qFv6Jf/STC15/thing/event/property/post":        broker.System,
		"/sys/a1ji0qFv6Jf/STC15/thing/event/GasAlarm/post":        broker.System,
		"/sys/a1ji0qFv6Jf/STC15/thing/service/property/set_reply": broker.System,
		"/sys/a1ji0qFv6Jf/STC15/rrpc/response/123":                broker.System,
		"/ext/rrpc/123/sys/a1ji0qFv6Jf/STC15/thing/service/Blink": broker.System,
		"/ext/ntp/a1ji0qFv6Jf/STC15/request":                      broker.System,
		"/ota/device/inform/a1ji0qFv6Jf/STC15":                    broker.System,
		"/shadow/update/a1ji0qFv6Jf/STC15":                        broker.System,
		"/a1ji0qFv6Jf/STC15/user/temp":                            broker.Route,
		"/a1ji0qFv6Jf/STC15/update":                               broker.Route,
		"/sys/a1ji0qFv6Jf/STC15/thing/service/property/set":       broker.Deny, // downlink
		"/sys/a1ji0qFv6Jf/STC15/thing/event/property/post_reply":  broker.Deny,
		"/sys/a1ji0qFv6Jf/STC16/thing/event/property/post":        broker.Deny, // another device
		"/sys/a1ji0qFv6Jg/STC15/thing/event/property/post":        broker.Deny,
		"/sys/a1ji0qFv6Jf/stc15/thing/event/property/post":        broker.Deny, // names are case-sensitive
		"/ext/rrpc/123/sys/a1ji0qFv6Jf/other/thing/service/Blink": broker.Deny,
		"/ext/rrpc/123":                                   broker.Deny,
		"/a1ji0qFv6Jf/STC15x/user/temp":                   broker.Deny,
		"/a1ji0qFv6Jf/other/user/temp":                    broker.Deny,
		"/broadcast/a1ji0qFv6Jf/all":                      broker.Deny,
		"/ext/register":                                   broker.Deny,
		"sys/a1ji0qFv6Jf/STC15/thing/event/property/post": broker.Deny, // no leading slash
		"home/kitchen":                                    broker.Deny,
		"/home/kitchen/temp":                              broker.Deny,
		"":                                                broker.Deny,
		"/ota/device/inform/a1ji0qFv6Jf/" + strings.Repeat("STC15/", 3): broker.Deny,
	} {
		if got := d.Publish(topic); got != want {
			t.Errorf("publish to %q: %v, want %v", topic, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { d.Publish("/sys/a1ji0qFv6Jf/STC15/thing/event/property/post") }); n != 0 {
		t.Errorf("the decision allocates %v times", n)
	}
}

func TestDeviceMaySubscribe(t *testing.T) {
	d := newDevice(&deviceEntry{id: 1}, "a1ji0qFv6Jf", "STC15", 0, time.Time{})
	for filter, want := range map[string]bool{
		"/sys/a1ji0qFv6Jf/STC15/thing/service/property/set":  true,
		"/sys/a1ji0qFv6Jf/STC15/thing/event/+/post_reply":    true,
		"/sys/a1ji0qFv6Jf/STC15/#":                           true,
		"/sys/a1ji0qFv6Jf/STC15/rrpc/request/+":              true,
		"/ext/rrpc/#":                                        true,
		"/ext/rrpc/+/sys/a1ji0qFv6Jf/STC15/thing/service/+":  true,
		"/ext/network/probe/+":                               true,
		"/ext/ntp/a1ji0qFv6Jf/STC15/response":                true,
		"/ext/session/a1ji0qFv6Jf/STC15/combine/login_reply": true,
		"/ext/error/a1ji0qFv6Jf/STC15":                       true,
		"/ota/device/upgrade/a1ji0qFv6Jf/STC15":              true,
		"/shadow/get/a1ji0qFv6Jf/STC15":                      true,
		"/a1ji0qFv6Jf/STC15/user/get":                        true,
		"/a1ji0qFv6Jf/STC15/#":                               true,
		"/broadcast/a1ji0qFv6Jf/x":                           true,
		"/broadcast/other/x":                                 false,
		"/sys/a1ji0qFv6Jf/+/thing/service/property/set":      false,
		"/sys/+/STC15/#":                                     false,
		"/sys/#":                                             false,
		"#":                                                  false,
		"+/a1ji0qFv6Jf/STC15/#":                              false,
		"/+/STC15/#":                                         false,
		"/a1ji0qFv6Jf/#":                                     false,
		"/sys/a1ji0qFv6Jf/STC15":                             false,
		"/sys/a1ji0qFv6Jf/STC15x/#":                          false,
		"/ext/#":                                             false,
		"/ext/+/+/STC15/x":                                   false,
		"/ota/device/#":                                      false,
		"/ota/device/upgrade/a1ji0qFv6Jf/STC16":              false,
		"/ota/device/upgrade/a1ji0qFv6Jf/STC15x":             false,
		"/shadow/get/#":                                      false,
	} {
		if got := d.Subscribe(filter); got != want {
			t.Errorf("subscribe to %q: %v, want %v", filter, got, want)
		}
	}
}

func TestWildcardsInANameDoNotExpand(t *testing.T) {
	d := newDevice(&deviceEntry{id: 1}, "+", "#", 0, time.Time{})
	if d.Subscribe("/sys/a1ji0qFv6Jf/STC15/x") || d.Publish("/sys/a1ji0qFv6Jf/STC15/thing/event/property/post") != broker.Deny {
		t.Error("an identity made of wildcards reaches another device")
	}
}

func TestImplicitReceiver(t *testing.T) {
	p := &Platform{}
	const own = "d:a1ji0qFv6Jf/STC15"
	for topic, want := range map[string]string{
		"/sys/a1ji0qFv6Jf/STC15/thing/service/property/set":       own,
		"/sys/a1ji0qFv6Jf/STC15/thing/service/Blink":              own,
		"/sys/a1ji0qFv6Jf/STC15/thing/event/property/post_reply":  own,
		"/sys/a1ji0qFv6Jf/STC15/rrpc/request/1":                   own,
		"/ext/rrpc/1/sys/a1ji0qFv6Jf/STC15/thing/service/Blink":   own,
		"/ext/rrpc/1/a1ji0qFv6Jf/STC15/user/get":                  own,
		"/ext/ntp/a1ji0qFv6Jf/STC15/response":                     own,
		"/ota/device/upgrade/a1ji0qFv6Jf/STC15":                   own,
		"/shadow/get/a1ji0qFv6Jf/STC15":                           own,
		"/sys/a1ji0qFv6Jf/STC15/thing/event/property/post":        "", // uplink
		"/sys/a1ji0qFv6Jf/STC15/thing/service/property/set_reply": "",
		"/ext/ntp/a1ji0qFv6Jf/STC15/request":                      "",
		"/a1ji0qFv6Jf/STC15/user/get":                             "", // custom topics need SUBSCRIBE
		"/broadcast/a1ji0qFv6Jf/x":                                "",
		"home/kitchen":                                            "",
		"/ext/register":                                           "",
		"/sys":                                                    "",
		"":                                                        "",
	} {
		if got := p.Implicit(topic); got != want {
			t.Errorf("implicit receiver of %q is %q, want %q", topic, got, want)
		}
	}
}

func TestUserRights(t *testing.T) {
	u := &user{}
	u.rights.Store(&[]store.Right{
		{Filter: "home/#", Publish: true, Subscribe: true},
		{Filter: "/sys/+/+/thing/#", Subscribe: true},
		{Filter: "cmd/+", Publish: true},
	})
	for topic, want := range map[string]broker.Decision{
		"home/a": broker.Route, "home": broker.Route, "cmd/x": broker.Route, "cmd/x/y": broker.Deny, "/sys/a/b/thing/c": broker.Deny, "other": broker.Deny,
	} {
		if got := u.Publish(topic); got != want {
			t.Errorf("publish to %q: %v, want %v", topic, got, want)
		}
	}
	for filter, want := range map[string]bool{
		"home/+/x": true, "home/#": true, "/sys/a1/+/thing/event/#": true, "#": false, "/sys/#": false, "cmd/x": false, "$SYS/#": false,
	} {
		if got := u.Subscribe(filter); got != want {
			t.Errorf("subscribe to %q: %v, want %v", filter, got, want)
		}
	}
	if !u.Receive("home/a") || u.Receive("cmd/x") {
		t.Error("what waited is judged wrongly")
	}
	u.rights.Store(&[]store.Right{})
	if u.Publish("home/a") != broker.Deny || u.Subscribe("home/a") || u.Receive("home/a") {
		t.Error("a user without rights may do something")
	}
}

func TestPasswords(t *testing.T) {
	h, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(h, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash %q", h)
	}
	if !VerifyPassword(h, "correct horse") || VerifyPassword(h, "correct hors") || VerifyPassword(h, "") {
		t.Error("verification is wrong")
	}
	again, _ := HashPassword("correct horse")
	if again == h {
		t.Error("two hashes share their salt")
	}
	for _, bad := range []string{"", "x", "$argon2id$v=19$m=19456,t=2,p=1$", "$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA",
		"$argon2id$v=19$m=999999999,t=2,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=1,p=0$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1,p=1$***$AAAA", "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAA$"} {
		if VerifyPassword(bad, "") {
			t.Errorf("the hash %q matches", bad)
		}
	}
}

// A gateway may use the topics of its own, of the sub-devices that are logged in
// through it, and no others.
func FuzzGatewayRights(f *testing.F) {
	gateway := newDevice(&deviceEntry{}, "pkG", "gate", 0, time.Time{})
	gateway.subs = &subDevices{online: map[deviceID]*device{}}
	sub := newDevice(&deviceEntry{}, "pkS", "sub1", 0, time.Time{})
	sub.gateway = gateway
	gateway.subs.online[deviceID{"pkS", "sub1"}] = sub
	for _, topic := range []string{"/sys/pkS/sub1/thing/event/property/post", "/pkS/sub1/user/x", "/sys/pkS/sub2/thing/topo/add", "/ext/rrpc/1/sys/pkS/sub1/thing/service/x",
		"/ext/session/pkG/gate/combine/login", "/sys/pkS/+/thing/#", "/sys/pkS/sub1/#", "/ota/device/inform/pkS/sub1", "/shadow/update/pkS/sub10", "//", "/sys/pkS/sub1"} {
		f.Add(topic)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		own := strings.Contains(topic, "/pkG/gate")
		its := strings.Contains(topic, "/pkS/sub1")
		if d := gateway.Publish(topic); d != broker.Deny && !own && !its {
			t.Fatalf("may publish to %q", topic)
		}
		generic := strings.HasPrefix(topic, "/ext/") || strings.HasPrefix(topic, "/broadcast/pkG/")
		if gateway.Subscribe(topic) && !own && !its && !generic {
			t.Fatalf("may subscribe to %q", topic)
		}
		if key := gateway.ActsFor(topic); key != "" && (key != sub.key || !its) {
			t.Fatalf("acts for %q with %q", key, topic)
		}
	})
}
