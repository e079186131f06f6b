package client

import (
	"context"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/platform"
)

type desiredValues struct {
	Values []platform.DesiredValue `json:"values"`
}

// Desired returns what properties of a device should become.
func (c *Client) Desired(ctx context.Context, pk, dn string) ([]platform.DesiredValue, error) {
	var out desiredValues
	err := c.call(ctx, "GET", path("devices", pk, dn, "desired"), nil, &out)
	return out.Values, err
}

// SetDesired says what properties of a device should become.
func (c *Client) SetDesired(ctx context.Context, pk, dn string, in admin.DesiredRequest) ([]platform.DesiredValue, error) {
	var out desiredValues
	err := c.call(ctx, "POST", path("devices", pk, dn, "desired"), in, &out)
	return out.Values, err
}
