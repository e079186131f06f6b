package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"modernc.org/sqlite"
)

// ErrorKind says what kind of failure an Error is. The set is closed, so that
// callers can map it to wire codes.
type ErrorKind uint8

// The kinds of failure.
const (
	KindInternal   ErrorKind = iota // a failure of the database that fits no other kind
	KindNotFound                    // the record does not exist
	KindExists                      // a record with that key exists already
	KindConflict                    // the record's state forbids the operation
	KindInvalid                     // an argument is unusable
	KindLimit                       // a documented limit would be exceeded
	KindOverloaded                  // too much is waiting to be committed
	KindClosed                      // the store is closed
	KindFull                        // the disk (or its quota) is full
	KindCorrupt                     // the database file is damaged or not a database
	KindNewer                       // the database was made by a newer linkstead
	KindWrongKey                    // the master key does not open this database
	KindLocked                      // another process has the directory open
)

var kindNames = [...]string{
	KindInternal:   "database failure",
	KindNotFound:   "not found",
	KindExists:     "exists already",
	KindConflict:   "conflict",
	KindInvalid:    "invalid",
	KindLimit:      "limit exceeded",
	KindOverloaded: "overloaded",
	KindClosed:     "store is closed",
	KindFull:       "disk is full",
	KindCorrupt:    "database is damaged",
	KindNewer:      "database was made by a newer version",
	KindWrongKey:   "wrong master key",
	KindLocked:     "in use by another process",
}

// String returns the kind as words for people.
func (k ErrorKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown failure"
}

// Error is what every method of this package returns when it fails. It never
// carries a secret.
type Error struct {
	Kind ErrorKind
	Op   string // what was attempted: "create device"
	Key  string // on which record: "a1ji0qFv6Jf/STC15"
	Hint string // what to do next, one sentence, or ""
	Err  error  // the cause, or nil
}

// Error returns "op key: kind: cause; hint".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Key != "" {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(e.Key)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(e.Kind.String())
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the sentinel of this error's kind.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Op == "" && t.Key == "" && t.Err == nil
}

// Sentinels for errors.Is, one for each kind a caller is expected to handle.
var (
	ErrNotFound   error = &Error{Kind: KindNotFound}
	ErrExists     error = &Error{Kind: KindExists}
	ErrConflict   error = &Error{Kind: KindConflict}
	ErrInvalid    error = &Error{Kind: KindInvalid}
	ErrLimit      error = &Error{Kind: KindLimit}
	ErrOverloaded error = &Error{Kind: KindOverloaded, Hint: "the disk is slower than the devices; send less or raise the backlog"}
	ErrClosed     error = &Error{Kind: KindClosed}
	ErrFull       error = &Error{Kind: KindFull}
	ErrCorrupt    error = &Error{Kind: KindCorrupt}
	ErrNewer      error = &Error{Kind: KindNewer}
	ErrWrongKey   error = &Error{Kind: KindWrongKey}
	ErrLocked     error = &Error{Kind: KindLocked}
)

// Result codes of SQLite that have a kind of their own (the low byte of an
// extended code).
const (
	sqliteCorrupt   = 11
	sqliteFull      = 13
	sqliteNotADB    = 26
	sqlitePrimary   = 0xff
	sqliteUnique    = 19 | 8<<8
	sqlitePrimaryKy = 19 | 6<<8
)

// wrap turns any failure into an *Error that says what was attempted on which
// record. An *Error that already knows passes unchanged; so do a caller's own
// cancellation and nil.
func wrap(op, key string, err error) error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	e := &Error{Op: op, Key: key, Err: err}
	var se *sqlite.Error
	switch {
	case errors.Is(err, sql.ErrNoRows):
		e.Kind, e.Err = KindNotFound, nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Hint = "the caller gave up before it was done"
	case errors.As(err, &se):
		switch code := se.Code(); {
		case code == sqliteUnique || code == sqlitePrimaryKy:
			e.Kind = KindExists
		case code&sqlitePrimary == sqliteCorrupt, code&sqlitePrimary == sqliteNotADB:
			e.Kind = KindCorrupt
			e.Hint = "stop linkstead, keep the file, and restore a backup or run `sqlite3 records.db .recover`"
		case code&sqlitePrimary == sqliteFull:
			e.Kind = KindFull
			e.Hint = "free space on the data directory's disk; writing resumes by itself"
		}
	}
	return e
}
