package session

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/linkstead/linkstead/mqtt"
)

// TestOutboundModel compares Outbound with a plain list over random histories,
// starting near the wrap-around of identifiers: identifiers in flight are never
// 0 and never shared [MQTT-2.3.1-1], a message keeps its own [MQTT-4.4.0-1], and
// the window holds [MQTT-3.3.4-9].
func TestOutboundModel(t *testing.T) {
	type message struct {
		seq   uint64
		phase Phase
		qos   byte
	}
	rapid.Check(t, func(t *rapid.T) {
		var o Outbound
		window := rapid.IntRange(1, 12).Draw(t, "window")
		o.SetWindow(window)
		seq := rapid.Uint64Range(0, 1<<40).Draw(t, "first")
		if rapid.Bool().Draw(t, "near the wrap") {
			seq = seq/maxIdentifiers*maxIdentifiers + maxIdentifiers - 5
		}
		var flying []message
		find := func(id uint16) int {
			for i, m := range flying {
				if PacketID(m.seq) == id {
					return i
				}
			}
			return -1
		}
		remove := func(i int) { flying = append(flying[:i:i], flying[i+1:]...) }
		pick := func() uint16 { // mostly something in flight
			if len(flying) > 0 && rapid.IntRange(0, 9).Draw(t, "known") > 0 {
				return PacketID(flying[rapid.IntRange(0, len(flying)-1).Draw(t, "which")].seq)
			}
			return rapid.Uint16().Draw(t, "id")
		}
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				next := seq + 1 + uint64(rapid.SampledFrom([]int{0, 0, 0, 0, 1, 5, 60, 200, 70000}).Draw(t, "gap"))
				room := len(flying) < window
				near := len(flying) == 0 || next-flying[0].seq < uint64(min(4*window+64, maxIdentifiers-1))
				if got := o.Ready(next); got != (room && near) {
					t.Fatalf("Ready(%d) = %t with %d of %d in flight from %v", next, got, len(flying), window, flying)
				}
				if !o.Ready(next) {
					return
				}
				seq = next
				m := message{seq: seq, phase: Sent, qos: byte(rapid.IntRange(1, 2).Draw(t, "qos"))}
				id := PacketID(seq)
				if find(id) >= 0 || id == 0 {
					t.Fatalf("identifier %d of %d is 0 or in use", id, seq)
				}
				if rapid.IntRange(0, 4).Draw(t, "released") == 0 {
					m.phase, m.qos = Released, 2
					if got := o.SendReleased(seq); got != id {
						t.Fatalf("SendReleased = %d, want %d", got, id)
					}
				} else if got := o.Send(seq, m.qos); got != id {
					t.Fatalf("Send = %d, want %d", got, id)
				}
				flying = append(flying, m)
			},
			"puback": func(t *rapid.T) {
				id := pick()
				i := find(id)
				want := i >= 0 && flying[i].qos == 1
				got, ok := o.Puback(id)
				if ok != want || ok && got != flying[i].seq {
					t.Fatalf("Puback(%d) = %d %t, want %t", id, got, ok, want)
				}
				if ok {
					remove(i)
				}
			},
			"pubrec": func(t *rapid.T) {
				id := pick()
				i := find(id)
				want := i >= 0 && flying[i].qos == 2
				got, again, ok := o.Pubrec(id)
				if ok != want || ok && (got != flying[i].seq || again != (flying[i].phase == Released)) {
					t.Fatalf("Pubrec(%d) = %d %t %t, want %t", id, got, again, ok, want)
				}
				if ok {
					flying[i].phase = Released
				}
			},
			"pubcomp": func(t *rapid.T) {
				id := pick()
				i := find(id)
				want := i >= 0 && flying[i].phase == Released
				got, ok := o.Pubcomp(id)
				if ok != want || ok && got != flying[i].seq {
					t.Fatalf("Pubcomp(%d) = %d %t, want %t", id, got, ok, want)
				}
				if ok {
					remove(i)
				}
			},
			"refuse": func(t *rapid.T) {
				id := pick()
				i := find(id)
				want := i >= 0 && flying[i].qos == 2 && flying[i].phase == Sent
				got, ok := o.Refuse(id)
				if ok != want || ok && got != flying[i].seq {
					t.Fatalf("Refuse(%d) = %d %t, want %t", id, got, ok, want)
				}
				if ok {
					remove(i)
				}
			},
			"reconnect": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "now") == 0 {
					o.Reset()
					flying = nil
				}
			},
			"": func(t *rapid.T) {
				if o.InFlight() != len(flying) {
					t.Fatalf("InFlight = %d, want %d", o.InFlight(), len(flying))
				}
				oldest, some := o.Oldest()
				if some != (len(flying) > 0) || some && oldest != flying[0].seq {
					t.Fatalf("Oldest = %d %t, want %v", oldest, some, flying)
				}
			},
		})
	})
}

// TestInboundModel compares Inbound with a map.
func TestInboundModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in Inbound
		known := map[uint16]bool{}
		id := rapid.Uint16Range(0, 5)
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				n := id.Draw(t, "id")
				if fresh := in.Publish(n); fresh == known[n] {
					t.Fatalf("Publish(%d) = %t", n, fresh)
				}
				known[n] = true
			},
			"release": func(t *rapid.T) {
				n := id.Draw(t, "id")
				if got := in.Release(n); got != known[n] {
					t.Fatalf("Release(%d) = %t", n, got)
				}
				delete(known, n)
			},
			"": func(t *rapid.T) {
				if in.Len() != len(known) {
					t.Fatalf("Len = %d, want %d", in.Len(), len(known))
				}
			},
		})
	})
}

// TestAcksModel: acknowledgements leave in the order in which they were owed,
// each when it is complete and no earlier, with the code it was completed with
// [MQTT-4.6.0-2]; tickets of an earlier connection do nothing.
func TestAcksModel(t *testing.T) {
	type owed struct {
		ticket uint64
		id     uint16
		ready  bool
		code   mqtt.ReasonCode
	}
	rapid.Check(t, func(t *rapid.T) {
		var a Acks
		var want []owed
		var old []uint64
		id := uint16(0)
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				id++
				want = append(want, owed{ticket: a.Push(Ack{Type: mqtt.PUBACK, ID: id}), id: id})
			},
			"complete": func(t *rapid.T) {
				if len(want) == 0 {
					return
				}
				w := &want[rapid.IntRange(0, len(want)-1).Draw(t, "which")]
				w.ready, w.code = true, mqtt.ReasonCode(rapid.Byte().Draw(t, "code"))
				a.Complete(w.ticket, w.code)
			},
			"complete an old one": func(t *rapid.T) {
				if len(old) > 0 {
					a.Complete(rapid.SampledFrom(old).Draw(t, "ticket"), mqtt.Success)
				}
			},
			"next": func(t *rapid.T) {
				got, ok := a.Next()
				if expect := len(want) > 0 && want[0].ready; ok != expect {
					t.Fatalf("Next = %t, want %t", ok, expect)
				}
				if !ok {
					return
				}
				if got.ID != want[0].id || got.Code != want[0].code {
					t.Fatalf("Next = %+v, want %+v", got, want[0])
				}
				old, want = append(old, want[0].ticket), want[1:]
			},
			"reset": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "now") > 0 {
					return
				}
				for _, w := range want {
					old = append(old, w.ticket)
				}
				want = nil
				a.Reset()
			},
			"": func(t *rapid.T) {
				if a.Len() != len(want) || a.Empty() != (len(want) == 0) {
					t.Fatalf("Len = %d, Empty = %t, want %d", a.Len(), a.Empty(), len(want))
				}
			},
		})
	})
}
