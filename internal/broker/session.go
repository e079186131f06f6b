package broker

import (
	"sync/atomic"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/session"
	"github.com/linkstead/linkstead/internal/topics"
)

// Session is what a client has with the server beyond one connection. It
// belongs to one loop, its home, for as long as it exists; only key, owner,
// home, device and durable may be read elsewhere.
type Session struct {
	key   string
	owner string
	home  *loop

	device  bool
	more    bool // there are messages on disk behind waiting
	reading bool
	touched bool // has messages in the loop's batch
	dirty   bool // its record goes with the loop's batch
	unsaved bool // the disk did not take its record
	gone    bool
	counted bool // in Broker.owners
	// durable: it outlives its connection and the server, and so do the messages
	// that wait for it.
	durable atomic.Bool
	online  atomic.Bool

	profile *Profile
	rights  Rights
	client  *client   // nil while offline
	via     *carriage // set while another client's connection carries it; then client is nil

	id   queue.SessionID // 0: nothing of it is stored
	subs subscriptions

	out session.Outbound
	in  session.Inbound

	seq       uint64 // of the newest message
	committed uint64 // newest message on disk; only durable sessions wait for it
	loaded    uint64 // newest message that is or was in waiting
	sent      uint64 // newest message ever sent to the client
	done      uint64 // every message up to this one is completed

	waiting     backlog
	stored      int // messages on disk that are not completed
	storedBytes int64

	expirySeconds uint32       // 5.0 Session Expiry Interval; ^0 never
	load          atomic.Int32 // how much a member of shared subscriptions has to do; see weigh
	offlineMS     int64        // Unix milliseconds of the last disconnect
	expiresMS     int64        // when the first stored message may expire, 0: none will; see expire.go
	rare          *rare        // what few sessions have, nil if nothing of it
}

// subscription is one filter of a session.
type subscription struct {
	filter  string
	options topics.Options
	id      uint32
}

// item is a QoS 1 or 2 message that waits for its client.
type item struct {
	seq        uint64
	topic      string
	payload    []byte
	properties []byte
	ids        []uint32 // subscription identifiers
	share      string   // the shared subscription it is for, or empty
	publisher  string
	expiresMS  int64
	ownLimit   bool // expiresMS is the server's limit, not the publisher's wish
	qos        byte
	retain     bool
	released   bool
}

func (it *item) bytes() int { return len(it.topic) + len(it.payload) + len(it.properties) + 64 }

// forget drops what is in memory for the client; what a durable session has on
// disk is read again.
func (s *Session) forget() (lost int) {
	lost = s.waiting.count()
	s.waiting.forget()
	if oldest, some := s.out.Oldest(); some {
		s.done = oldest - 1
		if !s.durable.Load() {
			lost += s.out.InFlight()
		}
	} else {
		s.done = max(s.done, s.sent)
	}
	s.out.Reset()
	return lost
}

// unstore counts one message less on disk. The size of the one that left is not
// known any more, so the bytes are kept as an average.
func (s *Session) unstore() {
	if s.stored == 0 {
		return
	}
	left := s.storedBytes / int64(s.stored)
	s.storedBytes -= left
	s.meterQueue(-1, -left)
	s.stored--
}
