package client

import "context"

// PutScript makes a text the script of a product.
func (c *Client) PutScript(ctx context.Context, pk string, source []byte) error {
	return c.call(ctx, "PUT", path("products", pk, "script"), source, nil)
}

// Script returns the script of a product, "" if it has none.
func (c *Client) Script(ctx context.Context, pk string) (string, error) {
	var out struct {
		Script string `json:"script"`
	}
	err := c.call(ctx, "GET", path("products", pk, "script"), nil, &out)
	return out.Script, err
}

// DeleteScript removes the script of a product.
func (c *Client) DeleteScript(ctx context.Context, pk string) error {
	return c.call(ctx, "DELETE", path("products", pk, "script"), nil, nil)
}
