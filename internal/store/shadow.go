package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Shadow returns a device's shadow as it was put and its version, nil if it has
// none.
func (s *Store) Shadow(ctx context.Context, deviceID int64) (document []byte, version int64, err error) {
	const op = "read shadow"
	key := fmt.Sprint("of device ", deviceID)
	row, err := s.r.row(ctx, `select document, version from shadow where device = $1`, deviceID)
	if err != nil {
		return nil, 0, wrap(op, key, err)
	}
	if err := row.Scan(&document, &version); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, 0, wrap(op, key, err)
	}
	return document, version, nil
}

// UpdateShadow changes a device's shadow in one transaction: change gets what is
// there (nil and 0 if there is none) and returns what is to be there, nil to remove
// it. An error of change is returned as it is, and nothing is changed.
func (s *Store) UpdateShadow(ctx context.Context, deviceID int64, change func(document []byte, version int64) ([]byte, int64, error)) error {
	const op = "update shadow"
	key := fmt.Sprint("of device ", deviceID)
	var refused error
	err := s.write(ctx, op, key, func(t *tx) error {
		if err := t.deviceExists(ctx, op, key, deviceID); err != nil {
			return err
		}
		row, err := t.row(ctx, `select document, version from shadow where device = $1`, deviceID)
		if err != nil {
			return err
		}
		var document []byte
		var version int64
		if err := row.Scan(&document, &version); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if document, version, refused = change(document, version); refused != nil {
			return nil
		}
		if document == nil {
			_, err = t.exec(ctx, `delete from shadow where device = $1`, deviceID)
			return err
		}
		_, err = t.writeWaiting(ctx, WaitsShadow, `insert into shadow (device, version, document) values ($1, $2, $3)
			on conflict (device) do update set version = excluded.version, document = excluded.document`, deviceID, version, document)
		return err
	})
	if err != nil {
		return err
	}
	return refused
}
