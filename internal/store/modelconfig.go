package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// MaxModelConfig is the size of the configuration of a gateway's channels in bytes.
const MaxModelConfig = 1 << 20

// PutModelConfig keeps the configuration of a gateway's channels, for it to fetch,
// and returns its SHA-256 in hex.
func (s *Store) PutModelConfig(ctx context.Context, deviceID int64, content []byte) (sum string, err error) {
	const op = "put model configuration"
	key := fmt.Sprint("of device ", deviceID)
	if len(content) == 0 || len(content) > MaxModelConfig {
		return "", &Error{Kind: KindLimit, Op: op, Key: key, Err: fmt.Errorf("the document has %d bytes, allowed are 1 to %d", len(content), MaxModelConfig)}
	}
	digest := sha256.Sum256(content)
	sum = hex.EncodeToString(digest[:])
	return sum, s.write(ctx, op, key, func(t *tx) error {
		if err := t.deviceExists(ctx, op, key, deviceID); err != nil {
			return err
		}
		_, err := t.exec(ctx, `insert into model_config (device, content, sha256, changed_at) values ($1, $2, $3, $4)
			on conflict (device) do update set content = excluded.content, sha256 = excluded.sha256, changed_at = excluded.changed_at`, deviceID, content, sum, s.now())
		return err
	})
}

// ModelConfig returns the configuration of a gateway's channels and its SHA-256, or
// ErrNotFound.
func (s *Store) ModelConfig(ctx context.Context, deviceID int64) (content []byte, sum string, err error) {
	const op = "read model configuration"
	row, err := s.r.row(ctx, `select content, sha256 from model_config where device = $1`, deviceID)
	if err == nil {
		err = row.Scan(&content, &sum)
	}
	return content, sum, wrap(op, fmt.Sprint("of device ", deviceID), err)
}
