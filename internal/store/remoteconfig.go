package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// MaxRemoteConfig is the size of a configuration file in bytes.
const MaxRemoteConfig = 64 << 10

// RemoteConfig is the configuration file of a product's devices.
type RemoteConfig struct {
	ConfigID  string // changes with every change of the content
	Content   []byte
	SHA256    string // hex, lower case
	Enabled   bool
	ChangedAt time.Time
}

// PutRemoteConfig makes content the configuration file of a product.
func (s *Store) PutRemoteConfig(ctx context.Context, productKey string, content []byte) (RemoteConfig, error) {
	const op = "put remote configuration"
	if len(content) == 0 || len(content) > MaxRemoteConfig {
		return RemoteConfig{}, &Error{Kind: KindLimit, Op: op, Key: productKey,
			Err: fmt.Errorf("the file has %d bytes, allowed are 1 to %d", len(content), MaxRemoteConfig)}
	}
	sum := sha256.Sum256(content)
	c := RemoteConfig{ConfigID: randomText(32, hexDigits), Content: content, SHA256: hex.EncodeToString(sum[:]), Enabled: true, ChangedAt: fromMS(s.now())}
	err := s.write(ctx, op, productKey, func(t *tx) error {
		n, err := t.int64s(ctx, `select 1 from product where product_key = $1`, productKey)
		if err == nil && len(n) == 0 {
			err = &Error{Kind: KindNotFound, Op: op, Key: productKey, Err: errors.New("no such product")}
		}
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `insert into remote_config (product_key, config_id, content, sha256, enabled, changed_at) values ($1, $2, $3, $4, 1, $5)
			on conflict (product_key) do update set config_id = excluded.config_id, content = excluded.content, sha256 = excluded.sha256,
			enabled = 1, changed_at = excluded.changed_at`, productKey, c.ConfigID, content, c.SHA256, toMS(c.ChangedAt))
		return err
	})
	return c, err
}

// EnableRemoteConfig switches a product's remote configuration on or off; it fails
// with ErrNotFound if there is no file.
func (s *Store) EnableRemoteConfig(ctx context.Context, productKey string, on bool) error {
	const op = "switch remote configuration"
	return s.write(ctx, op, productKey, func(t *tx) error {
		n, err := t.exec(ctx, `update remote_config set enabled = $2 where product_key = $1`, productKey, flag(on))
		return found(n, err, op, productKey)
	})
}

// RemoteConfig returns a product's configuration file or ErrNotFound.
func (s *Store) RemoteConfig(ctx context.Context, productKey string) (RemoteConfig, error) {
	const op = "read remote configuration"
	row, err := s.r.row(ctx, `select config_id, content, sha256, enabled, changed_at from remote_config where product_key = $1`, productKey)
	if err != nil {
		return RemoteConfig{}, wrap(op, productKey, err)
	}
	var c RemoteConfig
	var enabled, at int64
	err = row.Scan(&c.ConfigID, &c.Content, &c.SHA256, &enabled, &at)
	c.Enabled, c.ChangedAt = enabled != 0, fromMS(at)
	return c, wrap(op, productKey, err)
}
