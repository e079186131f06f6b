package broker

import (
	"context"
	"testing"
	"time"

	"github.com/linkstead/linkstead/mqtt"
)

// drain begins to drain and returns when all loops know. The result comes later.
func (s *server) drain(f Farewell) <-chan error {
	s.t.Helper()
	s.broker.SetFarewell(f)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	result := make(chan error, 1)
	go func() { result <- s.broker.Drain(ctx) }()
	for i := range s.broker.loops {
		for draining := false; !draining; {
			s.onLoop(i, func(l *loop) { draining = l.draining })
		}
	}
	return result
}

func (s *server) wantDrained(result <-chan error) {
	s.t.Helper()
	select {
	case err := <-result:
		if err != nil {
			s.t.Errorf("Drain: %v", err)
		}
	case <-time.After(patience):
		s.t.Fatal("Drain does not end")
	}
}

func publish1(id uint16, topic, payload string, v mqtt.Version) []byte {
	m := mqtt.Publish{Topic: []byte(topic), QoS: 1, PacketID: id, Payload: []byte(payload)}
	return m.Append(nil, v)
}

// TestDrainFinishesWhatWasBegun: a message on its way to the disk is acknowledged
// before its publisher is sent away, and is there after the restart; one that comes
// later is not acknowledged and not delivered.
func TestDrainFinishesWhatWasBegun(t *testing.T) {
	s := mustStart(t, settings{})
	away := s.connect(&mqtt.Connect{ClientID: []byte("away")}) // persistent
	away.subscribe("t", 1)
	s.synced()
	away.kill()
	pub := s.connect(&mqtt.Connect{ClientID: []byte("pub"), Version: mqtt.V5, CleanStart: true})
	s.gate.hold()
	pub.send(publish1(1, "t", "before", mqtt.V5))
	if err := pub.ping(); err != nil { // it has been taken
		t.Fatal(err)
	}
	result := s.drain(Farewell{})
	pub.send(publish1(2, "t", "after", mqtt.V5))
	select {
	case err := <-result:
		t.Fatalf("drained before the disk has the message: %v", err)
	default:
	}
	s.gate.open()
	pub.expect("PUBACK 1", "DISCONNECT 8b", "closed")
	s.wantDrained(result)
	s.stop()
	s.start()
	away = s.connect(&mqtt.Connect{ClientID: []byte("away")})
	away.expect(`PUBLISH t "before" qos1 id=2`)
	if err := away.ping(); err != nil { // and nothing else
		t.Fatal(err)
	}
}

// TestDrainWaitsForTheHandler: a system topic's reply leaves before its device is
// sent away, although no acknowledgement is owed.
func TestDrainWaitsForTheHandler(t *testing.T) {
	s := mustStart(t, settings{})
	d := s.connect(&mqtt.Connect{ClientID: []byte("d"), Version: mqtt.V5, HasUsername: true, Username: []byte("dev")})
	m := mqtt.Publish{Topic: []byte("/sys/d/up/asklater")}
	d.send(m.Append(nil, mqtt.V5))
	if err := d.ping(); err != nil {
		t.Fatal(err)
	}
	result := s.drain(Farewell{})
	for looks := range s.broker.loops { // which have looked whether they have finished
		s.onLoop(looks, func(l *loop) {
			if l.settled(true) != (l.exchanging == 0) {
				t.Error("a loop has finished although the handler has not answered")
			}
		})
	}
	s.handler.finishLater()
	d.expect(`PUBLISH /sys/d/down/asklater_reply "late"`, "DISCONNECT 8b", "closed")
	s.wantDrained(result)
}

// TestDrainIsPatient: clients get the time to acknowledge what they were sent, and
// a QoS 2 message that was begun is finished.
func TestDrainIsPatient(t *testing.T) {
	s := mustStart(t, settings{})
	sub := s.connect(&mqtt.Connect{ClientID: []byte("sub"), Version: mqtt.V5, CleanStart: true})
	sub.subscribe("t", 1)
	pub := s.connect(&mqtt.Connect{ClientID: []byte("pub"), Version: mqtt.V5, CleanStart: true})
	m := mqtt.Publish{Topic: []byte("t"), QoS: 2, PacketID: 3, Payload: []byte("x")}
	pub.send(m.Append(nil, mqtt.V5))
	pub.expect("PUBREC 3")
	sub.expect(`PUBLISH t "x" qos1 id=2`)
	result := s.drain(Farewell{Patience: time.Hour})
	pub.send(mqtt.AppendAck(nil, mqtt.PUBREL, mqtt.V5, 3, mqtt.Success))
	pub.expect("PUBCOMP 3")
	select {
	case err := <-result:
		t.Fatalf("drained before the receiver has acknowledged: %v", err)
	default:
	}
	sub.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V5, 2, mqtt.Success))
	for _, p := range []*peer{pub, sub} {
		p.expect("DISCONNECT 8b", "closed")
	}
	s.wantDrained(result)
}

