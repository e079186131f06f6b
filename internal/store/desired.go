package store

import (
	"context"
	"fmt"
	"time"
)

// MaxDesired is how many properties of a device may have a desired value.
const MaxDesired = 1000

// Desired is what one property of a device should become.
type Desired struct {
	Identifier string
	Value      []byte // JSON
	Version    int64  // counts the changes of this property from 1
	At         time.Time
}

// NewDesired is a change of a desired value.
type NewDesired struct {
	Identifier string
	Value      []byte // JSON; nil clears it
	// Expect is the version the value must have, 0 for a property that has never had
	// one; a negative number expects nothing.
	Expect int64
}

// SetDesired changes desired values of a device, all or none, and returns their
// new versions in order. It fails with ErrConflict, naming the property, if one
// does not have the version expected.
func (s *Store) SetDesired(ctx context.Context, deviceID int64, changes []NewDesired) ([]int64, error) {
	const op = "set desired values"
	key := fmt.Sprint("of device ", deviceID)
	versions := make([]int64, len(changes))
	err := s.write(ctx, op, key, func(t *tx) error {
		if err := t.deviceExists(ctx, op, key, deviceID); err != nil {
			return err
		}
		for i, c := range changes {
			if c.Identifier == "" || len(c.Identifier) > maxIdentifier {
				return &Error{Kind: KindInvalid, Op: op, Key: key, Err: fmt.Errorf("an identifier has 1 to %d bytes", maxIdentifier)}
			}
			have, err := t.int64s(ctx, `select version from desired_value where device = $1 and name = $2`, deviceID, c.Identifier)
			if err != nil {
				return err
			}
			have = append(have, 0)
			if c.Expect >= 0 && c.Expect != have[0] {
				return &Error{Kind: KindConflict, Op: op, Key: c.Identifier,
					Err:  fmt.Errorf("its desired value has version %d, not %d", have[0], c.Expect),
					Hint: "read the desired values and decide again"}
			}
			versions[i] = have[0] + 1
			if _, err := t.writeWaiting(ctx, WaitsDesired, `insert into desired_value (device, name, value, version, changed_at) values ($1, $2, $3, $4, $5)
				on conflict (device, name) do update set value = excluded.value, version = excluded.version, changed_at = excluded.changed_at`,
				deviceID, c.Identifier, c.Value, versions[i], s.now()); err != nil {
				return err
			}
		}
		n, err := t.int64s(ctx, `select count(*) from desired_value where device = $1`, deviceID)
		if err == nil && n[0] > MaxDesired {
			err = &Error{Kind: KindLimit, Op: op, Key: key, Err: fmt.Errorf("it would have %d desired values, allowed are %d", n[0], MaxDesired)}
		}
		return err
	})
	return versions, err
}

// ClearDesired clears desired values of a device. Of the changes only Identifier
// and Expect count; one whose version is not the expected is left alone, as is a
// property without a desired value. It returns how many were cleared.
func (s *Store) ClearDesired(ctx context.Context, deviceID int64, changes []NewDesired) (cleared int, err error) {
	err = s.write(ctx, "clear desired values", fmt.Sprint("of device ", deviceID), func(t *tx) error {
		for _, c := range changes {
			n, err := t.writeWaiting(ctx, WaitsDesired, `update desired_value set value = null, changed_at = $4
				where device = $1 and name = $2 and value is not null and ($3 < 0 or version = $3)`,
				deviceID, c.Identifier, c.Expect, s.now())
			if err != nil {
				return err
			}
			cleared += int(n)
		}
		return nil
	})
	return cleared, err
}

// Desired returns the desired values of a device, ordered by identifier.
func (s *Store) Desired(ctx context.Context, deviceID int64) ([]Desired, error) {
	const op = "read desired values"
	key := fmt.Sprint("of device ", deviceID)
	rows, err := s.r.rows(ctx, `select name, value, version, changed_at from desired_value
		where device = $1 and value is not null order by name`, deviceID)
	if err != nil {
		return nil, wrap(op, key, err)
	}
	defer rows.Close()
	var out []Desired
	for rows.Next() {
		var d Desired
		var at int64
		if err := rows.Scan(&d.Identifier, &d.Value, &d.Version, &at); err != nil {
			return nil, wrap(op, key, err)
		}
		d.At = fromMS(at)
		out = append(out, d)
	}
	return out, wrap(op, key, rows.Err())
}

// deviceExists fails with ErrNotFound if there is no such device.
func (t *tx) deviceExists(ctx context.Context, op, key string, deviceID int64) error {
	n, err := t.int64s(ctx, `select 1 from device where id = $1`, deviceID)
	return found(int64(len(n)), err, op, key)
}
