package store

import (
	"context"
	"fmt"
)

// Waiting reports whether anything may wait for a device that has just connected:
// a desired value, a shadow, an upgrade, a task of a job. Most devices have none of
// them, and one look costs a fraction of four.
func (s *Store) Waiting(ctx context.Context, deviceID int64) (some bool, err error) {
	const op = "look for what waits"
	key := fmt.Sprint("for device ", deviceID)
	row, err := s.r.row(ctx, `select exists (select 1 from desired_value where device = $1 and value is not null)
		or exists (select 1 from shadow where device = $1)
		or exists (select 1 from ota_task where device = $1 and state in ('pending', 'pushed', 'upgrading'))
		or exists (select 1 from device_task where device = $1 and (status in ('QUEUED', 'SENT') or status = 'CANCELLED' and due_at <> 0))`, deviceID)
	if err != nil {
		return false, wrap(op, key, err)
	}
	err = row.Scan(&some)
	return some, wrap(op, key, err)
}