// TestDrainPublishesWills: the will of a client that is sent away reaches those
// who are still there, before they are sent away.
func TestDrainPublishesWills(t *testing.T) {
	s := mustStart(t, settings{})
	watch := s.connect(&mqtt.Connect{ClientID: []byte("watch"), Version: mqtt.V5, CleanStart: true})
	watch.subscribe("will/#", 1)
	for _, id := range []string{"w1", "w2", "w3"} { // on both loops
		w := s.connect(&mqtt.Connect{ClientID: []byte(id), Version: mqtt.V5, CleanStart: true, HasWill: true,
			Will: mqtt.Will{Topic: []byte("will/" + id), Payload: []byte("gone")}})
		defer w.expect("DISCONNECT 8b", "closed")
	}
	result := s.drain(Farewell{})
	seen := map[string]bool{}
	for range 3 {
		f, err := watch.next()
		if err != nil {
			t.Fatal(err)
		}
		seen[describe(f, mqtt.V5)] = true
	}
	for _, id := range []string{"w1", "w2", "w3"} {
		if !seen[`PUBLISH will/`+id+` "gone"`] {
			t.Errorf("the will of %s is not among %v", id, seen)
		}
	}
	watch.expect("DISCONNECT 8b", "closed")
	s.wantDrained(result)
}

// TestDrainNamesAnotherServer: 5.0 clients are sent to it, 3.1.1 clients just away;
// a CONNECT that is late is refused.
func TestDrainNamesAnotherServer(t *testing.T) {
	for code, moved := range map[mqtt.ReasonCode]bool{mqtt.UseAnotherServer: false, mqtt.ServerMoved: true} {
		s := mustStart(t, settings{})
		new5 := s.connect(&mqtt.Connect{ClientID: []byte("new"), Version: mqtt.V5, CleanStart: true})
		small := s.connect(&mqtt.Connect{ClientID: []byte("small"), Version: mqtt.V5, CleanStart: true,
			Properties: mqtt.AppendUint32Property(nil, mqtt.PropMaximumPacketSize, 16)})
		old := s.connect(&mqtt.Connect{ClientID: []byte("old"), CleanStart: true})
		late := s.dial("late")
		s.gate.hold()
		new5.send(publish1(1, "t", "", mqtt.V5)) // no receiver: acknowledged at once
		new5.expect("PUBACK 1")
		keeper := s.connect(&mqtt.Connect{ClientID: []byte("keeper"), HasUsername: true, Username: []byte("dev")})
		m := mqtt.Publish{Topic: []byte("/sys/keeper/up/later"), QoS: 1, PacketID: 7}
		keeper.send(m.Append(nil, mqtt.V311))
		if err := keeper.ping(); err != nil {
			t.Fatal(err)
		}
		result := s.drain(Farewell{Server: "b.example:1883", Moved: moved})
		c := mqtt.Connect{ClientID: []byte("late"), Version: mqtt.V5, CleanStart: true, HasUsername: true, Username: []byte("app")}
		late.version = mqtt.V5
		late.send(c.Append(nil))
		f, err := late.next()
		if err != nil || f.Type != mqtt.CONNACK || f.Raw[3] != byte(mqtt.ServerUnavailable) {
			t.Errorf("a late CONNECT gets % X %v", f.Raw, err)
		}
		s.gate.open()
		s.handler.finishLater()
		keeper.expect("PUBACK 7", "closed")
		f, err = new5.next()
		var d mqtt.Disconnect
		if err == nil {
			err = d.Decode(f, mqtt.V5)
		}
		server, _ := d.Properties.String(mqtt.PropServerReference)
		if err != nil || d.Code != code || string(server) != "b.example:1883" {
			t.Errorf("the 5.0 client is told %v %q (%v), want %v", d.Code, server, err, code)
		}
		small.expect(map[bool]string{false: "DISCONNECT 9c", true: "DISCONNECT 9d"}[moved], "closed")
		old.expect("closed")
		s.wantDrained(result)
	}
}
