package topics

import (
	"errors"
	"strings"
	"testing"
)

func TestValidFilter(t *testing.T) {
	for _, c := range []struct{ filter, clause string }{
		{"sport/tennis/player1/#", ""},
		{"#", ""},
		{"sport/tennis/#", ""},
		{"+", ""},
		{"+/tennis/#", ""},
		{"sport/+/player1", ""},
		{"/", ""},
		{"/+", ""},
		{"//", ""},
		{"Accounts payable", ""},
		{"$SYS/#", ""},
		{"$share", ""},
		{"$shared/a", ""},
		{"$share/g/#", ""},
		{"$share/g//", ""},
		{"$share/工/+/a", ""},
		{"sport/tennis#", "MQTT-4.7.1-1"},
		{"sport/tennis/#/ranking", "MQTT-4.7.1-1"},
		{"##", "MQTT-4.7.1-1"},
		{"+#", "MQTT-4.7.1-2"},
		{"sport+", "MQTT-4.7.1-2"},
		{"+a/b", "MQTT-4.7.1-2"},
		{"", "MQTT-4.7.3-1"},
		{"a\x00b", "MQTT-4.7.3-2"},
		{strings.Repeat("a", 65536), "MQTT-4.7.3-3"},
		{"a/\xff", "MQTT-1.5.4-1"},
		{"\xed\xa0\x80", "MQTT-1.5.4-1"},
		{"$share//a", "MQTT-4.8.2-1"},
		{"$share/+/a", "MQTT-4.8.2-1"},
		{"$share/g#/a", "MQTT-4.8.2-1"},
		{"$share/", "MQTT-4.8.2-1"},
		{"$share/g", "MQTT-4.8.2-2"},
		{"$share/g/", "MQTT-4.8.2-2"},
		{"$share/g/a#", "MQTT-4.7.1-1"},
	} {
		checkClause(t, c.filter, ValidFilter(c.filter), c.clause)
	}
}

func TestValidTopic(t *testing.T) {
	for _, c := range []struct{ topic, clause string }{
		{"sport/tennis/player1", ""},
		{"/finance", ""},
		{"/", ""},
		{"a//b", ""},
		{"$SYS/broker/uptime", ""},
		{"ACCOUNTS payable", ""},
		{"温度/室内", ""},
		{strings.Repeat("a", 65535), ""},
		{"sport/+", "MQTT-4.7.0-1"},
		{"sport/tennis#", "MQTT-4.7.0-1"},
		{"", "MQTT-4.7.3-1"},
		{"\x00", "MQTT-4.7.3-2"},
		{strings.Repeat("a", 65536), "MQTT-4.7.3-3"},
		{"\xc0\x80", "MQTT-1.5.4-1"},
	} {
		checkClause(t, c.topic, ValidTopic(c.topic), c.clause)
	}
}

func checkClause(t *testing.T, text string, err error, clause string) {
	t.Helper()
	if len(text) > 40 {
		text = text[:40] + "…"
	}
	if clause == "" {
		if err != nil {
			t.Errorf("%q: refused: %v", text, err)
		}
		return
	}
	var bad *InvalidError
	if !errors.As(err, &bad) {
		t.Errorf("%q: error %v, want clause %s", text, err, clause)
	} else if bad.Clause != clause {
		t.Errorf("%q: clause %s, want %s (%v)", text, bad.Clause, clause, err)
	}
}

func TestLimits(t *testing.T) {
	deep := strings.Repeat("/", MaxLevels-1)
	for _, c := range []struct {
		limits Limits
		text   string
		ok     bool
	}{
		{Limits{}, deep, true},
		{Limits{}, deep + "/", false},
		{Limits{}, strings.Repeat("/", 9999), false},
		{Limits{Levels: 10000}, strings.Repeat("/", 9999), true},
		{Limits{Levels: 7}, "/sys/pk/dn/thing/event/p", true},
		{Limits{Levels: 7}, "/sys/pk/dn/thing/event/p/post", false},
		{Limits{Bytes: 4}, "温x", true},
		{Limits{Bytes: 3}, "温x", false},
		{Limits{Bytes: 1 << 20}, strings.Repeat("a", MaxBytes+1), false},
	} {
		for what, err := range map[string]error{"filter": c.limits.Filter(c.text), "topic": c.limits.Topic(c.text)} {
			if (err == nil) != c.ok {
				t.Errorf("%+v, %s of %d bytes: %v", c.limits, what, len(c.text), err)
			}
		}
	}
	if err := (Limits{Levels: 2}).Filter("$share/g/a/b"); err != nil {
		t.Errorf("levels of the group name were counted: %v", err)
	}
}

func TestInvalidErrorIsShort(t *testing.T) {
	msg := ValidTopic("secret/+/" + strings.Repeat("x", 60000)).Error()
	if len(msg) > 250 || !strings.Contains(msg, "[MQTT-4.7.0-1]") {
		t.Errorf("message of %d bytes: %.300s", len(msg), msg)
	}
}

func TestParseShared(t *testing.T) {
	for _, c := range []struct {
		filter, group, rest string
		ok, fails           bool
	}{
		{"$share/g/a/b", "g", "a/b", true, false},
		{"$share/g/#", "g", "#", true, false},
		{"$share/g//a", "g", "/a", true, false},
		{"$share/$share/$SYS/#", "$share", "$SYS/#", true, false},
		{"a/b", "", "a/b", false, false},
		{"$share", "", "$share", false, false},
		{"$SHARE/g/a", "", "$SHARE/g/a", false, false},
		{"$share/g", "", "", false, true},
		{"$share//a", "", "", false, true},
		{"$share/a+/b", "", "", false, true},
	} {
		group, rest, ok, err := ParseShared(c.filter)
		if group != c.group || rest != c.rest || ok != c.ok || (err != nil) != c.fails {
			t.Errorf("ParseShared(%q) = %q, %q, %v, %v", c.filter, group, rest, ok, err)
		}
	}
}

func TestOptions(t *testing.T) {
	o := Options(0b00_01_1_1_10) | 1<<9
	if o.QoS() != 2 || !o.NoLocal() || !o.RetainAsPublished() || o.RetainHandling() != 1 || o.Wire() != 0x1e {
		t.Errorf("QoS %d, no local %v, retain as published %v, retain handling %d, wire %#x",
			o.QoS(), o.NoLocal(), o.RetainAsPublished(), o.RetainHandling(), o.Wire())
	}
	if o := RetainNever | QoS1; o.RetainHandling() != 2 || o.QoS() != 1 || o.NoLocal() || o.RetainAsPublished() {
		t.Errorf("%#b: QoS %d, retain handling %d", o, o.QoS(), o.RetainHandling())
	}
}
