package client

import (
	"context"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/platform"
)

// Devices lists a product's devices whose names begin with prefix, behind name
// after, at most limit (100 if 0).
func (c *Client) Devices(ctx context.Context, pk, after, prefix string, limit int) ([]platform.Device, error) {
	var out struct {
		Devices []platform.Device `json:"devices"`
	}
	err := c.call(ctx, "GET", query(path("devices"), "product", pk, "after", after, "prefix", prefix, "limit", positive(limit)), nil, &out)
	return out.Devices, err
}

// Device returns one device.
func (c *Client) Device(ctx context.Context, pk, dn string) (out admin.DeviceInfo, err error) {
	err = c.call(ctx, "GET", path("devices", pk, dn), nil, &out)
	return out, err
}

// CreateDevice registers a device; the result carries its secret, this once.
func (c *Client) CreateDevice(ctx context.Context, in platform.NewDevice) (out platform.Device, err error) {
	err = c.call(ctx, "POST", path("devices"), in, &out)
	return out, err
}

// ImportDevices registers up to 10,000 devices; the results are in their order.
func (c *Client) ImportDevices(ctx context.Context, in []platform.NewDevice) ([]platform.Imported, error) {
	var out struct {
		Results []platform.Imported `json:"results"`
	}
	err := c.call(ctx, "POST", path("devices", "import"), map[string]any{"devices": in}, &out)
	return out.Results, err
}

// DeleteDevice deletes a device with its data.
func (c *Client) DeleteDevice(ctx context.Context, pk, dn string) error {
	return c.call(ctx, "DELETE", path("devices", pk, dn), nil, nil)
}

// SetEnabled allows or forbids a device to log in.
func (c *Client) SetEnabled(ctx context.Context, pk, dn string, enabled bool) error {
	action := "disable"
	if enabled {
		action = "enable"
	}
	return c.call(ctx, "POST", path("devices", pk, dn, action), nil, nil)
}

// RevealSecret returns a DeviceSecret; the reason is kept in the audit log.
func (c *Client) RevealSecret(ctx context.Context, pk, dn, reason string) (string, error) {
	var out struct {
		DeviceSecret string `json:"deviceSecret"`
	}
	err := c.call(ctx, "POST", path("devices", pk, dn, "secret"), map[string]string{"reason": reason}, &out)
	return out.DeviceSecret, err
}
