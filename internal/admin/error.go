package admin

import (
	"errors"
	"net/http"

	"github.com/linkstead/linkstead/internal/platform"
)

// Code says what kind of failure an Error is. The set is closed and stable.
type Code string

// The codes, each with its HTTP status.
const (
	CodeUnauthorized Code = "unauthorized"       // 401: token missing or wrong
	CodeForbidden    Code = "forbidden"          // 403: called by a foreign name
	CodeNotFound     Code = "not_found"          // 404: no such product, device, route …
	CodeMethod       Code = "method_not_allowed" // 405
	CodeInvalid      Code = "invalid"            // 400: the request cannot be right
	CodeTooLarge     Code = "too_large"          // 413: the request has too many bytes
	CodeExists       Code = "exists"             // 409: is there already
	CodeConflict     Code = "conflict"           // 409: its state forbids it
	CodeOffline      Code = "offline"            // 409: the device is not connected
	CodeTimeout      Code = "timeout"            // 504: the device did not answer in time
	CodeBusy         Code = "busy"               // 503: too much waits already
	CodeClosed       Code = "closed"             // 503: the server is stopping
	CodeInternal     Code = "internal"           // 500
)

// Error is what a request is answered with when it fails.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // what to do next
	// Alink is the cloud's code of the same failure, 0 if it has none.
	Alink int `json:"alink,omitempty"`
}

// Error returns the message, and the hint if there is one.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

func invalid(message, hint string) error {
	return &Error{Code: CodeInvalid, Message: message, Hint: hint}
}

func statusOf(c Code) int {
	switch c {
	case CodeUnauthorized:
		return http.StatusUnauthorized
	case CodeForbidden:
		return http.StatusForbidden
	case CodeNotFound:
		return http.StatusNotFound
	case CodeMethod:
		return http.StatusMethodNotAllowed
	case CodeInvalid:
		return http.StatusBadRequest
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeExists, CodeConflict, CodeOffline:
		return http.StatusConflict
	case CodeTimeout:
		return http.StatusGatewayTimeout
	case CodeBusy, CodeClosed:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// errorOf makes an Error of any error of a handler.
func errorOf(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Error{Code: CodeTooLarge, Message: "the request is larger than 8 MiB", Hint: "send it in parts"}
	}
	e := &Error{Code: codeOf(platform.KindOf(err)), Message: err.Error(), Alink: int(platform.CodeOf(err))}
	if pe, ok := errors.AsType[*platform.Error](err); ok && pe == err {
		e.Message, e.Hint = pe.Message, pe.Hint
	}
	return e
}

func codeOf(k platform.ErrorKind) Code {
	switch k {
	case platform.KindNotFound:
		return CodeNotFound
	case platform.KindInvalid:
		return CodeInvalid
	case platform.KindExists:
		return CodeExists
	case platform.KindConflict:
		return CodeConflict
	case platform.KindOffline:
		return CodeOffline
	case platform.KindTimeout:
		return CodeTimeout
	case platform.KindClosed:
		return CodeClosed
	case platform.KindBusy:
		return CodeBusy
	}
	return CodeInternal
}

// fail answers with an error. Failures of the server itself are logged.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody waits for the answer
	}
	e := errorOf(err)
	if e.Code == CodeInternal {
		h.Logger.Error("an admin request failed", "method", r.Method, "path", clip(r.URL.Path), "error", err)
	}
	answerStatus(w, statusOf(e.Code), map[string]*Error{"error": e})
}

// clip keeps foreign text in messages short.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
