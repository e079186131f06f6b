package store

import (
	"context"
	"fmt"
)

// DomainSystem is the domain of tags that a device's own software reports (SDK
// version and the like); they do not count towards MaxTags.
const DomainSystem = "SYSTEM"

// The limits of a device's tags (connect.md section 14, openapi.md section 9.3).
const (
	MaxTags       = 100  // tags a device may have, DomainSystem apart
	MaxSystemTags = 100  // tags of DomainSystem
	maxTagName    = 128  // bytes
	maxTagValue   = 5120 // bytes
)

// Tag is one key and value attached to a device.
type Tag struct {
	Key    string
	Value  string
	Domain string // "" for tags of people and devices, or DomainSystem
}

// PutTags adds tags to a device or changes their values. It fails with ErrLimit,
// changing nothing, if the device would have more than MaxTags, and with
// ErrNotFound if there is no such device.
func (s *Store) PutTags(ctx context.Context, deviceID int64, tags []Tag) error {
	const op = "put tags"
	key := fmt.Sprint("of device ", deviceID)
	for _, tag := range tags {
		if tag.Key == "" || len(tag.Key) > maxTagName || len(tag.Value) > maxTagValue || len(tag.Domain) > maxTagName {
			return &Error{Kind: KindInvalid, Op: op, Key: key,
				Err: fmt.Errorf("tag %.40q: a key has 1 to %d bytes, a value at most %d", tag.Key, maxTagName, maxTagValue)}
		}
	}
	return s.write(ctx, op, key, func(t *tx) error {
		if err := t.deviceExists(ctx, op, key, deviceID); err != nil {
			return err
		}
		for _, tag := range tags {
			if _, err := t.exec(ctx, `insert into device_tag (device, domain, name, value) values ($1, $2, $3, $4)
				on conflict (device, domain, name) do update set value = excluded.value`,
				deviceID, tag.Domain, tag.Key, tag.Value); err != nil {
				return err
			}
		}
		count, err := t.int64s(ctx, `select count(*) from device_tag where device = $1 and domain <> $2
			union all select count(*) from device_tag where device = $1 and domain = $2`, deviceID, DomainSystem)
		if err != nil {
			return err
		}
		if count[0] > MaxTags || count[1] > MaxSystemTags {
			return &Error{Kind: KindLimit, Op: op, Key: key, Err: fmt.Errorf("it would have %d tags", count[0]+count[1]),
				Hint: fmt.Sprintf("a device has at most %d; delete some first", MaxTags)}
		}
		return nil
	})
}

// DeleteTags removes tags of a device by key, in every domain but DomainSystem.
// Keys it does not have are ignored.
func (s *Store) DeleteTags(ctx context.Context, deviceID int64, keys []string) error {
	return s.write(ctx, "delete tags", fmt.Sprint("of device ", deviceID), func(t *tx) error {
		for _, k := range keys {
			if _, err := t.exec(ctx, `delete from device_tag where device = $1 and name = $2 and domain <> $3`,
				deviceID, k, DomainSystem); err != nil {
				return err
			}
		}
		return nil
	})
}

// Tags returns a device's tags of all domains, ordered by domain and key.
func (s *Store) Tags(ctx context.Context, deviceID int64) ([]Tag, error) {
	const op = "read tags"
	key := fmt.Sprint("of device ", deviceID)
	rows, err := s.r.rows(ctx, `select domain, name, value from device_tag where device = $1 order by domain, name`, deviceID)
	if err != nil {
		return nil, wrap(op, key, err)
	}
	defer rows.Close()
	var out []Tag
	for rows.Next() {
		var t Tag
		if err := rows.Scan(&t.Domain, &t.Key, &t.Value); err != nil {
			return nil, wrap(op, key, err)
		}
		out = append(out, t)
	}
	return out, wrap(op, key, rows.Err())
}
