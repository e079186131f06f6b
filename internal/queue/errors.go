package queue

import (
	"errors"
	"fmt"
)

var (
	// ErrOverloaded: more is waiting for the disk than Options.MaxBacklogBytes
	// allows. Nothing of the batch was applied; slow the senders and try again.
	ErrOverloaded = errors.New("queue: more messages are waiting for the disk than may wait: slow the senders down, or give the server a faster disk")
	// ErrDiskFull: less than Options.MinFreeBytes is free. What the batch would
	// have added (messages, session records, received identifiers, retained
	// messages) was not stored; its deletions and state changes were, because
	// they are what makes room.
	ErrDiskFull = errors.New("queue: the disk is nearly full and nothing more is stored: free space in the data folder, or let devices fetch their messages")
	// ErrUnavailable: a write, a sync or a read of the store failed and it is
	// being opened anew. Whether the batch will be found there is not known.
	ErrUnavailable = errors.New("queue: the message store is not available and is being reopened: look at the disk under the data folder")
	// ErrClosed: the log has been closed.
	ErrClosed = errors.New("queue: the message log is closed")
	// ErrCorrupt: bytes read back are not what was written.
	ErrCorrupt = errors.New("queue: stored bytes are damaged")
)

// errUntied: the other parts of a tie did not come.
var errUntied = fmt.Errorf("%w: another event loop did not deliver its part of a message", ErrUnavailable)

// CorruptMessageError reports one stored message that cannot be decoded. The
// session's other messages are sound; deleting Seq lets the session go on. It
// matches ErrCorrupt.
type CorruptMessageError struct {
	Session SessionID
	Seq     Seq
	Err     error
}

// Error names the session and the message and says how to go on.
func (e *CorruptMessageError) Error() string {
	return fmt.Sprintf("queue: message %d of session %d cannot be read (%v): delete it to let the session go on", e.Seq, e.Session, e.Err)
}

// Unwrap gives the decoding error, which matches ErrCorrupt.
func (e *CorruptMessageError) Unwrap() error { return e.Err }
