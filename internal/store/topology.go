package store

import (
	"context"
	"errors"
	"fmt"
)

// Topology returns one page of the devices that belong to a gateway, in the order
// of their ids: those with an id greater than after, at most limit (1000 if 0, at
// most that).
func (s *Store) Topology(ctx context.Context, gatewayID, after int64, limit int) ([]Device, error) {
	const op = "read topology"
	key := fmt.Sprint("of device ", gatewayID)
	if limit <= 0 {
		limit = 1000
	}
	rows, err := s.r.rows(ctx, `select `+deviceColumns+` from topology t join device d on d.id = t.sub_device
		where t.gateway = $1 and d.id > $2 order by d.id limit $3`, gatewayID, after, min(limit, 1000))
	if err != nil {
		return nil, wrap(op, key, err)
	}
	defer rows.Close()
	var out []Device
	for rows.Next() {
		var scan deviceScan
		if err := rows.Scan(scan.fields()...); err != nil {
			return nil, wrap(op, key, err)
		}
		out = append(out, scan.device())
	}
	return out, wrap(op, key, rows.Err())
}

// GatewayOf returns the gateway that a device belongs to, or ErrNotFound.
func (s *Store) GatewayOf(ctx context.Context, subID int64) (Device, error) {
	return s.oneDevice(ctx, fmt.Sprint(subID),
		`select `+deviceColumns+` from topology t join device d on d.id = t.gateway where t.sub_device = $1`, subID)
}

// AddTopology makes devices a gateway's and returns, in their order, the gateway
// each belonged to before, 0 for none. A device that is the gateway's already
// stays so. It fails with ErrLimit, changing nothing, if the gateway would have
// more than most, and with ErrNotFound if a device does not exist.
func (s *Store) AddTopology(ctx context.Context, gatewayID int64, subIDs []int64, most int) (before []int64, err error) {
	const op = "add topology"
	key := fmt.Sprint("of device ", gatewayID)
	err = s.write(ctx, op, key, func(t *tx) error {
		before = before[:0]
		for _, id := range subIDs {
			if id == gatewayID {
				return &Error{Kind: KindInvalid, Op: op, Key: key, Err: errors.New("a gateway cannot be its own sub-device")}
			}
			n, err := t.int64s(ctx, `select id from device where id = $1 or id = $2`, id, gatewayID)
			if err != nil {
				return err
			}
			if len(n) != 2 {
				return &Error{Kind: KindNotFound, Op: op, Key: key}
			}
			old, err := t.int64s(ctx, `select gateway from topology where sub_device = $1`, id)
			if err != nil {
				return err
			}
			if len(old) == 0 {
				old = []int64{0}
			}
			before = append(before, old[0])
			if old[0] == gatewayID {
				continue
			}
			if _, err := t.exec(ctx, `insert into topology (sub_device, gateway, created_at) values ($1, $2, $3)
				on conflict (sub_device) do update set gateway = excluded.gateway, created_at = excluded.created_at`,
				id, gatewayID, s.now()); err != nil {
				return err
			}
		}
		count, err := t.int64s(ctx, `select count(*) from topology where gateway = $1`, gatewayID)
		if err != nil {
			return err
		}
		if count[0] > int64(most) {
			return &Error{Kind: KindLimit, Op: op, Key: key, Err: fmt.Errorf("it would have %d sub-devices", count[0]),
				Hint: fmt.Sprintf("a gateway has at most %d; remove some first", most)}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return before, nil
}

// RemoveTopology takes devices from a gateway and reports of each whether it was
// the gateway's.
func (s *Store) RemoveTopology(ctx context.Context, gatewayID int64, subIDs []int64) (removed []bool, err error) {
	err = s.write(ctx, "remove topology", fmt.Sprint("of device ", gatewayID), func(t *tx) error {
		removed = removed[:0]
		for _, id := range subIDs {
			n, err := t.exec(ctx, `delete from topology where sub_device = $1 and gateway = $2`, id, gatewayID)
			if err != nil {
				return err
			}
			removed = append(removed, n > 0)
		}
		return nil
	})
	return removed, err
}
