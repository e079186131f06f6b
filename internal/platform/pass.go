package platform

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/rate"
)

// passTime is how long the token of a door is good (spec/services.md §14).
const passTime = 7 * 24 * time.Hour

// maxPasses is how many passes a device may have at one time, of each sort. An older
// one gives way, and its holder authenticates again.
const maxPasses = 4

// pass is what a device has got at a door other than MQTT for proving who it is: a
// token to show with every message. It is void when the device is changed, disabled
// or deleted, and is not kept over a restart: clients authenticate again when theirs
// is refused.
type pass struct {
	d        *device
	clientID string
	token    string
	door     string // that it is good for
	expires  time.Time
	// key encrypts the messages of a symmetric CoAP session, nil for other doors.
	key    *alink.CoAPKey
	random string // that key was made with
	silent bool   // answers hold no data (ackMode 1)

	mu       sync.Mutex
	seqs     alink.CoAPSeqs
	proven   bool // somebody has shown that he knows the secret
	messages rate.Bucket
	bytes    rate.Bucket
}

// passes are the passes that are good, by token and by device.
type passes struct {
	mu     sync.Mutex
	token  map[string]*pass
	device map[string][]*pass // by session key, oldest first
	swept  time.Time
}

// newToken is a text that nobody guesses, of 32 digits.
func newToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// issue makes a pass good. One that nobody has proven to know the secret of gives
// way to none that has: whoever repeats an /auth that he overheard drives no device
// out.
func (s *passes) issue(x *pass, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == nil {
		s.token, s.device = make(map[string]*pass), make(map[string][]*pass)
	}
	if now.Sub(s.swept) > time.Hour {
		s.swept = now
		for _, old := range s.token {
			if now.After(old.expires) {
				s.remove(old)
			}
		}
	}
	s.token[x.token] = x
	s.device[x.d.key] = append(s.device[x.d.key], x)
	s.limit(x.d.key, x.isProven())
}

func (x *pass) isProven() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.proven
}

// limit removes the oldest pass of a sort if a device has too many of it. The caller
// holds mu.
func (s *passes) limit(key string, proven bool) {
	var first *pass
	n := 0
	for _, x := range s.device[key] {
		if x.isProven() == proven {
			if n++; first == nil {
				first = x
			}
		}
	}
	if n > maxPasses {
		s.remove(first)
	}
}

// remove makes a pass void. The caller holds mu.
func (s *passes) remove(x *pass) {
	if s.token[x.token] != x {
		return
	}
	delete(s.token, x.token)
	if left := slices.DeleteFunc(s.device[x.d.key], func(o *pass) bool { return o == x }); len(left) > 0 {
		s.device[x.d.key] = left
	} else {
		delete(s.device, x.d.key)
	}
}

// find returns the pass of a token, nil if there is none; expired tells that it was
// one.
func (s *passes) find(token string, now time.Time) (x *pass, expired bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x = s.token[token]
	if x == nil {
		return nil, false
	}
	if now.After(x.expires) {
		s.remove(x)
		return nil, true
	}
	if x.d.entry.revoked.Load() {
		s.remove(x)
		return nil, false
	}
	return x, false
}

// prove notes that a pass is used by who knows the secret, and reports whether that is
// new.
func (s *passes) prove(x *pass) (first bool) {
	x.mu.Lock()
	was := x.proven
	x.proven = true
	x.mu.Unlock()
	if was {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit(x.d.key, true)
	return true
}

// revoke makes every pass of a device void.
func (s *passes) revoke(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range slices.Clone(s.device[key]) {
		s.remove(x)
	}
}

// allow reports whether a message of size bytes is within what its device may send
// in a second; 0 is any number.
func (x *pass) allow(now time.Time, size, perSecond, bytesPerSecond int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if r := float64(perSecond); r > 0 && !x.messages.TakeWhole(now.UnixNano(), r, max(r, 1)) {
		return false
	}
	if r := float64(bytesPerSecond); r > 0 && !x.bytes.Take(now.UnixNano(), float64(size), r, r) {
		return false
	}
	return true
}

// use marks the sequence number of a message as used; false for a repetition.
func (x *pass) use(n uint64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seqs.Use(n)
}
