package queue

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Checked is what a check of a store has found.
type Checked struct {
	Sessions int `json:"sessions"`
	Messages int `json:"messages"` // in queues
	Retained int `json:"retained"`
	// Problems tell what is damaged.
	Problems []string `json:"problems,omitempty"`
	// SetAside are folders of damaged stores beside this one; see Damage.
	SetAside []string `json:"set_aside,omitempty"`
}

// maxProblems is how many a check tells.
const maxProblems = 1000

func (c *Checked) problem(format string, a ...any) {
	if len(c.Problems) < maxProblems {
		c.Problems = append(c.Problems, fmt.Sprintf(format, a...))
	}
}

// Check reads everything in a folder that no process has open, and changes
// nothing. session judges the record of a session. It fails while a server has
// the folder open, and when there is no store in it. Damage is no error but told
// in the result.
func Check(dir string, session func(record []byte) error) (c Checked, err error) {
	defer func() {
		if r := recover(); r != nil {
			c.problem("reading the store ended in panic: %v", r)
			err = nil
		}
	}()
	lock, err := vfs.Default.Lock(vfs.Default.PathJoin(dir, "LOCK"))
	if err != nil {
		return c, fmt.Errorf("queue: the message store in %s is in use by a server, or is not there: stop the server first, or check a backup: %w", dir, err)
	}
	defer lock.Close()
	c.SetAside = SetAside(vfs.Default, dir)
	k, err := inspect(vfs.Default, dir)
	if err != nil {
		return c, fmt.Errorf("queue: the message store in %s cannot be read: %w", dir, err)
	}
	for _, d := range k.damaged {
		c.problem("%s", d)
	}
	db, err := openReadOnly(vfs.Default, dir)
	if err != nil {
		if len(k.damaged) > 0 {
			return c, nil
		}
		if pebble.IsCorruptionError(err) {
			c.problem("the store does not open: %v", err)
			return c, nil
		}
		return c, fmt.Errorf("queue: the message store in %s cannot be read: %w", dir, err)
	}
	defer func() {
		if closeErr := db.Close(); closeErr != nil {
			c.problem("closing the store: %v", closeErr)
		}
	}()
	// Each kind of key by itself: damage in one does not hide the others.
	for _, kind := range []byte{keyMeta, keyQueue, keyRetained, keySession} {
		if err := c.kind(db, kind, session); err != nil {
			c.problem("a file of the store is damaged: what lies in it, and behind it among the %s, is not read: %v", kindName(kind), err)
		}
	}
	return c, nil
}

func kindName(kind byte) string {
	switch kind {
	case keyQueue:
		return "queues"
	case keyRetained:
		return "retained messages"
	case keySession:
		return "sessions"
	}
	return "values of the store's own"
}

func (c *Checked) kind(db *pebble.DB, kind byte, session func([]byte) error) (err error) {
	iter, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := iter.Close(); err == nil {
			err = closeErr
		}
	}()
	for iter.First(); iter.Valid(); iter.Next() {
		v, err := iter.ValueAndErr()
		if err != nil {
			return err
		}
		c.value(iter.Key(), v, session)
	}
	return nil
}

func (c *Checked) value(key, v []byte, session func([]byte) error) {
	switch key[0] {
	case keyQueue:
		seq, ok := keySeq(key)
		if !ok || isBareState(v) {
			return
		}
		c.Messages++
		body, trailer, err := splitMessage(v)
		if err == nil {
			_, _, err = decodeState(trailer)
		}
		if err == nil {
			err = new(Message).decode(v[0], body, "")
		}
		if err != nil {
			c.problem("message %d of session %d is damaged and will be left out: %v", seq, binary.BigEndian.Uint64(key[1:]), err)
		}
	case keyRetained:
		c.Retained++
		if err := new(Message).UnmarshalBinary(v); err != nil {
			if id, topic := retainedOf(key); id != 0 {
				c.problem("retained message %d is damaged and will be left out: %v", id, err)
			} else {
				c.problem("the retained message of %.200q is damaged and will be left out: %v", topic, err)
			}
		}
	case keySession:
		if len(key) != sessionKeyLen {
			return
		}
		c.Sessions++
		if err := session(v); err != nil {
			c.problem("session %d is damaged and will be left out: %v", binary.BigEndian.Uint64(key[1:]), err)
		}
	}
}

// unlockedFS does without the store's own lock: Check holds it.
type unlockedFS struct{ vfs.FS }

func (unlockedFS) Lock(string) (io.Closer, error) { return unlocked{}, nil }

func (f unlockedFS) Unwrap() vfs.FS { return f.FS }
