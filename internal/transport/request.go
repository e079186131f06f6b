package transport

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
)

// Devices that are made for the cloud send their few HTTP requests to another host
// of it, but to a port of this server once names are pointed here. So a POST is
// taken where MQTT is: one request, one answer, and the connection ends.

// requestBytes is the most that a request may have, head and body. Nobody has logged
// in, so it is what a CONNECT may have.
const requestBytes = 16 << 10

// requestsAtOnce is how many requests are answered at the same time; further ones
// are told to come back.
const requestsAtOnce = 64

var errAnswered = errors.New("the HTTP request is answered")

// isPost reports whether bytes are the beginning of a POST, as far as they go.
func isPost(b []byte) bool {
	const post = "POST "
	n := min(len(b), len(post))
	return string(b[:n]) == post[:n]
}

// request collects an HTTP request and has it answered.
func (l *Loop) request(c *Conn, buf []byte, start, end int) {
	if c.phase == phaseAnswer || c.flags&flagEnding != 0 {
		return // what follows the request is not looked at
	}
	l.keep(c, buf[start:min(end, start+max(0, requestBytes+1-len(c.kept())))])
	if !isPost(c.kept()) { // the first bytes alone could have been one
		err := &ProtocolError{Reason: annotate(c.kept(), c.kind.Secure() || c.layer != nil)}
		l.server.refused(l, c, RefusedProtocol, err)
		c.Abort(err)
		return
	}
	head := bytes.Index(c.kept(), []byte("\r\n\r\n"))
	if head < 0 {
		if len(c.kept()) > upgradeBytes {
			l.refuseRequest(c, http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("the request head has more than %d bytes", upgradeBytes))
		}
		return
	}
	body, err := contentLength(string(c.kept()[:head]))
	size := head + 4 + body
	switch {
	case err != nil:
		l.refuseRequest(c, http.StatusLengthRequired, err.Error())
		return
	case size > requestBytes:
		l.refuseRequest(c, http.StatusRequestEntityTooLarge, fmt.Sprintf("the request has more than %d bytes", requestBytes))
		return
	case len(c.kept()) < size:
		return
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(bytes.Clone(c.kept()[:size]))))
	if err != nil {
		l.refuseRequest(c, http.StatusBadRequest, err.Error())
		return
	}
	r.RemoteAddr = c.remote.String()
	r.TLS = c.TLSState()
	l.dropKept(c)
	s := l.server
	if s.requests.Add(1) > requestsAtOnce {
		s.requests.Add(-1)
		l.refuseRequest(c, http.StatusServiceUnavailable, "too many requests at the same time")
		return
	}
	c.phase = phaseAnswer
	id := c.id
	s.helpers.Go(func() {
		defer s.requests.Add(-1)
		a := &answer{header: http.Header{}, status: http.StatusOK}
		a.serve(s, r)
		l.Post(answered{c, id, a})
	})
}

// contentLength reads how long a body is from a request head.
func contentLength(head string) (int, error) {
	n, seen := 0, false
	for line := range strings.SplitSeq(head, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		switch value = strings.Trim(value, " \t"); strings.ToLower(name) {
		case "transfer-encoding":
			return 0, errors.New("a body in pieces (Transfer-Encoding) is not taken; send Content-Length")
		case "content-length":
			v, err := strconv.ParseUint(value, 10, 31)
			if err != nil || seen && int(v) != n {
				return 0, errors.New("Content-Length is not one number")
			}
			n, seen = int(v), true
		}
	}
	return n, nil
}

func (l *Loop) refuseRequest(c *Conn, status int, reason string) {
	err := &ProtocolError{Reason: "an HTTP request that cannot be answered: " + reason}
	l.server.refused(l, c, RefusedUpgrade, err)
	c.Write(appendAnswer(nil, status, "text/plain", []byte(reason+"\n")))
	c.Close(err)
}

// answer is what a handler writes, until it is complete.
type answer struct {
	header http.Header
	status int
	body   []byte
}

func (a *answer) serve(s *Server, r *http.Request) {
	defer func() {
		if v := recover(); v != nil {
			s.options.Logger.Error("internal error; the request is answered 500, the server goes on", "in", "HTTP", "remote", r.RemoteAddr, "error", v, "stack", string(debug.Stack()))
			a.status, a.body = http.StatusInternalServerError, nil
		}
	}()
	s.options.HTTP.ServeHTTP(a, r)
}

// Header is the answer's.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader sets the status.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write appends to the body.
func (a *answer) Write(b []byte) (int, error) {
	a.body = append(a.body, b...)
	return len(b), nil
}

// answered takes an answer to the loop of its connection.
type answered struct {
	c  *Conn
	id uint64
	a  *answer
}

// Run writes the answer.
func (t answered) Run(*Loop) {
	c := t.c
	if c.id != t.id || c.phase != phaseAnswer || c.flags&flagEnding != 0 {
		return
	}
	kind := t.a.header.Get("Content-Type")
	if kind == "" {
		kind = "application/json"
	}
	c.Write(appendAnswer(nil, t.a.status, kind, t.a.body))
	c.Close(errAnswered)
}

// appendAnswer appends an answer in the form that small clients read: status line
// HTTP/1.1, exact Content-Length, nothing in pieces (spec/connect.md §11).
func appendAnswer(dst []byte, status int, kind string, body []byte) []byte {
	dst = fmt.Appendf(dst, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
		status, http.StatusText(status), kind, len(body))
	return append(dst, body...)
}
