package broker

// DropReason says why a message was not delivered.
type DropReason uint8

// The reasons for which a message is dropped. Each has a counter, and each drop
// of a message at QoS 1 or 2 is told to the Recorder.
const (
	DropOffline       DropReason = iota // QoS 0, or a clean session, and the client is not connected
	DropSlowConsumer                    // the client does not read fast enough
	DropQueueFull                       // too many messages wait for the client
	DropExpired                         // the message's time was up
	DropNotAuthorized                   // the publisher or the receiver has no right to the topic
	DropTooLarge                        // larger than the receiver's Maximum Packet Size
	DropSessionEnded                    // waited for a session that ended
	DropNoReceiver                      // nobody has subscribed
	DropStorage                         // the disk did not take it; the publisher was told
	DropMemory                          // memory is short, and the client does not read fast enough
	DropTopic                           // the topic is longer or deeper than the publisher may use
	DropRetainedFull                    // there are as many retained messages as allowed
	DropRate                            // the publisher sends more than LossyRates, and asked for that to be so
	dropReasons
)

func (r DropReason) String() string {
	switch r {
	case DropOffline:
		return "offline"
	case DropSlowConsumer:
		return "slow consumer"
	case DropQueueFull:
		return "queue full"
	case DropExpired:
		return "expired"
	case DropNotAuthorized:
		return "not authorized"
	case DropTooLarge:
		return "too large"
	case DropSessionEnded:
		return "session ended"
	case DropNoReceiver:
		return "no receiver"
	case DropStorage:
		return "storage failed"
	case DropRetainedFull:
		return "retained full"
	case DropMemory:
		return "memory"
	case DropTopic:
		return "topic"
	case DropRate:
		return "rate"
	}
	return "unknown"
}

// Drop is one message that was not delivered.
type Drop struct {
	AtMS   int64  `json:"at"`     // Unix milliseconds
	Key    string `json:"client"` // session of the receiver, or of the publisher for what was not taken from it
	Topic  string `json:"topic"`  // empty if Count messages were lost together
	QoS    byte   `json:"qos"`
	Bytes  int    `json:"bytes"` // of the payloads
	Count  int    `json:"count"` // messages alike in one turn of a loop
	Reason string `json:"reason"`
}

// Recorder learns of messages that were dropped. Dropped is called on event
// loops and must not block.
type Recorder interface {
	Dropped(d Drop)
}

// drop counts a message that is not delivered to key and records it.
func (l *loop) drop(r DropReason, key, topic string, qos byte, bytes int) {
	l.stats.dropped[r].add(1)
	l.traceDropped(r, key, topic, qos, bytes, 1)
	if r == DropNoReceiver {
		return // normal for a broker: counted, not recorded
	}
	if l.b.options.Recorder == nil {
		return
	}
	// A flood to a client that does not read is one record a turn: telling of
	// each message would cost more than routing it.
	if d := &l.lastDrop; d.Count > 0 && l.lastReason == r && d.QoS == qos && d.Key == key && d.Topic == topic {
		d.Count++
		d.Bytes += bytes
		return
	}
	l.handDrop()
	l.lastReason = r
	l.lastDrop = Drop{AtMS: l.nowMS(), Key: key, Topic: topic, QoS: qos, Bytes: bytes, Count: 1, Reason: r.String()}
}

// handDrop gives the recorder what drop has gathered, at the latest at the end of
// the turn.
func (l *loop) handDrop() {
	if l.lastDrop.Count > 0 {
		l.b.options.Recorder.Dropped(l.lastDrop)
		l.lastDrop = Drop{}
	}
}

// dropAll counts and records messages that are lost together, whose topics are
// not at hand.
func (l *loop) dropAll(r DropReason, key string, count int) {
	if count <= 0 {
		return
	}
	l.stats.dropped[r].add(uint64(count))
	l.traceDropped(r, key, "", 1, 0, count)
	if rec := l.b.options.Recorder; rec != nil {
		l.handDrop()
		rec.Dropped(Drop{AtMS: l.nowMS(), Key: key, QoS: 1, Count: count, Reason: r.String()})
	}
}
