package client

import (
	"context"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/platform"
)

// Shadow returns a device's shadow.
func (c *Client) Shadow(ctx context.Context, pk, dn string) (out platform.Shadow, err error) {
	err = c.call(ctx, "GET", path("devices", pk, dn, "shadow"), nil, &out)
	return out, err
}

// DesireShadow changes what a device's shadow desires.
func (c *Client) DesireShadow(ctx context.Context, pk, dn string, in admin.ShadowRequest) (out platform.Shadow, err error) {
	err = c.call(ctx, "POST", path("devices", pk, dn, "shadow", "desired"), in, &out)
	return out, err
}

// DeleteShadow removes a device's shadow.
func (c *Client) DeleteShadow(ctx context.Context, pk, dn string) error {
	return c.call(ctx, "DELETE", path("devices", pk, dn, "shadow"), nil, nil)
}
