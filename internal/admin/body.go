package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// bodyTimeout is how long a request may take to arrive, answerTimeout how long an
// answer may take to be read.
const (
	bodyTimeout   = time.Minute
	answerTimeout = time.Minute
)

// readBody reads a request's body, which a slow sender cannot draw out for ever.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout))
	b, err := io.ReadAll(r.Body)
	// Without a deadline again: the server goes on to watch the connection, to see
	// its client go away.
	_ = rc.SetReadDeadline(time.Time{})
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, err
		}
		return nil, invalid("the request did not arrive whole: "+err.Error(), "")
	}
	return b, nil
}

// readJSON reads one JSON document into v. Members that v does not have are
// refused: a misspelt one would be silently without effect.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return invalid("the request needs a JSON document", "")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return invalid("the request's JSON cannot be read: "+err.Error(), "")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("there is something behind the request's JSON document", "")
	}
	return nil
}

// answer writes v as JSON with status 200.
func answer(w http.ResponseWriter, v any) error {
	answerStatus(w, http.StatusOK, v)
	return nil
}

func answerStatus(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		status = http.StatusInternalServerError
		b.Reset()
		b.WriteString(`{"error":{"code":"internal","message":"the answer cannot be written as JSON"}}` + "\n")
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a client that went away is no failure of ours
}

// done answers a request that has nothing to tell.
func done(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// number reads a query parameter; absent is 0.
func number(r *http.Request, name string, most int64) (int64, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, invalid(name+"="+clip(s)+" is not a number from 0 to "+strconv.FormatInt(most, 10), "")
	}
	return n, nil
}

// flag reads a query parameter that is 1 or true, 0, false or absent.
func flag(r *http.Request, name string) (bool, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return false, nil
	}
	v, err := strconv.ParseBool(s)
	if err != nil {
		return false, invalid(name+"="+clip(s)+" is not true or false", "")
	}
	return v, nil
}
