package fraildisk

import (
	"math/rand/v2"
	"os"
)

// file is a file of the records. Its changes go to the real file at once; what
// they replaced is kept until they are synced.
type file struct {
	path     string
	unsynced []change
}

func newFile(path string) *file { return &file{path: path} }

// change is a write, or a truncation.
type change struct {
	at       int64
	data     []byte // written; nil for a truncation to at
	old      []byte // what was there, as far as the file reached
	oldSize  int64
	truncate bool
}

// sector is what a disk writes whole or not at all.
const sector = 512

// contents reads the real file, through the handle that is about to change it:
// closing another one would give up SQLite's locks.
type contents interface {
	size() (int64, error)
	readAt(b []byte, at int64) error
}

// before notes what is about to be replaced: as much as data, or all from at on.
func (f *file) before(real contents, at int64, data []byte, truncate bool) error {
	size, err := real.size()
	if err != nil {
		return err
	}
	c := change{at: at, data: data, oldSize: size, truncate: truncate}
	n := int64(len(data))
	if truncate {
		n = size - at
	}
	if n = min(n, size-at); n > 0 {
		c.old = make([]byte, n)
		if err := real.readAt(c.old, at); err != nil {
			return err
		}
	}
	f.unsynced = append(f.unsynced, c)
	return nil
}

// crash brings the real file into a state that a power cut may leave behind.
func (f *file) crash(rnd *rand.Rand) {
	real, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		return // removed
	}
	defer real.Close()
	for i := len(f.unsynced) - 1; i >= 0; i-- {
		c := &f.unsynced[i]
		if len(c.old) > 0 {
			must(real.WriteAt(c.old, c.at))
		}
		must(0, real.Truncate(c.oldSize))
	}
	keep := rnd.IntN(101) // percent
	for i := range f.unsynced {
		c := &f.unsynced[i]
		if c.truncate {
			if rnd.IntN(100) < keep {
				must(0, real.Truncate(c.at))
			}
			continue
		}
		for from := 0; from < len(c.data); {
			to := min(from+sector-int((c.at+int64(from))%sector), len(c.data))
			if rnd.IntN(100) < keep {
				must(real.WriteAt(c.data[from:to], c.at+int64(from)))
			}
			from = to
		}
	}
	f.unsynced = nil
}

// must stops a test whose own disk fails.
func must(_ int, err error) {
	if err != nil {
		panic("fraildisk: " + err.Error())
	}
}
