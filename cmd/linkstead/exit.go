package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// The exit codes. Scripts depend on them: a number never changes its meaning.
const (
	exitOK          = 0 // done
	exitFailed      = 1 // failed, or the answer is no
	exitUsage       = 2 // called wrongly: flags, arguments, unreadable input on the command line
	exitNotFound    = 3 // a product, device, file of the server … of that name does not exist
	exitUnreachable = 4 // no server answers
	exitRefused     = 5 // the device, or the server on its behalf, refused or did not answer in time
)

// exitError is an error that decides the exit code. Hint, if there is one, says what to do next and is
// printed on a line of its own.
type exitError struct {
	Code int
	Err  error
	Hint string
}

// Error returns the message without the hint.
func (e *exitError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.Err }

// errReported ends a command with exitFailed and without a message: its output has said what is wrong.
var errReported = errors.New("reported")

// usageError says that the command was called wrongly. Its arguments are those of fmt.Errorf.
func usageError(format string, a ...any) error {
	return &exitError{Code: exitUsage, Err: fmt.Errorf(format, a...)}
}

// notFoundError says that what was named does not exist.
func notFoundError(format string, a ...any) error {
	return &exitError{Code: exitNotFound, Err: fmt.Errorf(format, a...)}
}

// unreachableError says that no server answered; hint says how to start or find one.
func unreachableError(hint, format string, a ...any) error {
	return &exitError{Code: exitUnreachable, Err: fmt.Errorf(format, a...), Hint: hint}
}

// refusedError says that a device, or the server on its behalf, refused or did not answer in time.
func refusedError(format string, a ...any) error {
	return &exitError{Code: exitRefused, Err: fmt.Errorf(format, a...)}
}

// withHint adds to err what to do next, and keeps its exit code. It returns nil for a nil error.
func withHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &exitError{Code: exitCodeOf(err), Err: err, Hint: hint}
}

// exitCodeOf returns the exit code err stands for: that of the exitError in its chain, otherwise exitFailed.
func exitCodeOf(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.Code
	}
	return exitFailed
}

// report prints err once, as "linkstead: …" with its hint below, and returns the exit code. This is the only
// place that prints errors.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errReported) {
		return exitCodeOf(err)
	}
	fmt.Fprintf(w, "linkstead: %s\n", printable(strings.TrimSpace(err.Error())))
	if e, ok := errors.AsType[*exitError](err); ok && e.Hint != "" {
		fmt.Fprintf(w, "  %s\n", e.Hint)
	}
	return exitCodeOf(err)
}
