package broker

import (
	"errors"
	"sync"

	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// answer is what the Authority says to one login: at once, within the call on
// the loop, or later from another goroutine.
type answer struct {
	client    *client
	request   *LoginRequest
	admission *Admission
	refusal   *Refusal

	mu      sync.Mutex
	onLoop  bool // the call to the Authority has not returned yet
	decided bool
}

// decide is the function handed to Authority.Login.
func (a *answer) decide(ad *Admission, r *Refusal) {
	a.mu.Lock()
	if a.decided {
		a.mu.Unlock()
		return
	}
	a.decided = true
	a.admission, a.refusal = ad, r
	if ad == nil && r == nil {
		a.refusal = &Refusal{Code: mqtt.ServerUnavailable, Cause: "the login was not decided"}
	}
	later := !a.onLoop
	a.mu.Unlock()
	if later {
		a.client.loop.t.Post(a)
	}
}

// Run takes a late answer up on the loop.
func (a *answer) Run(*transport.Loop) {
	c := a.client
	if c.closed {
		return
	}
	if c.loop.decided(c, a) {
		c.conn.Resume() // presents the CONNECT again
	}
}

func asMalformed(err error, m **mqtt.MalformedError) bool { return errors.As(err, m) }
