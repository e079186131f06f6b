package broker

import (
	"fmt"
	"time"

	"github.com/linkstead/linkstead/mqtt"
)

// Profile is how a kind of client is treated. One value is shared by all its
// clients and is not changed after the broker has started.
type Profile struct {
	// Device switches the cloud's semantics on (spec/connect.md §5): delivery at
	// the publisher's QoS, SUBACK 01, subscriptions that outlive a clean session,
	// one delivery however many filters match, no wills and nothing retained.
	Device bool
	// Tolerance are the deviations from the standard that are accepted.
	Tolerance mqtt.Tolerance
	// MaxQoS is the highest QoS a client may publish with: 1 or 2.
	MaxQoS byte
	// MaxPacket is the largest packet accepted, in bytes.
	MaxPacket int
	// Window is the most QoS 1 and 2 messages in flight to a client.
	Window int
	// MaxReceived is the most QoS 2 messages a client may leave unreleased, and the
	// Receive Maximum of the server.
	MaxReceived int
	// TopicAliases is the most topic aliases of a 5.0 client's connection, in each
	// direction.
	TopicAliases int
	// MaxQueued and MaxQueuedBytes limit what waits for one client beyond its
	// window, in memory or on disk.
	MaxQueued      int
	MaxQueuedBytes int
	// MaxOutput is the number of bytes written but not taken by the client at
	// which QoS 0 messages for it are dropped.
	MaxOutput int
	// MaxSubscriptions is the most filters of one client.
	MaxSubscriptions int
	// PublishRate and PublishBytes are how many messages and bytes of PUBLISH packets
	// a client may send in a second, on average; 0 is any number.
	PublishRate, PublishBytes int
	// LossyRates are how many messages a client may send in a second at QoS 0 and at
	// QoS 1; more are dropped and not acknowledged, as the cloud does it
	// (spec/connect.md §14). 0 is any number.
	LossyRates [2]int
	// MaxTopicBytes and MaxTopicLevels limit the topics and filters of a client; 0
	// means as much as the standard or the server allow.
	MaxTopicBytes, MaxTopicLevels int
	// MessageExpiry is how long a queued message is kept; 0 means for ever.
	MessageExpiry time.Duration
	// SessionExpiry is how long a persistent session outlives its connection; 0
	// means for ever.
	SessionExpiry time.Duration
	// MinKeepAlive and MaxKeepAlive bound the keep-alive of CONNECT in seconds. A 5.0
	// client is told the nearest one that is allowed, the login of others is refused.
	// 0 means no bound.
	MinKeepAlive, MaxKeepAlive uint16
	// Responses is the prefix of the topics that a 5.0 client which asks for it is
	// told to receive responses at: behind it comes its client identifier. A client
	// without the right to subscribe there is told nothing. Empty: nobody is.
	Responses string
	// Lifetime ends every connection after so long; 0 means never. A connection for
	// registration is for nothing else (spec/connect.md §10).
	Lifetime time.Duration
	// Settle is how long after CONNACK the first message that the client did not
	// ask for is sent (spec/connect.md §5: small clients read CONNACK alone).
	Settle time.Duration
	// Pace is the gap between packets to a client in the first PaceFor of its
	// connection, until the client shows that it can take several at once.
	Pace, PaceFor time.Duration
}

// DeviceProfile is the default for devices that log in with a triple.
func DeviceProfile() Profile {
	return Profile{
		Device:           true,
		Tolerance:        mqtt.TolerateDevices,
		MaxQoS:           1,
		MaxPacket:        256<<10 + 1024,
		Window:           32,
		MaxReceived:      128,
		TopicAliases:     16,
		MaxQueued:        10_000,
		MaxQueuedBytes:   16 << 20,
		MaxOutput:        1 << 20,
		MaxSubscriptions: 100,
		MessageExpiry:    7 * 24 * time.Hour,
		SessionExpiry:    0,
		Settle:           300 * time.Millisecond,
		Pace:             30 * time.Millisecond,
		PaceFor:          5 * time.Second,
	}
}

// ApplicationProfile is the default for MQTT clients that log in with a user
// name and password: exact MQTT.
func ApplicationProfile() Profile {
	return Profile{
		MaxQoS:           2,
		MaxPacket:        1 << 20,
		Window:           1024,
		MaxReceived:      4096,
		TopicAliases:     32,
		Responses:        "response/",
		MaxQueued:        100_000,
		MaxQueuedBytes:   64 << 20,
		MaxOutput:        4 << 20,
		MaxSubscriptions: 100_000,
		MessageExpiry:    7 * 24 * time.Hour,
		SessionExpiry:    30 * 24 * time.Hour,
	}
}

// unmet says what a CONNECT asks for that its client cannot have; nil for
// nothing. A 5.0 client is given another keep-alive in place of a refusal, but
// its will is held against what CONNACK announces [MQTT-3.2.2-12]
// [MQTT-3.2.2-13]; before 5.0 a device's will is parsed and discarded
// (spec/connect.md §5).
func (p *Profile) unmet(connect *mqtt.Connect) *Refusal {
	low, high, keep := p.MinKeepAlive, p.MaxKeepAlive, connect.KeepAlive
	switch {
	case connect.Version != mqtt.V5:
		if keep < low || high > 0 && keep > high {
			return &Refusal{Code: mqtt.ClientIdentifierNotValid,
				Cause: fmt.Sprintf("keep-alive is %d s; from %d to %d s is allowed", keep, low, high)}
		}
	case connect.HasWill && connect.Will.QoS > p.MaxQoS:
		return &Refusal{Code: mqtt.QoSNotSupported,
			Cause: fmt.Sprintf("the will has QoS %d; the highest is %d", connect.Will.QoS, p.MaxQoS)}
	case connect.HasWill && connect.Will.Retain && p.Device:
		return &Refusal{Code: mqtt.RetainNotSupported, Cause: "the will is to be retained, and nothing of a device is"}
	}
	return nil
}

// capExpiry gives the Session Expiry Interval that a client gets of the one it
// wants, in seconds.
func (p *Profile) capExpiry(seconds uint32) uint32 {
	if p.SessionExpiry > 0 && time.Duration(seconds)*time.Second > p.SessionExpiry {
		return uint32(p.SessionExpiry / time.Second)
	}
	return seconds
}

// serverKeepAlive gives the keep-alive that a 5.0 client gets instead of the one
// it wants, in seconds [MQTT-3.2.2-21]. 0, for none, is the longest.
func (p *Profile) serverKeepAlive(seconds uint16) uint16 {
	switch {
	case p.MaxKeepAlive > 0 && (seconds == 0 || seconds > p.MaxKeepAlive):
		return p.MaxKeepAlive
	case seconds > 0 && seconds < p.MinKeepAlive:
		return p.MinKeepAlive
	}
	return seconds
}
