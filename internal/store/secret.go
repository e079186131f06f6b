package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a DeviceSecret or ProductSecret: an opaque ASCII string whose bytes
// are an HMAC key. It cannot be printed, logged or marshalled by accident:
// everything but Reveal shows "***".
type Secret string

const hidden = "***"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String returns "***".
func (s Secret) String() string { return hidden }

// Format prints "***" for every verb, %x and %#v included.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// LogValue logs "***".
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText marshals "***", in JSON as elsewhere.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Credentials is what a login is checked against.
type Credentials struct {
	Device          Device
	Secret          Secret // DeviceSecret
	ProductSecret   Secret
	NodeType        NodeType
	DynamicRegister bool // the product lets devices fetch their secret by its own
}

// Credentials returns a device with its secrets, for a login. It is one read,
// not audited. It fails with ErrNotFound for a device that does not exist, and
// returns a disabled device as it is (Device.Enabled is false).
func (s *Store) Credentials(ctx context.Context, productKey, name string) (Credentials, error) {
	const op = "read credentials"
	key := productKey + "/" + name
	row, err := s.r.row(ctx, `select `+deviceColumns+`, d.secret, p.secret, p.node_type, p.dynamic_register
		from device d join product p on p.product_key = d.product_key
		where d.product_key = $1 and d.name = $2`, productKey, name)
	if err != nil {
		return Credentials{}, wrap(op, key, err)
	}
	var (
		c              Credentials
		scan           deviceScan
		sealed, sealpk []byte
		dynamic        int64
	)
	if err := row.Scan(append(scan.fields(), &sealed, &sealpk, &c.NodeType, &dynamic)...); err != nil {
		return Credentials{}, wrap(op, key, err)
	}
	c.Device, c.DynamicRegister = scan.device(), dynamic != 0
	if c.Secret, err = s.vault.open(deviceIdentity(productKey, name), sealed); err != nil {
		return Credentials{}, wrap(op, key, err)
	}
	if c.ProductSecret, err = s.vault.open(productIdentity(productKey), sealpk); err != nil {
		return Credentials{}, wrap(op, key, err)
	}
	return c, nil
}

// ProductKeys is what a registration with a product's secret is checked against.
type ProductKeys struct {
	Secret          Secret // ProductSecret
	NodeType        NodeType
	DynamicRegister bool
	AutoRegister    bool
}

// ProductKeys returns a product with its secret, for a registration, or
// ErrNotFound. It is not audited: the secret goes nowhere.
func (s *Store) ProductKeys(ctx context.Context, productKey string) (ProductKeys, error) {
	const op = "read product keys"
	row, err := s.r.row(ctx, `select secret, node_type, dynamic_register, auto_register from product where product_key = $1`, productKey)
	if err != nil {
		return ProductKeys{}, wrap(op, productKey, err)
	}
	var (
		k             ProductKeys
		sealed        []byte
		dynamic, auto int64
	)
	if err := row.Scan(&sealed, &k.NodeType, &dynamic, &auto); err != nil {
		return ProductKeys{}, wrap(op, productKey, err)
	}
	k.DynamicRegister, k.AutoRegister = dynamic != 0, auto != 0
	k.Secret, err = s.vault.open(productIdentity(productKey), sealed)
	return k, wrap(op, productKey, err)
}

// RevealSecret returns a DeviceSecret to be shown to who, for the reason why.
// An audit entry "device.secret.reveal" is written first, in a transaction that
// is committed before the secret is returned: no entry, no secret.
func (s *Store) RevealSecret(ctx context.Context, productKey, name, who, why string) (string, error) {
	const op = "reveal device secret"
	key := productKey + "/" + name
	return s.reveal(ctx, op, key, "device.secret.reveal", who, why, deviceIdentity(productKey, name),
		`select secret from device where product_key = $1 and name = $2`, productKey, name)
}

// RevealProductSecret is RevealSecret for a ProductSecret; the audit entry is
// "product.secret.reveal".
func (s *Store) RevealProductSecret(ctx context.Context, productKey, who, why string) (string, error) {
	return s.reveal(ctx, "reveal product secret", productKey, "product.secret.reveal", who, why,
		productIdentity(productKey), `select secret from product where product_key = $1`, productKey)
}

func (s *Store) reveal(ctx context.Context, op, key, action, who, why string, identity []byte, query string, args ...any) (string, error) {
	if who == "" {
		return "", &Error{Kind: KindInvalid, Op: op, Key: key, Err: errors.New("nobody asked for it"),
			Hint: "name who is to see the secret"}
	}
	var secret Secret
	err := s.write(ctx, op, key, func(t *tx) error {
		var sealed []byte
		row, err := t.row(ctx, query, args...)
		if err != nil {
			return err
		}
		if err := row.Scan(&sealed); err != nil {
			return err
		}
		if secret, err = s.vault.open(identity, sealed); err != nil {
			return err
		}
		return s.audit(ctx, t, who, action, key, why)
	})
	if err != nil {
		return "", err
	}
	return secret.Reveal(), nil
}

func deviceIdentity(productKey, name string) []byte {
	return []byte("device\x00" + productKey + "\x00" + name)
}

func productIdentity(productKey string) []byte { return []byte("product\x00" + productKey) }

// vault seals secrets. A sealed secret is
//
//	version (1 byte, 1) | nonce (12 bytes) | AES-256-GCM ciphertext and tag
//
// with the identity it belongs to as additional data, so that a row copied over
// another device's does not open.
type vault struct{ aead cipher.AEAD }

const sealVersion = 1

func newVault(master []byte) (*vault, error) {
	if len(master) != KeySize {
		return nil, &Error{Kind: KindInvalid, Op: "open store",
			Err:  fmt.Errorf("the master key has %d bytes, not %d", len(master), KeySize),
			Hint: "get one from LoadOrCreateKey"}
	}
	// A derived key: the master may protect other things too.
	key, err := hkdf.Key(sha256.New, master, nil, "linkstead records: secrets", KeySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &vault{aead}, nil
}

func (v *vault) seal(identity []byte, secret Secret) []byte {
	n := v.aead.NonceSize()
	out := make([]byte, 1+n, 1+n+len(secret)+v.aead.Overhead())
	out[0] = sealVersion
	rand.Read(out[1:])
	return v.aead.Seal(out, out[1:1+n], []byte(secret), identity)
}

func (v *vault) open(identity, sealed []byte) (Secret, error) {
	n := v.aead.NonceSize()
	if len(sealed) < 1+n || sealed[0] != sealVersion {
		return "", &Error{Kind: KindCorrupt, Op: "open secret", Err: errors.New("not a sealed secret"),
			Hint: "restore the record from a backup"}
	}
	plain, err := v.aead.Open(nil, sealed[1:1+n], sealed[1+n:], identity)
	if err != nil {
		return "", &Error{Kind: KindWrongKey, Op: "open secret",
			Err:  errors.New("it was sealed with another master key or for another identity"),
			Hint: "restore the key file this database was made with"}
	}
	return Secret(plain), nil
}
