package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// PutScript stores the script of a product; an empty one removes it.
func (s *Store) PutScript(ctx context.Context, productKey, source string) error {
	const op = "put script"
	return s.write(ctx, op, productKey, func(t *tx) error {
		n, err := t.int64s(ctx, `select 1 from product where product_key = $1`, productKey)
		if err := found(int64(len(n)), err, op, productKey); err != nil {
			return err
		}
		if source == "" {
			_, err = t.exec(ctx, `delete from product_script where product_key = $1`, productKey)
			return err
		}
		_, err = t.exec(ctx, `insert into product_script (product_key, source, changed_at) values ($1, $2, $3)
			on conflict (product_key) do update set source = excluded.source, changed_at = excluded.changed_at`, productKey, source, s.now())
		return err
	})
}

// Script returns the script of a product and when it was stored, "" if it has none.
func (s *Store) Script(ctx context.Context, productKey string) (source string, at time.Time, err error) {
	const op = "read script"
	row, err := s.r.row(ctx, `select source, changed_at from product_script where product_key = $1`, productKey)
	if err != nil {
		return "", time.Time{}, wrap(op, productKey, err)
	}
	var ms int64
	if err := row.Scan(&source, &ms); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", time.Time{}, wrap(op, productKey, err)
	}
	return source, fromMS(ms), nil
}
