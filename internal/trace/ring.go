package trace

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options say where the ring is and how large it may become.
type Options struct {
	// Dir is the directory of the ring's file; it is made if it is missing.
	Dir string
	// Bytes is the most that the file may take, DeviceBytes the most of it that
	// belongs to one device. Both are rounded down to blocks of 2 KB, at least one.
	Bytes, DeviceBytes int64
	Logger             *slog.Logger
}

const (
	fileName = "messages.ring"
	// maxWaiting is how many records may wait to be kept. Beyond half of them the
	// ring is woken; before, it comes by every takeEvery: a wake-up for every turn of
	// an event loop would cost more than everything else here.
	maxWaiting = 32 << 10
	takeEvery  = 100 * time.Millisecond
	// flushEvery is how long a record may wait in memory.
	flushEvery = 500 * time.Millisecond
	// A device may have this many records at once and this many a second; what
	// exceeds it is left out, so that a flood does not write the disk full of itself.
	burst     = 256
	perSecond = 32
)

// Ring keeps records. Its methods may be called from any goroutine.
type Ring struct {
	options   Options
	file      *os.File
	perDevice int

	inMu    sync.Mutex // held for moments only, never while the disk works
	waiting []Record
	wake    chan struct{}
	taken   []Record // the ring's, swapped with waiting

	stop   chan struct{}
	closed atomic.Bool
	wg     sync.WaitGroup

	kept, lost atomic.Uint64
	failed     atomic.Bool // the last write failed; logged once

	mu      sync.Mutex
	lru     lru
	used    int // blocks ever used: the length of the file
	free    []int32
	devices map[string]*device
	dirty   []*device
	nextID  uint64
	scratch []byte
}

// device is what the ring knows of one device.
type device struct {
	key     string
	blocks  []int32 // oldest first; the last one is being written
	offset  int     // in the last block, behind what is on disk
	pending []byte  // goes there
	dirty   bool
	missed  int // records left out since the last one

	tokens int
	since  int64 // ms, when tokens were counted last
}

// Stats are the counters of a ring since it was opened.
type Stats struct {
	Kept, Lost uint64 // records
	DiskBytes  int64
}

// Open opens the ring and reads which device has which blocks. Blocks that cannot
// be read are free. The error says what to do.
func Open(o Options) (*Ring, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Ring{
		options: o, perDevice: int(max(o.DeviceBytes/blockSize, 1)), wake: make(chan struct{}, 1), stop: make(chan struct{}),
		devices: make(map[string]*device), nextID: 1,
		lru: lru{blocks: make([]block, max(o.Bytes/blockSize, 1)), first: -1, last: -1},
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("the directory of message records cannot be made: %w", err)
	}
	var err error
	path := filepath.Join(o.Dir, fileName)
	if r.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("the message records cannot be opened: %w; set observe.trace_bytes = 0 to do without", err)
	}
	if err := r.load(); err != nil {
		_ = r.file.Close()
		return nil, fmt.Errorf("the message records %s cannot be read: %w; remove the file to begin anew", path, err)
	}
	r.wg.Go(r.run)
	return r, nil
}

// load finds the blocks of each device.
func (r *Ring) load() error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	if most := int64(len(r.lru.blocks)) * blockSize; info.Size() > most {
		if err := r.file.Truncate(most); err != nil {
			return err
		}
	}
	type found struct {
		at int32
		id uint64 // of its last record
	}
	var order []found
	b := make([]byte, blockSize)
	for i := range int32(len(r.lru.blocks)) {
		n, err := r.file.ReadAt(b, int64(i)*blockSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			break
		}
		r.used = int(i) + 1
		key, first, at := readBlockHead(b[:n])
		if at == 0 {
			r.free = append(r.free, i)
			continue
		}
		d := r.devices[key]
		if d == nil {
			d = r.newDevice(key, 0)
		}
		r.lru.blocks[i].owner, r.lru.blocks[i].first = d, first
		d.blocks = append(d.blocks, i)
		last := first
		for {
			rec, size := readRecord(b[at:n])
			if size == 0 {
				break
			}
			last = rec.ID
			at += size
		}
		r.nextID = max(r.nextID, last+1)
		order = append(order, found{i, last})
	}
	slices.SortFunc(order, func(a, b found) int { return compare(a.id, b.id) })
	for _, f := range order {
		r.lru.blocks[f.at].prev, r.lru.blocks[f.at].next = -1, -1
		r.lru.append(f.at)
	}
	for _, d := range r.devices {
		slices.SortFunc(d.blocks, func(a, b int32) int { return compare(r.lru.blocks[a].first, r.lru.blocks[b].first) })
		d.offset = blockSize // the next record begins a block
		for len(d.blocks) > r.perDevice {
			r.release(d.blocks[0])
		}
	}
	return nil
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// newDevice begins a device at a time, ms.
func (r *Ring) newDevice(key string, at int64) *device {
	d := &device{key: key, offset: blockSize, tokens: burst, since: at}
	r.devices[key] = d
	return d
}

