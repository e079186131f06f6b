// Package session holds the state of one MQTT session as pure data: what is in
// flight towards the client, what has been received at QoS 2, and in which order
// acknowledgements are owed. It does no I/O, keeps no clock, starts no
// goroutine and takes no lock: the event loop that owns a session calls it, and
// tests drive it with scripts (testdata/*.txt).
//
// # Packet identifiers
//
// An outgoing QoS 1 or 2 message carries a sequence number that grows by one
// for every message of its session, and the packet identifier is a function of
// that number alone ([PacketID]). A message that is sent again after a
// reconnect, or after the server was killed, therefore carries its original
// identifier, as [MQTT-4.4.0-1] demands, without the identifier having been
// stored.
//
// # Caveats
//
// Sequence numbers in flight span less than 65,535, so identifiers never
// collide; a client that leaves one message unacknowledged while it acknowledges
// everything after it is stalled once that span is reached.
package session
