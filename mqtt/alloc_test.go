package mqtt

import "testing"

// hotPaths are the operations a server does for every message; the tests
// show that they allocate nothing, the benchmarks what they take.
func hotPaths(tb testing.TB) []struct {
	name string
	size int // bytes of the packet
	run  func() error
} {
	tb.Helper()
	topic := []byte("/sys/a1ji0qFv6Jf/STC15/thing/event/property/post")
	payload := []byte(`{"id":"17","version":"1.0","params":{"Temp":6,"Hum":6,"Gas":6},"method":"thing.event.property.post"}`)
	properties := AppendUserProperty(AppendUint32Property(nil, PropMessageExpiryInterval, 60), "trace", "0af7651916cd43dd")
	frame := func(b []byte) Frame {
		f, n, err := Split(b, 0)
		if err != nil || n != len(b) {
			tb.Fatalf("%d of %d bytes: %v", n, len(b), err)
		}
		return f
	}
	var (
		publish = Publish{Topic: topic, Payload: payload}
		q1      = Publish{QoS: 1, PacketID: 9, Topic: topic, Payload: payload}
		rich    = Publish{QoS: 1, PacketID: 9, Topic: topic, Payload: payload, Properties: properties}
		connect = Connect{Version: V311, CleanStart: true, KeepAlive: 100, ClientID: []byte("10001|securemode=3,signmethod=hmacsha1|"),
			HasUsername: true, Username: []byte("STC15&a1ji0qFv6Jf"), HasPassword: true, Password: make([]byte, 40)}
		subscribe = Subscribe{PacketID: 1, Filters: []Subscription{{Filter: topic, QoS: 1}, {Filter: []byte("a/+/#")}}}
		suback    = Suback{PacketID: 1, Codes: []ReasonCode{GrantedQoS1, GrantedQoS0}}

		buffer   = make([]byte, 0, 1024)
		raw      = publish.Append(nil, V311)
		f311     = frame(raw)
		f5       = frame(publish.Append(nil, V5))
		f1       = frame(q1.Append(nil, V311))
		fRich    = frame(rich.Append(nil, V5))
		fAck     = frame(AppendAck(nil, PUBACK, V311, 9, Success))
		fAck5    = frame((&Ack{PacketID: 9, Code: QuotaExceeded, Properties: AppendStringProperty(nil, PropReasonString, "full")}).Append(nil, PUBACK, V5))
		fConnect = frame(connect.Append(nil))
		fSub     = frame(subscribe.Append(nil, V311))
		fSuback  = frame(suback.Append(nil, V311))

		p    Publish
		a    Ack
		c    Connect
		s    Subscribe
		sa   Suback
		sink int
	)
	write := func(b []byte) error { sink += len(b); return nil }
	return []struct {
		name string
		size int
		run  func() error
	}{
		{"Split", len(raw), func() error { _, n, err := Split(raw, 1<<20); sink += n; return err }},
		{"PublishDecode/3.1.1/QoS0", len(f311.Raw), func() error { return p.Decode(f311, V311, 0) }},
		{"PublishDecode/3.1.1/QoS1", len(f1.Raw), func() error { return p.Decode(f1, V311, 0) }},
		{"PublishDecode/5.0/QoS0", len(f5.Raw), func() error { return p.Decode(f5, V5, 0) }},
		{"PublishDecode/5.0/QoS1+properties", len(fRich.Raw), func() error { return p.Decode(fRich, V5, 0) }},
		{"PublishAppend/3.1.1/QoS0", len(f311.Raw), func() error { return write(publish.Append(buffer, V311)) }},
		{"PublishAppend/5.0/QoS1+properties", len(fRich.Raw), func() error { return write(rich.Append(buffer, V5)) }},
		{"AckDecode/3.1.1", 4, func() error { return a.Decode(fAck, V311, 0) }},
		{"AckDecode/5.0+properties", len(fAck5.Raw), func() error { return a.Decode(fAck5, V5, 0) }},
		{"AckAppend/3.1.1", 4, func() error { return write(AppendAck(buffer, PUBACK, V311, 9, Success)) }},
		{"ConnectDecode/3.1.1", len(fConnect.Raw), func() error { return c.Decode(fConnect, TolerateDevices) }},
		{"ConnectAppend/3.1.1", len(fConnect.Raw), func() error { return write(connect.Append(buffer)) }},
		{"SubscribeDecode/3.1.1", len(fSub.Raw), func() error { return s.Decode(fSub, V311, 0) }},
		{"SubackDecode/3.1.1", len(fSuback.Raw), func() error { return sa.Decode(fSuback, V311, 0) }},
		{"SubackAppend/3.1.1", len(fSuback.Raw), func() error { return write(suback.Append(buffer, V311)) }},
		{"PropertyLookup", len(properties), func() error {
			v, _ := properties.Uint32(PropMessageExpiryInterval)
			sink += int(v)
			return nil
		}},
		{"UserProperties", len(properties), func() error {
			for name, value := range properties.UserProperties() {
				sink += len(name) + len(value)
			}
			return nil
		}},
	}
}

func TestNoAllocations(t *testing.T) {
	for _, path := range hotPaths(t) {
		t.Run(path.name, func(t *testing.T) {
			if err := path.run(); err != nil { // also grows what is reused
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(100, func() { _ = path.run() }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func BenchmarkWire(b *testing.B) {
	for _, path := range hotPaths(b) {
		b.Run(path.name, func(b *testing.B) {
			b.SetBytes(int64(path.size))
			b.ReportAllocs()
			for b.Loop() {
				if err := path.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
