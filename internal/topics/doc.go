// Package topics holds the two indexes that every publication meets: who
// subscribed to its topic ([Index]) and what was retained under a filter
// ([Retained]). Both are plain data structures: no I/O, no clock, no goroutine.
//
// A broker keeps one [Index] and one [Retained] for all event loops, and one
// [Cache] in each loop:
//
//	ix := topics.New[*Session]()
//	if err := topics.ValidFilter(f); err != nil { … refuse … }
//	ix.Subscribe(f, session, topics.QoS1, 0)
//
//	cache := topics.NewCache(ix, 4096, 8<<20) // one for each loop
//	route := cache.Lookup(topic)              // on every PUBLISH
//	for _, e := range route.Entries { … }
//	for _, g := range route.Shared {
//		for e := range g.Pick(g.Next()) { … take the first that accepts … }
//	}
//
// # How the index is built
//
// Most filters of a fleet have no wildcard and one subscriber, so filters
// without wildcards live in a hash table of 256 parts, each with its own lock,
// that holds the first subscriber in place. Filters with wildcards live in a tree
// of levels whose edges are kept in one hash table, (parent, level) → node, so
// that a node with a million children costs no more per child than a node with
// one. A match is one look-up and one walk that follows, at each level, the equal
// child and the `+` child.
//
// # Caveats
//
//   - The indexes do not validate filters and topics: call [ValidFilter]
//     and [ValidTopic] (or [Limits] with other bounds) where they arrive.
//   - One subscriber with overlapping filters appears once for each filter;
//     whether it gets one copy or several is the caller's choice [MQTT-3.3.4-2].
//   - The walk visits every node whose path matches a prefix of the topic. A
//     client that subscribes to all 2^n mixtures of `+` and names along one path
//     makes matching that path cost 2^n steps: bound the subscriptions a client
//     may hold.
//
// Clause numbers are those of MQTT 5.0 unless said otherwise.
package topics
