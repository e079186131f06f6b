package client

import (
	"context"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/platform"
)

// Certificates lists the certificates that a device logs in with.
func (c *Client) Certificates(ctx context.Context, pk, dn string) ([]platform.Certificate, error) {
	var out struct {
		Certificates []platform.Certificate `json:"certificates"`
	}
	err := c.call(ctx, "GET", path("devices", pk, dn, "certificates"), nil, &out)
	return out.Certificates, err
}

// AddCertificate lets a device log in with a certificate in PEM form.
func (c *Client) AddCertificate(ctx context.Context, pk, dn, pem string) (out platform.Certificate, err error) {
	err = c.call(ctx, "POST", path("devices", pk, dn, "certificates"), admin.CertificateRequest{PEM: pem}, &out)
	return out, err
}

// RemoveCertificate takes a certificate from a device.
func (c *Client) RemoveCertificate(ctx context.Context, pk, dn, fingerprint string) error {
	return c.call(ctx, "DELETE", path("devices", pk, dn, "certificates", fingerprint), nil, nil)
}
