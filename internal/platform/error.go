package platform

import (
	"errors"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/tsl"
)

// ErrorKind says what kind of failure an Error is.
type ErrorKind string

// The kinds of failure.
const (
	KindNotFound ErrorKind = "not_found"
	KindInvalid  ErrorKind = "invalid"
	KindExists   ErrorKind = "exists"
	KindConflict ErrorKind = "conflict"
	KindOffline  ErrorKind = "offline"
	KindTimeout  ErrorKind = "timeout"
	KindClosed   ErrorKind = "closed"
	KindBusy     ErrorKind = "busy"
	KindInternal ErrorKind = "internal"
)

// Error is a failure of a management operation.
type Error struct {
	Kind    ErrorKind
	Code    alink.Code // the cloud's code, 0 if it has none
	Message string
	Hint    string // what to do next, or ""
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Message + "; " + e.Hint
	}
	return e.Message
}

// Is makes errors.Is compare kinds.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Message == ""
}

// Sentinels for errors.Is.
var (
	ErrOffline  error = &Error{Kind: KindOffline}
	ErrTimeout  error = &Error{Kind: KindTimeout}
	ErrNotFound error = &Error{Kind: KindNotFound}
	ErrInvalid  error = &Error{Kind: KindInvalid}
	ErrClosed   error = &Error{Kind: KindClosed}
)

// KindOf classifies any error that a management operation returns.
func KindOf(err error) ErrorKind {
	var e *Error
	var problem *tsl.Problem
	var parse *tsl.ParseError
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.As(err, &problem), errors.As(err, &parse), errors.Is(err, store.ErrInvalid), errors.Is(err, store.ErrLimit):
		return KindInvalid
	case errors.Is(err, store.ErrNotFound):
		return KindNotFound
	case errors.Is(err, store.ErrExists):
		return KindExists
	case errors.Is(err, store.ErrConflict):
		return KindConflict
	case errors.Is(err, store.ErrOverloaded):
		return KindBusy
	case errors.Is(err, store.ErrClosed):
		return KindClosed
	}
	return KindInternal
}

// CodeOf is the cloud's code of an error, 0 if it has none.
func CodeOf(err error) alink.Code {
	var e *Error
	var problem *tsl.Problem
	switch {
	case errors.As(err, &e):
		return e.Code
	case errors.As(err, &problem):
		return alink.Code(problem.Code)
	}
	return 0
}
