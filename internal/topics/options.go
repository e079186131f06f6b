package topics

// Options is what a subscriber asked for with one subscription. The low byte is
// laid out as the subscription options byte of MQTT 5.0 (3.8.3.1), so that the
// byte from the wire converts directly; the high byte is free for the caller.
type Options uint16

// Bits of [Options].
const (
	QoS1              Options = 1      // maximum QoS 1
	QoS2              Options = 2      // maximum QoS 2
	NoLocal           Options = 1 << 2 // do not send back to the publisher [MQTT-3.8.3-3]
	RetainAsPublished Options = 1 << 3 // keep the RETAIN flag of the publisher [MQTT-3.3.1-13]
	RetainIfNew       Options = 1 << 4 // retain handling 1: send retained only if the subscription is new [MQTT-3.3.1-10]
	RetainNever       Options = 2 << 4 // retain handling 2: never send retained [MQTT-3.3.1-11]

	qosMask        Options = 3
	handlingShift          = 4
	handlingMask   Options = 3 << handlingShift
	wireOptionMask Options = 0xff
)

// QoS returns the maximum quality of service granted: 0, 1 or 2.
func (o Options) QoS() byte { return byte(o & qosMask) }

// NoLocal reports whether the subscriber's own publications are withheld.
func (o Options) NoLocal() bool { return o&NoLocal != 0 }

// RetainAsPublished reports whether the RETAIN flag is forwarded as it came.
func (o Options) RetainAsPublished() bool { return o&RetainAsPublished != 0 }

// RetainHandling returns when retained messages are sent on subscribing: 0
// always, 1 only if the subscription is new, 2 never.
func (o Options) RetainHandling() byte { return byte(o & handlingMask >> handlingShift) }

// Wire returns the options as the byte of a SUBSCRIBE packet.
func (o Options) Wire() byte { return byte(o & wireOptionMask) }

// Entry is one subscription as seen from a topic: who, with which options.
type Entry[S comparable] struct {
	Subscriber S
	Options    Options
	ID         uint32 // subscription identifier, 1 … 268,435,455; 0 if none was given [MQTT-3.3.4-3]
}

func (e Entry[S]) key() S { return e.Subscriber }
