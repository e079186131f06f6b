// Package transport turns sockets into bytes and bytes into sockets.
//
// One port takes plain MQTT, TLS, WebSocket and WebSocket over TLS; the first
// byte tells them apart (spec connect.md §2). What a [Handler] sees is the
// same for all four: a [Conn], the bytes that arrived, and a buffer to append
// the answer to. A [Listener] may take some of them only, and may stand behind
// load balancers that speak the PROXY protocol.
//
// # Turns
//
// A connection belongs to one [Loop]; everything that happens to it happens
// there, so a handler needs no locks for what belongs to a connection. A loop
// works in turns:
//
//  1. wait for sockets, posted tasks or timers
//  2. run the tasks that were posted ([Loop.Post]) and the timers that are due
//  3. read each ready socket once and hand the bytes to Handler.Received
//  4. tell the handler about connections that ended (Handler.Closed)
//  5. Handler.EndTurn
//  6. write every connection that was appended to, each with one system call
//
// Handler.Closed is never called from inside another call of the handler: a
// connection that is aborted in the middle of something is reported in step 4
// of the same turn, or of the next one if step 5 or 6 ended it.
//
// Between its own turns, the first loop runs those of others that have had little to
// do for some time, as long as it has little to do itself (see lodging.go). A loop is
// therefore not the same as a goroutine, but never in two of them at a time.
//
// # Two variants
//
// On Linux the loops sit on epoll, edge-triggered, over bare descriptors: an
// idle connection costs its Conn (192 bytes) and a slot, no goroutine, no
// buffer and no timer. Elsewhere, and with Options.Portable, a goroutine per
// connection reads and a goroutine per pending write writes; turns, order and
// callbacks are the same.
//
// # Caveats
//
// All methods of Conn belong to its loop unless they say otherwise. From other
// goroutines, post a task. A task that holds a *Conn has to check that the
// connection still belongs to that loop if the handler moves connections.
package transport
