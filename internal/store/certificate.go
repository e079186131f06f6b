package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// MaxCertificates is how many certificates one device may log in with, so that a
// new one can be put on it before the old one ends.
const MaxCertificates = 5

// DeviceCertificate is a client certificate that a device logs in with.
type DeviceCertificate struct {
	Fingerprint string // SHA-256 of the certificate in DER, lower-case hex
	DeviceID    int64
	Subject     string
	NotAfter    time.Time
	CreatedAt   time.Time
}

// AddCertificate lets a device log in with a certificate. It fails with ErrExists
// if a device has it already.
func (s *Store) AddCertificate(ctx context.Context, c DeviceCertificate) error {
	const op = "add certificate"
	if len(c.Fingerprint) != 64 || len(c.Subject) > 1024 {
		return &Error{Kind: KindInvalid, Op: op, Key: c.Fingerprint, Err: errors.New("a fingerprint has 64 hexadecimal digits, a subject at most 1024 bytes")}
	}
	return s.write(ctx, op, c.Fingerprint, func(t *tx) error {
		n, err := t.exec(ctx, `insert into device_certificate (fingerprint, device, subject, not_after, created_at)
			values ($1, $2, $3, $4, $5) on conflict (fingerprint) do nothing`,
			c.Fingerprint, c.DeviceID, c.Subject, toMS(c.NotAfter), s.now())
		if err == nil && n == 0 {
			err = &Error{Kind: KindExists, Op: op, Key: c.Fingerprint, Hint: "remove it from the device that has it"}
		}
		if err != nil {
			return err
		}
		count, err := t.int64s(ctx, `select count(*) from device_certificate where device = $1`, c.DeviceID)
		if err == nil && count[0] > MaxCertificates {
			err = &Error{Kind: KindLimit, Op: op, Key: c.Fingerprint, Err: fmt.Errorf("the device has %d certificates", count[0]-1),
				Hint: fmt.Sprintf("a device has at most %d; remove an old one", MaxCertificates)}
		}
		return err
	})
}

// DeviceOfCertificate returns the device that logs in with a certificate, or
// ErrNotFound.
func (s *Store) DeviceOfCertificate(ctx context.Context, fingerprint string) (Device, error) {
	return s.oneDevice(ctx, fingerprint,
		`select `+deviceColumns+` from device_certificate c join device d on d.id = c.device where c.fingerprint = $1`, fingerprint)
}

// Certificates returns the certificates of a device, oldest first.
func (s *Store) Certificates(ctx context.Context, deviceID int64) ([]DeviceCertificate, error) {
	const op = "list certificates"
	key := fmt.Sprint("of device ", deviceID)
	rows, err := s.r.rows(ctx, `select fingerprint, device, subject, not_after, created_at from device_certificate
		where device = $1 order by created_at, fingerprint`, deviceID)
	if err != nil {
		return nil, wrap(op, key, err)
	}
	defer rows.Close()
	var out []DeviceCertificate
	for rows.Next() {
		var c DeviceCertificate
		var after, created int64
		if err := rows.Scan(&c.Fingerprint, &c.DeviceID, &c.Subject, &after, &created); err != nil {
			return nil, wrap(op, key, err)
		}
		c.NotAfter, c.CreatedAt = fromMS(after), fromMS(created)
		out = append(out, c)
	}
	return out, wrap(op, key, rows.Err())
}

// RemoveCertificate takes a certificate from a device. It fails with ErrNotFound if
// the device does not have it.
func (s *Store) RemoveCertificate(ctx context.Context, deviceID int64, fingerprint string) error {
	const op = "remove certificate"
	return s.write(ctx, op, fingerprint, func(t *tx) error {
		n, err := t.exec(ctx, `delete from device_certificate where device = $1 and fingerprint = $2`, deviceID, fingerprint)
		return found(n, err, op, fingerprint)
	})
}
