package store

import (
	"context"
	"fmt"
	"sync"
)

// Waits is a set of what may wait for a device.
type Waits uint8

// What may wait for a device until it connects.
const (
	WaitsDesired Waits = 1 << iota // a desired value
	WaitsShadow                    // its shadow
	WaitsUpgrade                   // a task of an upgrade
	WaitsTask                      // a task of a job

	waitsAny = WaitsDesired | WaitsShadow | WaitsUpgrade | WaitsTask
)

// waits are the rows that make something wait, by kind. Migration 0058 has an index
// for each condition.
var waits = [...]struct {
	kind Waits
	rows string
}{
	{WaitsDesired, `desired_value where value is not null`},
	{WaitsShadow, `shadow where true`},
	{WaitsUpgrade, `ota_task where state in ('pending', 'pushed', 'upgrading')`},
	{WaitsTask, `device_task where (status in ('QUEUED', 'SENT') or status = 'CANCELLED' and due_at <> 0)`},
}

const (
	// waitingPageSize is how many devices, one id after the other, share a page.
	waitingPageSize = 1024
	// maxWaitingPages bounds the memory: 4 MB, which is 4 million devices.
	maxWaitingPages = 4096
)

// waiting knows for which devices something may wait, so that a login of one for
// which nothing does asks no database. It errs in one direction only: a device in it
// may have nothing; one that is not in it has nothing.
//
// For that, every write to one of the tables goes through tx.writeWaiting, which notes the
// devices before the transaction commits and holds them until it has ended, and a
// kind is taken out only when the database said that there is none, in a read that
// nothing noted in the meantime can have overtaken.
type waiting struct {
	mu    sync.Mutex
	pages map[int64]*waitingPage
	max   int  // pages
	all   bool // too many, or they could not be read: something may wait for everybody
}

type waitingPage struct {
	may    [waitingPageSize]Waits
	held   bool   // a transaction that has not ended has noted something
	change uint64 // transactions that have noted something and ended
}

func (w *waiting) init() {
	w.pages, w.max = map[int64]*waitingPage{}, maxWaitingPages
}

// note adds a kind to a device, and returns the page if it was not held before.
func (w *waiting) note(device int64, kind Waits, hold bool) (held *waitingPage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all {
		return nil
	}
	p := w.pages[device/waitingPageSize]
	if p == nil {
		if len(w.pages) >= w.max {
			w.all, w.pages = true, nil
			return nil
		}
		p = new(waitingPage)
		w.pages[device/waitingPageSize] = p
	}
	p.may[device%waitingPageSize] |= kind
	if !hold || p.held {
		return nil
	}
	p.held = true
	return p
}

// release ends what a transaction held, whether it committed or not.
func (w *waiting) release(pages []*waitingPage) {
	if len(pages) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range pages {
		p.held = false
		p.change++
	}
}

// of returns what may wait for a device, and the state of its page for remove.
func (w *waiting) of(device int64) (may Waits, change uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all {
		return waitsAny, 0
	}
	if p := w.pages[device/waitingPageSize]; p != nil {
		return p.may[device%waitingPageSize], p.change
	}
	return 0, 0
}

// remove takes kinds from a device, unless something has been noted since of
// returned change: what the caller has read may then be older.
func (w *waiting) remove(device int64, kinds Waits, change uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.pages[device/waitingPageSize]; p != nil && !p.held && p.change == change {
		p.may[device%waitingPageSize] &^= kinds
	}
}

// writeWaiting is exec for statements that insert into or update one of the tables of
// waits. It is the only way they are written, so that no device is forgotten: the
// statement itself says which devices its rows belong to.
func (t *tx) writeWaiting(ctx context.Context, kind Waits, query string, args ...any) (changed int64, err error) {
	devices, err := t.int64s(ctx, query+` returning device`, args...)
	for _, device := range devices {
		if p := t.waiting.note(device, kind, true); p != nil {
			t.held = append(t.held, p)
		}
	}
	return int64(len(devices)), err
}

// settle ends what writeWaiting held. The transaction has ended.
func (t *tx) settle() {
	t.waiting.release(t.held)
	clear(t.held)
	t.held = t.held[:0]
}

// readWaiting finds the devices for which something waits, at the start. If they
// cannot be read, all devices are asked about.
func (s *Store) readWaiting(ctx context.Context) {
	for _, k := range waits {
		devices, err := s.w.int64s(ctx, `select distinct device from `+k.rows)
		if err != nil {
			s.log.Warn("what waits for devices could not be read; each is looked at when it connects, which costs more", "error", err)
			s.waiting.mu.Lock()
			s.waiting.all, s.waiting.pages = true, nil
			s.waiting.mu.Unlock()
			return
		}
		for _, device := range devices {
			s.waiting.note(device, k.kind, false)
		}
	}
}

// MayWait reports whether anything may wait for a device, from memory: if it says
// no, nothing does.
func (s *Store) MayWait(deviceID int64) bool {
	may, _ := s.waiting.of(deviceID)
	return may != 0
}

// Waiting returns what waits for a device that has just connected. Most devices have
// nothing, and for them it reads no database.
func (s *Store) Waiting(ctx context.Context, deviceID int64) (is Waits, err error) {
	const op = "look for what waits"
	may, change := s.waiting.of(deviceID)
	if may == 0 {
		return 0, nil
	}
	row, err := s.r.row(ctx, waitingQuery, deviceID)
	if err != nil {
		return 0, wrap(op, fmt.Sprint("for device ", deviceID), err)
	}
	var some [len(waits)]bool
	if err := row.Scan(&some[0], &some[1], &some[2], &some[3]); err != nil {
		return 0, wrap(op, fmt.Sprint("for device ", deviceID), err)
	}
	for i, k := range waits {
		if some[i] {
			is |= k.kind
		}
	}
	s.waiting.remove(deviceID, may&^is, change)
	return is, nil
}

// waitingQuery has a column for each of waits.
var waitingQuery = func() string {
	query := `select `
	for i, k := range waits {
		if i > 0 {
			query += `, `
		}
		query += `exists (select 1 from ` + k.rows + ` and device = $1)`
	}
	return query
}()
