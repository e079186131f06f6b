package broker

// While memory is tight (see Broker.Tight), a client may have tightShare of the
// output and of the memory queue that it may have otherwise: who reads slowest
// holds most. What waits on disk, and what is in these already, stays.
const tightShare = 64

// Tight tells the broker that memory is short, or no longer. Any goroutine.
func (b *Broker) Tight(yes bool) {
	b.tight.Store(yes)
	for _, l := range b.loops {
		l.t.Post(task{func() { l.tight = yes }})
	}
}

// slow reports whether a QoS 0 message for a client is dropped because it does not
// read fast enough, and which reason that is.
func (l *loop) slow(c *client, limit int) (DropReason, bool) {
	if l.tight && c.full(limit/tightShare) {
		if c.conn.Buffered() <= limit {
			return DropMemory, true
		}
		return DropSlowConsumer, true
	}
	return DropSlowConsumer, c.full(limit)
}

// crowded reports whether a message of so many bytes does not fit any more into
// what waits in memory for a session that ends with its connection.
func (l *loop) crowded(s *Session, bytes int) (DropReason, bool) {
	if s.waiting.count() >= s.profile.MaxQueued || s.waiting.size()+bytes > s.profile.MaxQueuedBytes {
		return DropQueueFull, true
	}
	return DropMemory, l.tight && s.waiting.size()+bytes > s.profile.MaxQueuedBytes/tightShare
}
