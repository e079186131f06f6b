package broker

import (
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/linkstead/linkstead/mqtt"
)

// TestAliasesFollowUse: topics in steady use have aliases whatever else passes by.
func TestAliasesFollowUse(t *testing.T) {
	a := newAliases(32)
	var steady []string
	for i := range 8 {
		steady = append(steady, fmt.Sprintf("house/room%d/temperature", i))
	}
	named := make(map[uint16]string) // what a client knows
	hits, sends := 0, 0
	for i := range 10_000 {
		for _, topic := range append([]string{fmt.Sprintf("passing/by/%d", i)}, steady...) {
			alias, known := a.use(topic)
			switch {
			case known && named[alias] != topic:
				t.Fatalf("alias %d stands for %q, the client was told %q", alias, topic, named[alias])
			case known:
				hits++
			case alias != 0:
				named[alias] = topic
			}
			if got := a.find(topic); got != alias {
				t.Fatalf("find gives %d for %q, use %d", got, topic, alias)
			}
		}
		sends += len(steady)
	}
	if share := float64(hits) / float64(sends); share < 0.9 {
		t.Errorf("%.0f %% of the messages to topics in steady use had their alias, want nearly all", 100*share)
	}
	if n := testing.AllocsPerRun(1000, func() { a.use(steady[0]) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAliasAllocations: messages with aliases on both sides allocate nothing.
func TestAliasAllocations(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("allocations of the whole process are not counted here")
	}
	s := mustStart(t, settings{loops: 1, application: func(p *Profile) { p.TopicAliases = 4 }})
	sub := s.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: []byte("s"), CleanStart: true,
		Properties: mqtt.AppendUint16Property(nil, mqtt.PropTopicAliasMaximum, 4)})
	sub.subscribe("home/lamp", 0)
	pub := s.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: []byte("p"), CleanStart: true})
	const burst, rounds = 100, 50
	m := mqtt.Publish{Topic: []byte("home/lamp"), Payload: make([]byte, 100), Properties: mqtt.AppendUint16Property(nil, mqtt.PropTopicAlias, 1)}
	pub.send(m.Append(nil, mqtt.V5))
	if _, err := sub.next(); err != nil {
		t.Fatal(err)
	}
	m.Topic = nil
	var frames []byte
	for range burst {
		frames = m.Append(frames, mqtt.V5)
	}
	in := make([]byte, len(frames)) // the same: one alias on each side
	round := func() {
		pub.conn.Write(frames)
		if _, err := io.ReadFull(sub.conn, in); err != nil {
			t.Fatal(err)
		}
	}
	for range rounds {
		round()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		round()
	}
	runtime.ReadMemStats(&after)
	if each := float64(after.Mallocs-before.Mallocs) / (burst * rounds); each > 0.02 {
		t.Errorf("%.3f allocations a message, want none", each)
	}
}
