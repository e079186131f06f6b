// Package queue remembers, over restarts, what the MQTT engine may not forget:
// the QoS 1 and 2 messages waiting for persistent sessions, the session
// records, the packet identifiers of half-received QoS 2 messages, and the
// retained messages.
//
// # Use
//
// An event loop fills a [Batch] during one turn and submits it; it never waits:
//
//	b := log.GetBatch()
//	b.Append(session, seq, &message)
//	b.Delete(session, acknowledged)
//	log.Submit(b, turn) // turn.Committed(err) is called later
//
// Everything that waits is merged into one write with one sync, however many
// loops and sessions it came from (group commit). While one group is being
// synced the next is being merged. A Batch is applied whole or not at all, with
// the one exception written at [ErrDiskFull].
//
// # What Committed(nil) means
//
// With [SyncToDisk] the batch survives a power cut. With [WriteToOS] it
// survives the death of the process (kill -9 included) but not a power cut.
// With [WriteToMemory] it survives an orderly Close only. In all three, what
// survives is consistent: a batch is there whole, and no batch of a goroutine is
// there while an earlier applied one of the same goroutine is missing.
//
// Any other result means: treat the batch as lost. After [ErrUnavailable] it may
// nevertheless turn up when the store is back, because a write whose sync failed
// may have reached the disk; acknowledgement must therefore not be sent, and a
// sender's retransmission makes up for it, which is at-least-once as
// [MQTT-4.3.2-1] asks.
//
// # When the disk fails
//
// The store never ends the process. A failed write or sync closes the gate to
// the disk at once: everything under way is reported as failed, and the store is
// opened anew from what the disk holds, again and again until that succeeds.
// Until then Submit reports [ErrUnavailable], and so do the reading methods.
// Before the disk is entirely full ([Options.MinFreeBytes]) additions are
// refused with [ErrDiskFull] while deletions still work, so that a server that
// delivers its queue recovers without help.
//
// # Caveats
//
//   - One process per folder; a second Open fails.
//   - Expired messages are not removed here: the reader looks at
//     Message.ExpiresMS and deletes.
//   - DeleteSession removes the record alone; Clear removes what the session
//     owns. Put both in the same Batch.
//   - Clear and DeleteThrough are cheap to write but, like every range deletion,
//     cost readers a little until the next flush; for a single message use
//     Delete.
package queue
