package platform

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/mqtt"
)

// A device with a client certificate logs in without a user name (spec/connect.md
// §9.2). The certificate is known by its SHA-256: who signed it does not matter,
// because somebody with the right to do so has named the very certificate. That
// the device has its key the TLS handshake has proven.

// Fingerprint names a certificate: SHA-256 of its DER form, lower-case hex.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// loginCertificate checks the login of a device with its client certificate.
func (p *Platform) loginCertificate(r *broker.LoginRequest, done func(*broker.Admission, *broker.Refusal)) {
	leaf := r.Certificates[0]
	print := Fingerprint(leaf)
	identity := clip("certificate " + leaf.Subject.String())
	refuse := func(cause string) {
		done(nil, &broker.Refusal{Code: mqtt.BadUserNameOrPassword, Identity: identity, Cause: cause})
	}
	id, err := alink.ParseClientID(r.ClientID)
	if err != nil {
		done(nil, &broker.Refusal{Code: mqtt.ClientIdentifierNotValid, Identity: identity, Cause: err.Error()})
		return
	}
	switch now := p.now(); {
	case now.After(leaf.NotAfter):
		refuse(fmt.Sprintf("the certificate ended on %s", leaf.NotAfter.UTC().Format(time.DateOnly)))
		return
	case now.Before(leaf.NotBefore):
		refuse(fmt.Sprintf("the certificate begins on %s", leaf.NotBefore.UTC().Format(time.DateOnly)))
		return
	}
	queued := later(p.lookup, func() {
		d, err := p.store.DeviceOfCertificate(p.ctx, print)
		var e *deviceEntry
		if err == nil {
			e, err = p.cachedEntry(d.ProductKey, d.Name)
		}
		switch {
		case errors.Is(err, store.ErrNotFound):
			refuse("no device has the certificate with SHA-256 " + print + "; give it to one: linkstead device certificate add PRODUCTKEY/DEVICENAME FILE")
			return
		case err != nil:
			p.logger.Error("a certificate could not be looked up", "identity", identity, "error", err)
			done(nil, &broker.Refusal{Code: mqtt.ServerUnavailable, Identity: identity, Cause: "the certificate could not be looked up: " + err.Error()})
			return
		}
		a, why := p.admit(e, d.ProductKey, d.Name, id.Ext())
		if a != nil {
			a.Principal.(*device).certified = true
		}
		done(a, why)
	})
	if !queued {
		done(nil, busy(identity))
	}
}

// tellIdentity sends a device that has logged in with a certificate who it is.
func (p *Platform) tellIdentity(d *device) {
	p.broker.Publish(broker.Message{Topic: alink.Topic{Kind: alink.ExtIdentity}.String(), To: d.key, Publisher: "platform",
		Payload: append(registrationOf(d.pk, d.dn), '}')}, nil)
}

// Certificate is a client certificate as it is managed. Times are Unix
// milliseconds.
type Certificate struct {
	Fingerprint string `json:"fingerprint"`
	Subject     string `json:"subject"`
	NotAfter    int64  `json:"notAfter"`
	CreatedAt   int64  `json:"createdAt"`
}

// AddCertificate lets a device log in with a certificate, given in PEM form.
func (p *Platform) AddCertificate(ctx context.Context, who, pk, dn string, text []byte) (Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return Certificate{}, &Error{Kind: KindInvalid, Message: "the text has no certificate in PEM form", Hint: "it begins with -----BEGIN CERTIFICATE-----"}
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Certificate{}, &Error{Kind: KindInvalid, Message: "the certificate cannot be read: " + err.Error()}
	}
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return Certificate{}, err
	}
	rec := store.DeviceCertificate{Fingerprint: Fingerprint(c), DeviceID: d.ID, Subject: clip(c.Subject.String()), NotAfter: c.NotAfter}
	if err := p.store.AddCertificate(ctx, rec); err != nil {
		return Certificate{}, err
	}
	p.audit(ctx, who, "device.certificate.add", pk+"/"+dn, rec.Fingerprint)
	return Certificate{Fingerprint: rec.Fingerprint, Subject: rec.Subject, NotAfter: millis(rec.NotAfter), CreatedAt: p.now().UnixMilli()}, nil
}

// Certificates returns the certificates of a device, oldest first.
func (p *Platform) Certificates(ctx context.Context, pk, dn string) ([]Certificate, error) {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	recs, err := p.store.Certificates(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	out := make([]Certificate, 0, len(recs))
	for _, r := range recs {
		out = append(out, Certificate{Fingerprint: r.Fingerprint, Subject: r.Subject, NotAfter: millis(r.NotAfter), CreatedAt: millis(r.CreatedAt)})
	}
	return out, nil
}

// RemoveCertificate takes a certificate from a device. Its connection, which may
// stand on it, is closed.
func (p *Platform) RemoveCertificate(ctx context.Context, who, pk, dn, fingerprint string) error {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return err
	}
	if err := p.store.RemoveCertificate(ctx, d.ID, fingerprint); err != nil {
		return err
	}
	p.changed(pk, dn)
	p.broker.Disconnect(DeviceKey(pk, dn))
	p.audit(ctx, who, "device.certificate.remove", pk+"/"+dn, fingerprint)
	return nil
}
