package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// MaxModelVersions is how many versions of a thing model are kept.
	MaxModelVersions = 10
	// MaxModelSize is the size of a thing model document, in bytes: well above
	// the 256 KB that may be imported.
	MaxModelSize = 1 << 20
)

// ModelVersion is one version of a product's thing model.
type ModelVersion struct {
	Version   int // counts from 1
	Document  []byte
	CreatedAt time.Time
}

// PutModel stores a product's thing model as its newest version and returns the
// version. The document is kept as it is. Older versions beyond
// MaxModelVersions are deleted.
func (s *Store) PutModel(ctx context.Context, productKey string, doc []byte) (version int, err error) {
	const op = "put thing model"
	if len(doc) == 0 || len(doc) > MaxModelSize {
		return 0, &Error{Kind: KindLimit, Op: op, Key: productKey,
			Err: fmt.Errorf("the document has %d bytes, allowed are 1 to %d", len(doc), MaxModelSize)}
	}
	err = s.write(ctx, op, productKey, func(t *tx) error {
		products, err := t.int64s(ctx, `select 1 from product where product_key = $1`, productKey)
		if err != nil {
			return err
		}
		if len(products) == 0 {
			return &Error{Kind: KindNotFound, Op: op, Key: productKey, Err: errors.New("no such product")}
		}
		last, err := t.int64s(ctx, `select coalesce(max(version), 0) from model where product_key = $1`, productKey)
		if err != nil {
			return err
		}
		version = int(last[0]) + 1
		if _, err := t.exec(ctx, `insert into model (product_key, version, document, created_at) values ($1, $2, $3, $4)`,
			productKey, version, doc, s.now()); err != nil {
			return err
		}
		_, err = t.exec(ctx, `delete from model where product_key = $1 and version <= $2`, productKey, version-MaxModelVersions)
		return err
	})
	if err != nil {
		return 0, err
	}
	return version, nil
}

// Model returns the newest version of a product's thing model, or ErrNotFound if
// it has none.
func (s *Store) Model(ctx context.Context, productKey string) (ModelVersion, error) {
	out, err := s.models(ctx, productKey, 1)
	if err == nil && len(out) == 0 {
		err = &Error{Kind: KindNotFound, Op: "read thing model", Key: productKey}
	}
	if err != nil {
		return ModelVersion{}, err
	}
	return out[0], nil
}

// ModelVersions returns the versions that are kept, newest first.
func (s *Store) ModelVersions(ctx context.Context, productKey string) ([]ModelVersion, error) {
	return s.models(ctx, productKey, MaxModelVersions)
}

func (s *Store) models(ctx context.Context, productKey string, limit int) ([]ModelVersion, error) {
	const op = "read thing model"
	rows, err := s.r.rows(ctx, `select version, document, created_at from model where product_key = $1
		order by version desc limit $2`, productKey, limit)
	if err != nil {
		return nil, wrap(op, productKey, err)
	}
	defer rows.Close()
	var out []ModelVersion
	for rows.Next() {
		var (
			m       ModelVersion
			created int64
		)
		if err := rows.Scan(&m.Version, &m.Document, &created); err != nil {
			return nil, wrap(op, productKey, err)
		}
		m.CreatedAt = fromMS(created)
		out = append(out, m)
	}
	return out, wrap(op, productKey, rows.Err())
}
