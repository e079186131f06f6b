package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// idBlock is how many session identifiers are set aside by one write. A restart
// skips the rest of the block: at one restart a second, 2^64 lasts longer than
// anyone will.
const idBlock = 1 << 16

// idAllocator hands out identifiers below a limit that is already on disk, and
// raises the limit, through an ordinary batch, when half of a block is used.
type idAllocator struct {
	mu      sync.Mutex
	next    SessionID // the next to hand out
	limit   SessionID // durable: none at or above was handed out
	raising bool
}

// start reads the limit of the last run and sets the first block aside.
func (a *idAllocator) start(e *engine) error {
	a.next = 1
	v, closer, err := e.db.Get(metaNextSession)
	switch {
	case err == nil:
		if len(v) != 8 {
			err = damaged("the next session identifier is not a number: restore the folder from a backup")
		} else {
			a.next = SessionID(binary.BigEndian.Uint64(v))
		}
		if err := errors.Join(err, closer.Close()); err != nil {
			return err
		}
	case !errors.Is(err, pebble.ErrNotFound):
		return readFailed(err)
	}
	a.limit = a.next + idBlock
	if err := e.db.Set(metaNextSession, binary.BigEndian.AppendUint64(nil, uint64(a.limit)), pebble.Sync); err != nil {
		return fmt.Errorf("queue: session identifiers cannot be set aside: %w", err)
	}
	return e.fence.err()
}

// NextSessionID gives an identifier that this store has never given before, in
// this run or an earlier one, starting at 1. It does not wait: identifiers are
// set aside in blocks of 65536, ahead of need. Only when a block and a half was
// used during one failure of the disk does it return ErrUnavailable.
func (l *Log) NextSessionID() (SessionID, error) {
	a := &l.ids
	a.mu.Lock()
	if a.next == a.limit {
		a.mu.Unlock()
		l.raiseIDs()
		return 0, fmt.Errorf("%w: no session identifier is set aside", ErrUnavailable)
	}
	id := a.next
	a.next++
	low := a.limit-a.next < idBlock/2
	a.mu.Unlock()
	if low {
		l.raiseIDs()
	}
	return id, nil
}

func (l *Log) raiseIDs() {
	a := &l.ids
	a.mu.Lock()
	if a.raising {
		a.mu.Unlock()
		return
	}
	a.raising = true
	limit := a.limit + idBlock
	a.mu.Unlock()
	b := l.GetBatch()
	b.putMeta(metaNextSession, binary.BigEndian.AppendUint64(nil, uint64(limit)))
	l.Submit(b, &idsRaised{log: l, batch: b, limit: limit})
}

// idsRaised is told that a higher limit is on disk.
type idsRaised struct {
	log   *Log
	batch *Batch
	limit SessionID
}

// Committed implements Done.
func (r *idsRaised) Committed(err error) {
	a := &r.log.ids
	a.mu.Lock()
	a.raising = false
	if err == nil {
		a.limit = r.limit
	}
	a.mu.Unlock()
	r.log.PutBatch(r.batch)
}
