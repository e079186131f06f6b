package coap

import (
	"hash/maphash"
	"net/netip"
	"sync"
)

// answers remember what was answered, so that a packet which a client sends again
// because it has not got the answer is not taken twice (RFC 7252 section 4.2).
// Only answers to who has shown who he is are kept: nobody else evicts them.
type answers struct {
	mu   sync.Mutex
	seed maphash.Seed
	busy map[answerKey]struct{} // being answered; as many as there are workers and sessions
	kept map[answerKey][]byte
	ring [keptAnswers]answerKey
	next int
}

// keptAnswers is how many answers are remembered. A client repeats itself within a
// minute or two; that many messages in that time is 60 a second.
const keptAnswers = 8192

// answerKey stands for a packet and who sent it.
type answerKey struct {
	from netip.AddrPort
	hash uint64
}

func (a *answers) init() {
	a.seed = maphash.MakeSeed()
	a.busy, a.kept = make(map[answerKey]struct{}), make(map[answerKey][]byte)
}

func (a *answers) key(from netip.AddrPort, packet []byte) answerKey {
	return answerKey{from, maphash.Bytes(a.seed, packet)}
}

// begin reports whether a packet is the first of its kind. If not it returns the
// answer, nil if there is none yet.
func (a *answers) begin(k answerKey) (answer []byte, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if answer = a.kept[k]; answer != nil {
		return answer, false
	}
	if _, busy := a.busy[k]; busy {
		return nil, false
	}
	a.busy[k] = struct{}{}
	return nil, true
}

// end notes an answer; after nil the packet is looked at again if it comes again.
func (a *answers) end(k answerKey, answer []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.busy, k)
	if answer == nil {
		return
	}
	delete(a.kept, a.ring[a.next])
	a.ring[a.next] = k
	a.next = (a.next + 1) % keptAnswers
	a.kept[k] = answer
}
