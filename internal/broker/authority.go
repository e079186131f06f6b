package broker

import (
	"crypto/x509"
	"net/netip"

	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// LoginRequest is what a CONNECT packet and its connection say about a client.
// The slices are copies and may be kept.
type LoginRequest struct {
	ClientID    string
	HasUsername bool
	Username    string
	HasPassword bool
	Password    []byte
	Version     mqtt.Version
	KeepAlive   uint16 // seconds
	CleanStart  bool

	Remote netip.AddrPort
	Kind   transport.Kind
	// Certificates are the client's, leaf first. It has proven that it has the key of
	// the leaf; who signed it, and whether its time is over, is not looked at.
	Certificates []*x509.Certificate
	// Suspect: many logins from this address have failed lately, under any name. Only
	// what is cheap is to be looked at.
	Suspect bool
	// Frame is the CONNECT packet as it came, for the annotated log of a refusal.
	Frame []byte
}

// Admission is a login that was accepted.
type Admission struct {
	// Key names the session: "d:{productKey}/{deviceName}", "a:{clientId}" or the
	// UnitKey of one of a device's units.
	Key string
	// Owner is the identity that the session is bound to: a login with another
	// owner under the same key is refused, so nobody takes over somebody else's
	// session.
	Owner string
	// ClientID is the identifier assigned to a client that sent none.
	ClientID string
	Profile  *Profile
	Rights   Rights
	// Principal comes back in every Exchange and in Connected and Disconnected.
	Principal any
}

// Refusal is a login that was not accepted.
type Refusal struct {
	Code mqtt.ReasonCode // 5.0 reason; 3.1.1 clients get its return code
	// Cause is the exact reason for the log: what was expected, what came, what
	// to do. It never holds a secret.
	Cause string
	// Identity names the device or user as far as it is known.
	Identity string
}

// Authority decides who may log in.
type Authority interface {
	// Login calls done exactly once with an admission or a refusal, either before
	// it returns or later from any goroutine. It must not block.
	Login(r *LoginRequest, done func(*Admission, *Refusal))
	// Converse begins an extended authentication by a method, for r, whose password
	// counts for nothing; nil if the method is not offered.
	Converse(method string, r *LoginRequest) Conversation
	// Rights finds what the owner of a session (Admission.Owner) may do now, while
	// no connection of it need be there: for a will that has waited. It calls
	// found exactly once, like Login; with nil if the owner exists no more, and
	// with an error if that cannot be known at the moment.
	Rights(owner string, found func(Rights, error))
	// Implicit names the session that gets what is published to a topic without
	// having subscribed to it (a device and its system topics), or "".
	Implicit(topic string) (key string)
}

// Decision is what a client may do with a topic it publishes to.
type Decision uint8

const (
	// Deny: the message is acknowledged, dropped and recorded.
	Deny Decision = iota
	// Route: the message goes to its subscribers.
	Route
	// System: the message goes to its subscribers and to the Handler.
	System
)

// Rights is what one identity may do. Implementations are immutable or safe for
// concurrent use; a change of rights takes effect at the next call.
type Rights interface {
	Publish(topic string) Decision
	// Subscribe reports whether every topic that the filter can match may be
	// received.
	Subscribe(filter string) bool
	// Receive reports whether a message that was queued or retained may still be
	// delivered.
	Receive(topic string) bool
}

// Rewriter is a Rights that has the Handler put another message in the place of one
// with a query: those are handed over and go to no subscriber by themselves.
type Rewriter interface {
	Rewrites(topic, query string) bool
}

// Handler answers system topics and learns of connections. Its methods are
// called on event loops and must not block.
type Handler interface {
	// Handle takes a publication to a system topic. It must call x.Done exactly
	// once, before it returns or later from any goroutine.
	Handle(x *Exchange)
	// Connected follows the CONNACK.
	Connected(c Connection)
	// Disconnected is called once for every Connected. cause says why, for people.
	Disconnected(c Connection, cause string)
}

// Connection describes a logged-in client.
type Connection struct {
	Key       string
	ClientID  string
	Principal any
	Remote    netip.AddrPort
	Kind      transport.Kind
	Version   mqtt.Version
	Clean     bool
	KeepAlive uint16 // seconds
	SinceMS   int64  // Unix milliseconds
}
