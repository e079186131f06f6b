package client

import (
	"context"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/platform"
)

// RRPC sends a device a request of any bytes and waits for its answer.
func (c *Client) RRPC(ctx context.Context, pk, dn string, in admin.RRPCRequest) (out platform.RRPCResult, err error) {
	err = c.call(ctx, "POST", path("devices", pk, dn, "rrpc"), in, &out)
	return out, err
}

// AccountEvent tells a device that its owner bound, unbound or reset it.
func (c *Client) AccountEvent(ctx context.Context, pk, dn, operation string) error {
	return c.call(ctx, "POST", path("devices", pk, dn, "account"), map[string]string{"operation": operation}, nil)
}

// Broadcast sends a message to the devices of a product.
func (c *Client) Broadcast(ctx context.Context, pk string, in admin.BroadcastRequest) (out admin.BroadcastResult, err error) {
	err = c.call(ctx, "POST", path("products", pk, "broadcast"), in, &out)
	return out, err
}