// Record takes a turn's records and returns the slice, empty, for the next ones.
// It does not wait for the disk: if too much is waiting the records are left out.
func (r *Ring) Record(batch []Record) []Record {
	r.inMu.Lock()
	n := min(len(batch), maxWaiting-len(r.waiting))
	if r.closed.Load() {
		n = 0
	}
	r.waiting = append(r.waiting, batch[:n]...)
	urgent := len(r.waiting) >= maxWaiting/2
	r.inMu.Unlock()
	r.lost.Add(uint64(len(batch) - n))
	if urgent {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
	clear(batch)
	return batch[:0]
}

// run keeps what comes.
func (r *Ring) run() {
	tick := time.NewTicker(takeEvery)
	defer tick.Stop()
	flushed := time.Now()
	for {
		select {
		case <-r.wake:
			r.keep()
		case now := <-tick.C:
			r.keep()
			if now.Sub(flushed) >= flushEvery {
				flushed = now
				r.mu.Lock()
				r.flush()
				r.mu.Unlock()
			}
		case <-r.stop:
			r.keep()
			return
		}
	}
}

// keep takes what waits.
func (r *Ring) keep() {
	r.inMu.Lock()
	r.waiting, r.taken = r.taken[:0], r.waiting
	r.inMu.Unlock()
	if len(r.taken) == 0 {
		return
	}
	r.mu.Lock()
	for i := range r.taken {
		r.add(&r.taken[i])
	}
	r.mu.Unlock()
	clear(r.taken)
}

// add keeps one record, unless its device has too many.
func (r *Ring) add(rec *Record) {
	if rec.Key == "" || len(rec.Key) > maxKey {
		r.lost.Add(1)
		return
	}
	d := r.devices[rec.Key]
	if d == nil {
		d = r.newDevice(rec.Key, rec.AtMS)
	}
	if d.tokens < burst && rec.AtMS > d.since {
		earned := (rec.AtMS - d.since) * perSecond / 1000
		if earned > 0 {
			d.tokens = int(min(int64(d.tokens)+earned, burst))
			d.since = rec.AtMS
		}
	}
	if d.tokens == burst {
		d.since = rec.AtMS
	}
	if d.tokens == 0 {
		d.missed++
		r.lost.Add(1)
		return
	}
	d.tokens--
	if d.missed > 0 {
		r.put(d, &Record{AtMS: rec.AtMS, Event: LeftOut, Count: d.missed})
		d.missed = 0
	}
	r.put(d, rec)
	r.kept.Add(1)
}

// put appends a record to its device's blocks.
func (r *Ring) put(d *device, rec *Record) {
	rec.ID = r.nextID
	r.nextID++
	r.scratch = appendRecord(r.scratch[:0], rec)
	// Two bytes of zero end the block until the next record takes their place.
	if d.offset+len(d.pending)+len(r.scratch)+2 > blockSize {
		r.write(d)
		if len(d.blocks) >= r.perDevice {
			r.release(d.blocks[0])
		}
		i := r.block()
		b := &r.lru.blocks[i]
		b.owner, b.first, b.prev, b.next = d, rec.ID, -1, -1
		r.lru.append(i)
		r.devices[d.key] = d // it may have lost its only block
		d.blocks = append(d.blocks, i)
		d.offset = 0
		d.pending = appendBlockHead(d.pending[:0], d.key, rec.ID)
	} else {
		r.lru.touch(d.blocks[len(d.blocks)-1])
	}
	d.pending = append(d.pending, r.scratch...)
	if !d.dirty {
		d.dirty = true
		r.dirty = append(r.dirty, d)
	}
}

// block finds a block: one that is free, a new one, or the one that was not
// written to for the longest time.
func (r *Ring) block() int32 {
	if len(r.free) == 0 {
		if r.used < len(r.lru.blocks) {
			r.used++
			return int32(r.used - 1)
		}
		r.release(r.lru.first)
	}
	i := r.free[len(r.free)-1]
	r.free = r.free[:len(r.free)-1]
	return i
}

// release takes a block from its device, with the records in it.
func (r *Ring) release(i int32) {
	b := &r.lru.blocks[i]
	d := b.owner
	r.lru.remove(i)
	b.owner = nil
	r.free = append(r.free, i)
	at := slices.Index(d.blocks, i)
	if at == len(d.blocks)-1 { // the one being written
		d.offset, d.pending = blockSize, d.pending[:0]
	}
	d.blocks = slices.Delete(d.blocks, at, at+1)
	if len(d.blocks) == 0 {
		delete(r.devices, d.key)
	}
}

// flush writes what waits. The caller holds mu.
func (r *Ring) flush() {
	for i, d := range r.dirty {
		r.write(d)
		d.dirty = false
		r.dirty[i] = nil
	}
	r.dirty = r.dirty[:0]
}

// write writes what waits of one device.
func (r *Ring) write(d *device) {
	if len(d.pending) == 0 {
		return
	}
	n := len(d.pending)
	at := int64(d.blocks[len(d.blocks)-1])*blockSize + int64(d.offset)
	_, err := r.file.WriteAt(append(d.pending, 0, 0), at)
	d.pending = d.pending[:0]
	if cap(d.pending) > 512 { // tens of thousands of devices keep theirs
		d.pending = nil
	}
	if err != nil {
		r.lost.Add(1)
		if !r.failed.Swap(true) {
			r.options.Logger.Error("message records cannot be written; messages themselves are not affected", "error", err,
				"hint", "check the free space of the disk that holds the data directory")
		}
		d.offset = blockSize // the next record begins a block
		return
	}
	r.failed.Store(false)
	d.offset += n
}

// Query selects records of a device.
type Query struct {
	After   uint64 // only ids greater than this
	SinceMS int64  // only from this time on, Unix milliseconds
	Limit   int    // the newest that many; all if 0
}

// Read returns the records of the device with a session key, oldest first. An
// acknowledgement gets the topic of the message it acknowledges, if that is still
// there.
func (r *Ring) Read(key string, q Query) ([]Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.devices[key]
	if d == nil {
		return nil, nil
	}
	r.write(d)
	type message struct {
		up bool
		id uint16
	}
	topics := make(map[message]string)
	var out []Record
	b := make([]byte, blockSize)
	for _, i := range d.blocks {
		n, err := r.file.ReadAt(b, int64(i)*blockSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the message records of %s cannot be read: %w", key, err)
		}
		owner, _, at := readBlockHead(b[:n])
		if owner != key {
			continue // its writing failed
		}
		for {
			rec, size := readRecord(b[at:n])
			if size == 0 {
				break
			}
			at += size
			rec.Key = key
			m := message{rec.Up, rec.PacketID}
			switch {
			case rec.PacketID == 0:
			case rec.Event == Acknowledged && rec.Topic == "":
				rec.Topic = topics[m]
			case rec.Topic != "":
				topics[m] = rec.Topic
			}
			if rec.ID > q.After && rec.AtMS >= q.SinceMS {
				out = append(out, rec)
			}
		}
	}
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[len(out)-q.Limit:]
	}
	return out, nil
}

// Stats returns the counters.
func (r *Ring) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{Kept: r.kept.Load(), Lost: r.lost.Load(), DiskBytes: int64(r.used) * blockSize}
}

// Close keeps what was handed over and closes the file. Records handed over
// afterwards are forgotten.
func (r *Ring) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	close(r.stop)
	r.wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
	return r.file.Close()
}
