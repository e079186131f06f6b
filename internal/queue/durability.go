package queue

import "fmt"

// Durability says what a batch has reached when it is reported as committed.
type Durability uint8

const (
	// SyncToDisk reports after fsync: the batch survives a power cut, as far as
	// the disk tells the truth about its cache. It is the zero value.
	SyncToDisk Durability = iota
	// WriteToOS reports after write(2) has returned: the batch survives kill -9,
	// not a power cut. The store's own log writer keeps unsynced records in
	// process memory until 32 KiB are full, so this mode asks it for a sync,
	// which makes it write, and turns that sync into nothing.
	WriteToOS
	// WriteToMemory reports as soon as readers can see the batch: it survives an
	// orderly Close; a kill or a power cut takes the latest batches, in order.
	WriteToMemory
)

// String gives the constant's name.
func (d Durability) String() string {
	switch d {
	case SyncToDisk:
		return "SyncToDisk"
	case WriteToOS:
		return "WriteToOS"
	case WriteToMemory:
		return "WriteToMemory"
	}
	return fmt.Sprintf("Durability(%d)", uint8(d))
}
