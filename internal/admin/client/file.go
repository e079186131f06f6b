package client

import (
	"context"
	"fmt"
	"io"

	"github.com/linkstead/linkstead/internal/platform"
)

// Files returns the files of a device, ordered by name.
func (c *Client) Files(ctx context.Context, pk, dn string) ([]platform.DeviceFile, error) {
	var out struct {
		Files []platform.DeviceFile `json:"files"`
	}
	err := c.call(ctx, "GET", path("devices", pk, dn, "files"), nil, &out)
	return out.Files, err
}

// File writes the bytes of a device's file to w and returns how many there were.
func (c *Client) File(ctx context.Context, pk, dn, name string, w io.Writer) (int64, error) {
	resp, err := c.open(ctx, "GET", path("devices", pk, dn, "files", name), nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(w, resp.Body)
	if err == nil && resp.ContentLength >= 0 && n != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return n, fmt.Errorf("%s did not come whole: %w", name, err)
	}
	return n, nil
}

// DeleteFile removes a file of a device.
func (c *Client) DeleteFile(ctx context.Context, pk, dn, name string) error {
	return c.call(ctx, "DELETE", path("devices", pk, dn, "files", name), nil, nil)
}
