// Package client calls the admin API of a running server, as the command line
// does.
//
//	c, err := client.Find(client.Options{Data: "linkstead-data"})
//	devices, err := c.Devices(ctx, "a1ji0qFv6Jf", "", "", 100)
//
// An error of the server is an *admin.Error; a server that cannot be reached is an
// *UnreachableError.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/linkstead/linkstead/internal/admin"
)

// Options say where the server is.
type Options struct {
	// Server is "host:port" or "http://host:port" of the admin API; if empty it is
	// read from admin.json in Data.
	Server string
	// Token is the bearer token; if empty it is read from the token file in Data.
	Token string
	// Data is the server's data directory.
	Data string
	// User is noted in the server's audit log.
	User string
}

// Client calls one server. All methods may be called from any goroutine.
type Client struct {
	base  string
	token string
	user  string
	http  *http.Client
}

// UnreachableError says that no server answers.
type UnreachableError struct {
	Where string // what was tried
	Err   error
}

// Error says where no server answers, and why.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no server answers at %s: %v", e.Where, e.Err)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// errNotRunning is the cause if there is no admin.json.
var errNotRunning = errors.New("none is running with this data directory")

// Find makes a client. It reads the server's files but does not connect.
func Find(o Options) (*Client, error) {
	tokenFile := filepath.Join(o.Data, "admin.token")
	if o.Server == "" {
		address, file, err := admin.ReadAddress(filepath.Join(o.Data, "admin.json"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &UnreachableError{Where: o.Data, Err: errNotRunning}
		}
		if err != nil {
			return nil, &UnreachableError{Where: o.Data, Err: err}
		}
		o.Server, tokenFile = address, file
	}
	if o.Token == "" {
		token, err := admin.ReadToken(tokenFile)
		if err != nil {
			return nil, fmt.Errorf("%w; name the server's data directory or give its token", err)
		}
		o.Token = token
	}
	base := strings.TrimRight(o.Server, "/")
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" {
		return nil, fmt.Errorf("%q is no address of a server; write host:port or http://host:port", o.Server)
	}
	return &Client{base: base, token: o.Token, user: o.User, http: &http.Client{
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, TLSHandshakeTimeout: 5 * time.Second},
		// The token must not follow a redirection to somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// maxAnswer is the largest answer that is read, in bytes.
const maxAnswer = 256 << 20

// open sends a request with v as JSON (bytes and readers as they are, nothing if nil) and
// returns the answer if it is no error.
func (c *Client) open(ctx context.Context, method, path string, v any) (*http.Response, error) {
	var body io.Reader
	switch v := v.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(v)
	case io.Reader:
		body = v
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("the request cannot be written as JSON: %w", err)
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	if c.user != "" {
		r.Header.Set(admin.UserHeader, c.user)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return nil, &UnreachableError{Where: c.base, Err: err}
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var failure struct {
		Error *admin.Error `json:"error"`
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if json.Unmarshal(b, &failure) != nil || failure.Error == nil {
		return nil, fmt.Errorf("%s is no linkstead server: it answers %s", c.base, resp.Status)
	}
	return nil, failure.Error
}

// call sends a request and reads its answer into out, a *[]byte for the bytes as
// they are, nil for none.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	resp, err := c.open(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return &UnreachableError{Where: c.base, Err: fmt.Errorf("the answer broke off: %w", err)}
	}
	switch out := out.(type) {
	case nil:
		return nil
	case *[]byte:
		*out = b
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("the answer of %s cannot be read: %w", c.base, err)
	}
	return nil
}

// path joins escaped elements behind /v1.
func path(elements ...string) string {
	var b strings.Builder
	b.WriteString("/v1")
	for _, e := range elements {
		b.WriteString("/" + url.PathEscape(e))
	}
	return b.String()
}

// query appends the parameters that are not empty.
func query(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
