package transport

import (
	"errors"
	"fmt"
	"time"
)

// Causes that Handler.Closed can be given, besides io.EOF when the peer closed
// its side, the error of the system call that failed, and the cause handed to
// Conn.Close or Conn.Abort.
var (
	// ErrIdle: nothing was received for the time set with SetReadTimeout.
	ErrIdle = errors.New("nothing received within the allowed time (keep-alive × 1.5); the device is gone or does not send PINGREQ")

	// ErrServerClosed: the server shuts down.
	ErrServerClosed = errors.New("the server is shutting down")

	// ErrEvicted: too many connections had not logged in yet, and this was
	// the one that had taken longest. Options.MaxOpening is the number.
	ErrEvicted = errors.New("too many connections that have not logged in; the oldest of them was closed")

	// ErrTLSOff: a TLS handshake arrived, but the server has no certificate.
	ErrTLSOff = errors.New("a TLS handshake arrived, but TLS is not configured; configure a certificate or connect without TLS")
)

// LimitError says that a connection filled its input without sending one
// complete packet.
type LimitError struct {
	Limit int // most unconsumed bytes allowed, see Conn.SetLimit
	Have  int // unconsumed bytes when the limit was checked
}

// Error names both sizes.
func (e *LimitError) Error() string {
	return fmt.Sprintf("%d bytes received without one complete packet, %d are allowed here", e.Have, e.Limit)
}

// OpeningError says that a connection did not log in within
// Options.OpeningTimeout.
type OpeningError struct {
	Stage string        // what was being waited for, such as "the first byte"
	After time.Duration // the time it was given
}

// Error names the stage and the time.
func (e *OpeningError) Error() string {
	return fmt.Sprintf("not logged in after %v: still waiting for %s", e.After, e.Stage)
}

// Timeout makes OpeningError recognisable as a time-out.
func (e *OpeningError) Timeout() bool { return true }

// PanicError is the cause of a connection that ended because the handler
// panicked.
type PanicError struct {
	Value any    // what was handed to panic
	Stack string // where, as runtime/debug.Stack gives it
}

// Error shows the value; the stack is in the log.
func (e *PanicError) Error() string { return fmt.Sprintf("internal error: %v", e.Value) }

// ProtocolError says that the bytes of a connection are not what it claims to
// carry: no MQTT, TLS or HTTP at the beginning, or broken WebSocket framing.
type ProtocolError struct {
	Reason string
}

// Error is the reason.
func (e *ProtocolError) Error() string { return e.Reason }
