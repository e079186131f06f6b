package trace

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T, dir string, bytes, perDevice int64) *Ring {
	t.Helper()
	r, err := Open(Options{Dir: dir, Bytes: bytes, DeviceBytes: perDevice})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// settle keeps what was handed over: the ring is closed and opened again.
func settle(t *testing.T, r *Ring) *Ring {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, r.options.Dir, r.options.Bytes, r.options.DeviceBytes)
}

func read(t *testing.T, r *Ring, key string, q Query) []Record {
	t.Helper()
	list, err := r.Read(key, q)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(list); i++ {
		if list[i].ID <= list[i-1].ID {
			t.Fatalf("record %d follows %d", list[i].ID, list[i-1].ID)
		}
	}
	return list
}

func delivered(key string, at int64, n int) Record {
	return Record{AtMS: at, Key: key, Event: Delivered, Topic: fmt.Sprintf("/a/%d", n), PacketID: uint16(n), QoS: 1, Bytes: n}
}

func TestRecordsOutliveTheServer(t *testing.T) {
	r := open(t, t.TempDir(), 1<<20, 16<<10)
	want := []Record{
		{AtMS: 1000, Key: "d:p/a", Event: Accepted, Up: true, Topic: "/up", PacketID: 5, QoS: 1, Bytes: 100_000},
		{AtMS: 1001, Key: "d:p/a", Event: Acknowledged, Up: true, PacketID: 5, QoS: 1},
		{AtMS: 1002, Key: "d:p/a", Event: Delivered, Topic: "/down", PacketID: 5, QoS: 1, Bytes: 3},
		{AtMS: 1003, Key: "d:p/a", Event: Acknowledged, PacketID: 5, QoS: 1},
		{AtMS: 1004, Key: "d:p/a", Event: Dropped, Topic: "/x", Reason: "queue full", Count: 7},
		{AtMS: 1005, Key: "d:p/a", Event: Expired, Topic: strings.Repeat("t", maxTopic+10)},
	}
	r.Record(append([]Record{{AtMS: 1, Key: "d:p/b", Event: Queued}}, want...))
	r = settle(t, r)
	got := read(t, r, "d:p/a", Query{})
	if len(got) != len(want) {
		t.Fatalf("%d records", len(got))
	}
	want[1].Topic, want[3].Topic = "/up", "/down" // of what they acknowledge
	want[5].Topic = want[5].Topic[:maxTopic]
	for i := range want {
		want[i].ID = got[i].ID
		if got[i] != want[i] {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
	// Numbers go on rising.
	r.Record([]Record{delivered("d:p/a", 2000, 1)})
	r = settle(t, r)
	if got := read(t, r, "d:p/a", Query{After: want[5].ID}); len(got) != 1 || got[0].Bytes != 1 {
		t.Errorf("after the last: %+v", got)
	}
	if got := read(t, r, "d:p/a", Query{SinceMS: 1004}); len(got) != 3 {
		t.Errorf("since: %+v", got)
	}
	if got := read(t, r, "d:p/a", Query{Limit: 2}); len(got) != 2 || got[1].AtMS != 2000 {
		t.Errorf("limit: %+v", got)
	}
	if got := read(t, r, "d:p/c", Query{}); got != nil {
		t.Errorf("of nobody: %+v", got)
	}
}

// TestBounds writes far more than there is room for: the newest stay, of each
// device, and of the devices those that were written to last.
func TestBounds(t *testing.T) {
	const bytes, perDevice = 64 << 10, 8 << 10
	r := open(t, t.TempDir(), bytes, perDevice)
	at := int64(1_000_000)
	for n := range 2000 {
		at += 100 // slow enough to be kept
		r.add2(t, delivered("d:p/busy", at, n))
	}
	got := read(t, r, "d:p/busy", Query{})
	if len(got) < 100 || len(got) > 400 || got[len(got)-1].Bytes != 1999 || got[0].Bytes != 2000-len(got) {
		t.Errorf("%d records of the busy one, from %d to %d", len(got), got[0].Bytes, got[len(got)-1].Bytes)
	}
	for n := range 100 {
		at += 100
		r.add2(t, delivered(fmt.Sprintf("d:p/%d", n), at, n))
	}
	if got := read(t, r, "d:p/busy", Query{}); len(got) != 0 {
		t.Errorf("%d records of one that was silent longest", len(got))
	}
	for n := range 100 {
		if got := read(t, r, fmt.Sprintf("d:p/%d", n), Query{}); len(got) != 0 != (n >= 100-bytes/blockSize) {
			t.Errorf("device %d has %d records", n, len(got))
		}
	}
	check := func() {
		t.Helper()
		info, err := os.Stat(filepath.Join(r.options.Dir, fileName))
		if err != nil || info.Size() > bytes {
			t.Errorf("the file has %d bytes, %v", info.Size(), err)
		}
		if len(r.devices) > bytes/blockSize {
			t.Errorf("%d devices in memory", len(r.devices))
		}
	}
	check()
	r = settle(t, r)
	check()
	if got := read(t, r, "d:p/99", Query{}); len(got) != 1 {
		t.Errorf("after a restart: %+v", got)
	}
	// A smaller ring keeps what fits.
	dir := r.options.Dir
	_ = r.Close()
	r = open(t, dir, bytes/2, perDevice)
	if got := r.Stats().DiskBytes; got != bytes/2 {
		t.Errorf("the smaller ring has %d bytes", got)
	}
}

// add2 adds a record on the caller's goroutine.
func (r *Ring) add2(t *testing.T, rec Record) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(&rec)
}

// TestFloodIsLeftOutAndCounted floods with one device while another says little.
func TestFloodIsLeftOutAndCounted(t *testing.T) {
	r := open(t, t.TempDir(), 1<<20, 64<<10)
	const flood = 5000
	for n := range flood {
		r.add2(t, delivered("d:p/flood", 1000, n))
	}
	r.add2(t, delivered("d:p/quiet", 1000, 1))
	r.add2(t, delivered("d:p/flood", 2000, flood))
	got := read(t, r, "d:p/flood", Query{})
	if len(got) != burst+2 || got[burst].Event != LeftOut || got[burst].Count != flood-burst || got[burst+1].Bytes != flood {
		t.Errorf("%d records, then %+v", len(got), got[len(got)-2:])
	}
	if len(read(t, r, "d:p/quiet", Query{})) != 1 {
		t.Error("the quiet one has no record")
	}
	if s := r.Stats(); s.Kept != burst+2 || s.Lost != flood-burst {
		t.Errorf("%+v", s)
	}
}

// TestNobodyWaits hands over more than can wait while nothing is being kept.
func TestNobodyWaits(t *testing.T) {
	r := open(t, t.TempDir(), 1<<20, 16<<10)
	r.mu.Lock() // the disk hangs
	handed := uint64(0)
	for range 4 * maxWaiting {
		r.Record([]Record{delivered("d:p/a", 1, 1), delivered("d:p/a", 1, 2)})
		handed += 2
	}
	r.mu.Unlock()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	s := r.Stats()
	if s.Kept+s.Lost != handed || s.Lost < handed/2 {
		t.Errorf("of %d records %d were kept and %d counted as lost", handed, s.Kept, s.Lost)
	}
}

func TestRecordingAllocatesNothing(t *testing.T) {
	r := open(t, t.TempDir(), 1<<20, 16<<10)
	batch := make([]Record, 0, 8)
	turn := func() {
		for n := range 8 {
			batch = append(batch, Record{AtMS: 1, Key: "d:p/a", Event: Accepted, Topic: "/a", Bytes: n})
		}
		batch = r.Record(batch)
	}
	r.inMu.Lock()
	r.waiting = make([]Record, 0, maxWaiting) // as it becomes in time
	r.inMu.Unlock()
	if n := testing.AllocsPerRun(1000, turn); n != 0 {
		t.Errorf("%v allocations a turn", n)
	}
}

// TestDamage cuts and flips the file: what is sound is read, nothing else.
func TestDamage(t *testing.T) {
	r := open(t, t.TempDir(), 1<<20, 64<<10)
	for n := range 200 {
		r.add2(t, delivered("d:p/a", int64(n)*100, n+1))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.options.Dir, fileName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 1; at < len(whole); at += 97 {
		for name, b := range map[string][]byte{"cut": whole[:at], "flipped": flip(whole, at)} {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			again, err := Open(r.options)
			if err != nil {
				t.Fatalf("%s at %d: %v", name, at, err)
			}
			list, err := again.Read("d:p/a", Query{})
			if err != nil {
				t.Fatalf("%s at %d: %v", name, at, err)
			}
			for _, rec := range list {
				if want := delivered("d:p/a", int64(rec.Bytes-1)*100, rec.Bytes); rec.Topic != want.Topic || rec.AtMS != want.AtMS {
					t.Fatalf("%s at %d: %+v", name, at, rec)
				}
			}
			if name == "flipped" && len(list) < 100 {
				t.Errorf("%s at %d: only %d records are left", name, at, len(list))
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func flip(b []byte, at int) []byte {
	out := append([]byte(nil), b...)
	out[at] ^= 0x10
	return out
}

func BenchmarkKeep(b *testing.B) {
	r, err := Open(Options{Dir: b.TempDir(), Bytes: 64 << 20, DeviceBytes: 16 << 10})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("d:a1ji0qFv6Jf/device%d", i)
	}
	rec := delivered("", 0, 77)
	rec.Topic = "/sys/a1ji0qFv6Jf/device1/thing/event/property/post"
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		rec.Key, rec.AtMS = keys[n%len(keys)], int64(n/60)
		r.mu.Lock()
		r.add(&rec)
		if n%10_000 == 0 {
			r.flush()
		}
		r.mu.Unlock()
	}
}
