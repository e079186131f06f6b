package store

import (
	"context"
	"time"
)

// status is what is waiting to be written about a device's connection.
type status struct {
	online  int64 // ms, 0 for no change
	offline int64
	addr    string
}

// statusWindow is how long states of devices wait to be written, at most: with the
// round of anything else, or with many of their like. One row each in a transaction
// of its own, and a sync, would be a fifth of what a login costs.
const statusWindow = 250 * time.Millisecond

// statusBound is how many states end statusWindow early, so that they do not keep
// others from writing for more than a few milliseconds.
const statusBound = 512

// SetOnline records that a device logged in at a time from an address. It does not
// wait: it is stored within a quarter of a second, and of several waiting changes of
// one device only the last. A first login activates the device: see Activate.
func (s *Store) SetOnline(deviceID int64, at time.Time, addr string) {
	s.queue.setStatus(deviceID, status{online: toMS(at), addr: cut(addr)}, true)
}

// Activate is SetOnline for a device that, as far as the caller knows, has not been
// online before. It is stored with the next round of the writer: an activated device
// is not given its secret any more.
func (s *Store) Activate(deviceID int64, at time.Time, addr string) {
	s.queue.setStatus(deviceID, status{online: toMS(at), addr: cut(addr)}, false)
}

// SetOffline records that a device's connection ended at a time. It does not
// wait, as SetOnline.
func (s *Store) SetOffline(deviceID int64, at time.Time, addr string) {
	s.queue.setStatus(deviceID, status{offline: toMS(at), addr: cut(addr)}, true)
}

func (q *queue) setStatus(device int64, st status, patient bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	b := q.next
	b.status[device] = b.status[device].then(st)
	switch {
	case !patient || q.window < 0:
		q.arrived(b)
	case b.due.IsZero():
		b.due, b.patient = time.Now().Add(max(q.window, statusWindow)), true
		notify(q.kick)
	case len(b.status) == statusBound:
		notify(q.urgent)
	}
}

// then is one change after another.
func (st status) then(later status) status {
	if later.online != 0 {
		st.online = later.online
	}
	if later.offline != 0 {
		st.offline = later.offline
	}
	if later.addr != "" {
		st.addr = later.addr
	}
	return st
}

// restore puts changes back that could not be written, behind newer ones.
func (q *queue) restore(old map[int64]status) {
	if len(old) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for device, st := range old {
		q.next.status[device] = st.then(q.next.status[device])
	}
}

// writeStatus stores changes. A login of before a device was reset, which was still
// waiting, does not activate it again; resets are the times of that.
func writeStatus(ctx context.Context, t *tx, changes map[int64]status, resets map[int64]int64) error {
	for device, st := range changes {
		activates := st.online
		if reset, ok := resets[device]; ok && st.online != 0 {
			if st.online <= reset {
				activates = 0
			} else {
				delete(resets, device)
			}
		}
		if _, err := t.exec(ctx, `update device set
			activated_at = case when activated_at = 0 then $5 else activated_at end,
			last_online_at = case when $2 > 0 then $2 else last_online_at end,
			last_offline_at = case when $3 > 0 then $3 else last_offline_at end,
			last_addr = case when $4 <> '' then $4 else last_addr end
			where id = $1`, device, st.online, st.offline, st.addr, activates); err != nil {
			return err
		}
	}
	return nil
}
