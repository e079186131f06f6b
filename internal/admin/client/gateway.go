package client

import (
	"context"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/platform"
)

// SubDevices lists the sub-devices of a gateway.
func (c *Client) SubDevices(ctx context.Context, pk, dn string) ([]platform.Device, error) {
	var out struct {
		Devices []platform.Device `json:"devices"`
	}
	err := c.call(ctx, "GET", path("gateways", pk, dn, "subs"), nil, &out)
	return out.Devices, err
}

// AddSubDevices makes devices a gateway's sub-devices.
func (c *Client) AddSubDevices(ctx context.Context, pk, dn string, subs []platform.DeviceRef) error {
	return c.call(ctx, "POST", path("gateways", pk, dn, "subs"), admin.SubsRequest{Devices: subs}, nil)
}

// RemoveSubDevice takes a sub-device from its gateway.
func (c *Client) RemoveSubDevice(ctx context.Context, pk, dn string, sub platform.DeviceRef) error {
	return c.call(ctx, "DELETE", path("gateways", pk, dn, "subs", sub.ProductKey, sub.DeviceName), nil, nil)
}

// ConfigureGateway tells a gateway to fetch the configuration of its channels.
func (c *Client) ConfigureGateway(ctx context.Context, pk, dn string, content []byte) (out platform.ModelConfigPushed, err error) {
	err = c.call(ctx, "POST", path("gateways", pk, dn, "config"), content, &out)
	return out, err
}

// NotifySubDevices asks a gateway to add devices.
func (c *Client) NotifySubDevices(ctx context.Context, pk, dn string, in admin.SubsRequest) (out platform.CallResult, err error) {
	err = c.call(ctx, "POST", path("gateways", pk, dn, "notify"), in, &out)
	return out, err
}

// PermitJoin lets devices of a product join a gateway.
func (c *Client) PermitJoin(ctx context.Context, pk, dn string, in admin.PermitRequest) (out platform.CallResult, err error) {
	err = c.call(ctx, "POST", path("gateways", pk, dn, "permit"), in, &out)
	return out, err
}

// Bootstrap tells a device to read its endpoint again.
func (c *Client) Bootstrap(ctx context.Context, pk, dn string, in admin.CallRequest) (out platform.CallResult, err error) {
	err = c.call(ctx, "POST", path("devices", pk, dn, "bootstrap"), in, &out)
	return out, err
}

// ResetDevice lets a device register once more.
func (c *Client) ResetDevice(ctx context.Context, pk, dn string) error {
	return c.call(ctx, "POST", path("devices", pk, dn, "reset"), nil, nil)
}
