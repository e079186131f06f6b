package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/platform"
)

// Status returns how the server is.
func (c *Client) Status(ctx context.Context) (out admin.Status, err error) {
	err = c.call(ctx, "GET", path("status"), nil, &out)
	return out, err
}

// Reload has the server read its configuration again.
func (c *Client) Reload(ctx context.Context) (out admin.Reloaded, err error) {
	err = c.call(ctx, "POST", path("reload"), nil, &out)
	return out, err
}

// Session returns what the server keeps of a client.
func (c *Client) Session(ctx context.Context, key string) (out broker.SessionInfo, err error) {
	err = c.call(ctx, "GET", path("sessions", key), nil, &out)
	return out, err
}

// Refusals returns the latest refused logins, newest first.
func (c *Client) Refusals(ctx context.Context) ([]platform.Refusal, error) {
	var out struct {
		Refusals []platform.Refusal `json:"refusals"`
	}
	err := c.call(ctx, "GET", path("refusals"), nil, &out)
	return out.Refusals, err
}

// Drops returns the messages that were not delivered.
func (c *Client) Drops(ctx context.Context) (out admin.Drops, err error) {
	err = c.call(ctx, "GET", path("drops"), nil, &out)
	return out, err
}

// Trace returns what became of a device's messages, oldest first: those with ids
// greater than after, from sinceMS (Unix milliseconds) on, the newest limit (0: all).
func (c *Client) Trace(ctx context.Context, pk, dn string, after uint64, sinceMS int64, limit int) ([]admin.TraceEntry, error) {
	var out struct {
		Entries []admin.TraceEntry `json:"entries"`
	}
	err := c.call(ctx, "GET", query(path("devices", pk, dn, "trace"), "after", strconv.FormatUint(after, 10),
		"since", strconv.FormatInt(sinceMS, 10), "limit", positive(limit)), nil, &out)
	return out.Entries, err
}

// Audit returns what was done, newest first.
func (c *Client) Audit(ctx context.Context, limit int) ([]admin.AuditEntry, error) {
	var out struct {
		Entries []admin.AuditEntry `json:"entries"`
	}
	err := c.call(ctx, "GET", query(path("audit"), "limit", positive(limit)), nil, &out)
	return out.Entries, err
}

// Users lists the users behind name after, at most limit (100 if 0).
func (c *Client) Users(ctx context.Context, after string, limit int) ([]platform.User, error) {
	var out struct {
		Users []platform.User `json:"users"`
	}
	err := c.call(ctx, "GET", query(path("users"), "after", after, "limit", positive(limit)), nil, &out)
	return out.Users, err
}

// PutUser creates or replaces a user.
func (c *Client) PutUser(ctx context.Context, name string, in admin.UserRequest) error {
	return c.call(ctx, "PUT", path("users", name), in, nil)
}

// DeleteUser deletes a user.
func (c *Client) DeleteUser(ctx context.Context, name string) error {
	return c.call(ctx, "DELETE", path("users", name), nil, nil)
}

// TailOptions say what Tail watches: a device ("pk/dn"), a session, or all.
type TailOptions struct {
	Device, Session string
	Hex, Explain    bool
}

// Tail watches packets and calls each with every one until ctx ends (then it
// returns nil), the server ends (then an UnreachableError), or each returns an
// error. started, if not nil, is called when nothing is missed any more.
func (c *Client) Tail(ctx context.Context, o TailOptions, started func(), each func(admin.Packet) error) error {
	on := func(b bool) string {
		if b {
			return "1"
		}
		return ""
	}
	resp, err := c.open(ctx, "GET", query(path("tail"), "device", o.Device, "session", o.Session, "hex", on(o.Hex), "explain", on(o.Explain)), nil)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if started != nil {
		started()
	}
	d := json.NewDecoder(resp.Body)
	for {
		var p admin.Packet
		if err := d.Decode(&p); err != nil {
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, io.EOF):
				err = errors.New("the server has ended the stream")
			}
			return &UnreachableError{Where: c.base, Err: err}
		}
		if p.Packet == "" {
			continue
		}
		if err := each(p); err != nil {
			return err
		}
	}
}
