package broker

import (
	"runtime"
	"strconv"
	"time"
)

// The topics below $SYS tell applications that have a right to them how the server
// is, named as mosquitto names them. They are published at QoS 0 while somebody has
// subscribed, and not retained: a new subscriber waits for the next time.

// sysTopic is one of them. Its value is made from what the server has counted.
type sysTopic struct {
	name  string
	value func(b *Broker, s *Stats, traffic *sysTraffic) string
}

// sysTraffic adds up packets of all clients.
type sysTraffic struct {
	received, sent               uint64 // packets
	bytesReceived, bytesSent     uint64
	publishReceived, publishSent uint64
}

func decimal[N int | int64 | uint64](n N) string { return strconv.FormatInt(int64(n), 10) }

var sysTopics = []sysTopic{
	{"$SYS/broker/version", func(b *Broker, _ *Stats, _ *sysTraffic) string { return "linkstead version " + b.options.Version }},
	{"$SYS/broker/uptime", func(b *Broker, _ *Stats, _ *sysTraffic) string {
		return decimal(int64(time.Since(b.since)/time.Second)) + " seconds"
	}},
	{"$SYS/broker/clients/connected", func(_ *Broker, s *Stats, _ *sysTraffic) string { return decimal(s.Connected) }},
	{"$SYS/broker/clients/active", func(_ *Broker, s *Stats, _ *sysTraffic) string { return decimal(s.Connected) }},
	{"$SYS/broker/clients/disconnected", func(_ *Broker, s *Stats, _ *sysTraffic) string {
		return decimal(max(int64(s.Sessions)-s.Connected, 0))
	}},
	{"$SYS/broker/clients/inactive", func(_ *Broker, s *Stats, _ *sysTraffic) string {
		return decimal(max(int64(s.Sessions)-s.Connected, 0))
	}},
	{"$SYS/broker/clients/total", func(_ *Broker, s *Stats, _ *sysTraffic) string { return decimal(s.Sessions) }},
	{"$SYS/broker/messages/received", func(_ *Broker, _ *Stats, t *sysTraffic) string { return decimal(t.received) }},
	{"$SYS/broker/messages/sent", func(_ *Broker, _ *Stats, t *sysTraffic) string { return decimal(t.sent) }},
	{"$SYS/broker/messages/stored", func(b *Broker, s *Stats, _ *sysTraffic) string { return decimal(int64(s.Retained) + b.queuedNow()) }},
	{"$SYS/broker/store/messages/count", func(b *Broker, s *Stats, _ *sysTraffic) string { return decimal(int64(s.Retained) + b.queuedNow()) }},
	{"$SYS/broker/bytes/received", func(_ *Broker, _ *Stats, t *sysTraffic) string { return decimal(t.bytesReceived) }},
	{"$SYS/broker/bytes/sent", func(_ *Broker, _ *Stats, t *sysTraffic) string { return decimal(t.bytesSent) }},
	{"$SYS/broker/publish/messages/received", func(_ *Broker, _ *Stats, t *sysTraffic) string { return decimal(t.publishReceived) }},
	{"$SYS/broker/publish/messages/sent", func(_ *Broker, _ *Stats, t *sysTraffic) string { return decimal(t.publishSent) }},
	{"$SYS/broker/publish/messages/dropped", func(_ *Broker, s *Stats, _ *sysTraffic) string {
		var n uint64
		for reason, count := range s.Dropped {
			if reason != DropNoReceiver.String() {
				n += count
			}
		}
		return decimal(n)
	}},
	{"$SYS/broker/retained messages/count", func(_ *Broker, s *Stats, _ *sysTraffic) string { return decimal(s.Retained) }},
	{"$SYS/broker/subscriptions/count", func(_ *Broker, s *Stats, _ *sysTraffic) string { return decimal(s.Subscriptions) }},
	{"$SYS/broker/heap/current", func(_ *Broker, _ *Stats, _ *sysTraffic) string {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return decimal(m.HeapAlloc)
	}},
}

// startSys begins to publish on the first loop, unless it is switched off.
func (b *Broker) startSys() { b.loops[0].t.Post(task{b.loops[0].restartSys}) }

// restartSys has the topics published once the interval of now has passed.
func (l *loop) restartSys() {
	if l.b.sysTimer != nil {
		l.b.sysTimer.Stop()
		l.b.sysTimer = nil
	}
	if interval := l.b.sysInterval.Load(); interval > 0 {
		l.b.sysTimer = l.t.After(time.Duration(interval), task{l.publishSys})
	}
}

// publishSys publishes what somebody has subscribed to; figures are added up only
// if there is such a topic.
func (l *loop) publishSys() {
	b := l.b
	l.restartSys()
	var stats *Stats
	var traffic sysTraffic
	for _, t := range sysTopics {
		r := l.cache.Lookup([]byte(t.name))
		if l.planOf(r).empty {
			continue
		}
		if stats == nil {
			s := b.Stats()
			stats, traffic = &s, b.traffic()
		}
		l.route(&publication{
			topic: r.Topic, payload: []byte(t.value(b, stats, &traffic)), publishedMS: l.nowMS(), publisher: "server",
		}, r)
	}
}

func (b *Broker) queuedNow() (n int64) {
	for _, l := range b.loops {
		n += l.meters.queued.Load()
	}
	return n
}

// traffic adds up the packets of all clients.
func (b *Broker) traffic() (t sysTraffic) {
	for _, l := range b.loops {
		for kind := range kinds {
			in, out := &l.meters.in[kind], &l.meters.out[kind]
			for k := range packetKinds {
				t.received += in.packets[k].Load()
				t.bytesReceived += in.bytes[k].Load()
				t.sent += out.packets[k].Load()
				t.bytesSent += out.bytes[k].Load()
				if k >= publishQoS0 {
					t.publishReceived += in.packets[k].Load()
					t.publishSent += out.packets[k].Load()
				}
			}
		}
	}
	return t
}
