// Package trace keeps what became of each device's messages in a ring on disk:
// accepted, queued, delivered, acknowledged, expired, dropped. It is bounded for
// each device and in total, and it never holds anybody up: what comes faster than
// it can be kept is left out and counted.
//
// The file is an array of blocks of 2 KB. A block belongs to one device and holds
// its records in order; a device has at most so many blocks, and when there is no
// free one the block that was not written to for the longest time is taken. Nothing
// is synced: after a power cut the newest records may be missing, and a record that
// was half written ends its block.
package trace
