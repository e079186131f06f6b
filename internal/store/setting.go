package store

import (
	"context"
	"fmt"
	"strings"
)

// settingPrefix keeps the names that callers choose apart from the store's own.
const settingPrefix = "app."

// maxSetting is the size of a setting's value in bytes.
const maxSetting = 64 << 10

// PutSetting stores a small value under a name, for things such as the id of
// this installation. A secret has no place here: values are not encrypted.
func (s *Store) PutSetting(ctx context.Context, name string, value []byte) error {
	const op = "put setting"
	if name == "" || len(name) > 128 || strings.ContainsRune(name, 0) || len(value) > maxSetting {
		return &Error{Kind: KindInvalid, Op: op, Key: name,
			Err: fmt.Errorf("a name has 1 to 128 bytes, a value at most %d", maxSetting)}
	}
	if value == nil {
		value = []byte{}
	}
	return s.write(ctx, op, name, func(t *tx) error {
		_, err := t.exec(ctx, `insert into setting (name, value) values ($1, $2)
			on conflict (name) do update set value = excluded.value`, settingPrefix+name, value)
		return err
	})
}

// Setting returns the value of a name or ErrNotFound.
func (s *Store) Setting(ctx context.Context, name string) ([]byte, error) {
	row, err := s.r.row(ctx, `select value from setting where name = $1`, settingPrefix+name)
	if err != nil {
		return nil, wrap("read setting", name, err)
	}
	var value []byte
	err = row.Scan(&value)
	return value, wrap("read setting", name, err)
}
