package client

import (
	"context"
	"strconv"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/platform"
)

// Products lists the products behind key after, at most limit (100 if 0).
func (c *Client) Products(ctx context.Context, after string, limit int) ([]platform.Product, error) {
	var out struct {
		Products []platform.Product `json:"products"`
	}
	err := c.call(ctx, "GET", query(path("products"), "after", after, "limit", positive(limit)), nil, &out)
	return out.Products, err
}

// Product returns one product.
func (c *Client) Product(ctx context.Context, pk string) (out admin.ProductInfo, err error) {
	err = c.call(ctx, "GET", path("products", pk), nil, &out)
	return out, err
}

// CreateProduct creates a product; the result carries its secret, this once.
func (c *Client) CreateProduct(ctx context.Context, in platform.Product) (out platform.Product, err error) {
	err = c.call(ctx, "POST", path("products"), in, &out)
	return out, err
}

// UpdateProduct changes the members named in changes, by their JSON names.
func (c *Client) UpdateProduct(ctx context.Context, pk string, changes map[string]any) (out admin.ProductInfo, err error) {
	err = c.call(ctx, "PATCH", path("products", pk), changes, &out)
	return out, err
}

// RevealProductSecret returns a ProductSecret; the reason is kept in the audit log.
func (c *Client) RevealProductSecret(ctx context.Context, pk, reason string) (string, error) {
	var out struct {
		ProductSecret string `json:"productSecret"`
	}
	err := c.call(ctx, "POST", path("products", pk, "secret"), map[string]string{"reason": reason}, &out)
	return out.ProductSecret, err
}

// DeleteProduct deletes a product, with its devices if force is set.
func (c *Client) DeleteProduct(ctx context.Context, pk string, force bool) error {
	p := path("products", pk)
	if force {
		p += "?force=1"
	}
	return c.call(ctx, "DELETE", p, nil, nil)
}

// ImportModel makes a TSL document the product's thing model.
func (c *Client) ImportModel(ctx context.Context, pk string, doc []byte) (version int, err error) {
	var out struct {
		Version int `json:"version"`
	}
	err = c.call(ctx, "PUT", path("products", pk, "model"), doc, &out)
	return out.Version, err
}

// ExportModel returns the product's thing model.
func (c *Client) ExportModel(ctx context.Context, pk string) (doc []byte, err error) {
	err = c.call(ctx, "GET", path("products", pk, "model"), nil, &doc)
	return doc, err
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}
