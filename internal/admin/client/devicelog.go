package client

import (
	"context"
	"strconv"

	"github.com/linkstead/linkstead/internal/platform"
)

// DeviceLog returns the newest lines of a device's log, newest first, with ids
// smaller than before (0: all).
func (c *Client) DeviceLog(ctx context.Context, pk, dn string, before int64, limit int) ([]platform.LogLine, error) {
	var out struct {
		Lines []platform.LogLine `json:"lines"`
	}
	from := ""
	if before > 0 {
		from = strconv.FormatInt(before, 10)
	}
	err := c.call(ctx, "GET", query(path("devices", pk, dn, "log"), "before", from, "limit", positive(limit)), nil, &out)
	return out.Lines, err
}

// SwitchLog tells a device to report its log, or not to.
func (c *Client) SwitchLog(ctx context.Context, pk, dn string, on bool) error {
	return c.call(ctx, "POST", path("devices", pk, dn, "log", "switch"), map[string]bool{"on": on}, nil)
}
