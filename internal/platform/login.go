package platform

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// Login decides a login: a user name with an & is a device's, any other an
// application's. There is no anonymous login.
func (p *Platform) Login(r *broker.LoginRequest, done func(*broker.Admission, *broker.Refusal)) {
	answer := func(a *broker.Admission, why *broker.Refusal) {
		if why != nil {
			p.refused(r, why)
		} else if d, ok := a.Principal.(*device); ok && r.Version == mqtt.V5 && withoutName(r.ClientID) {
			a.ClientID = d.pk + "." + d.dn
		}
		done(a, why)
	}
	switch {
	case strings.Contains(r.Username, "&"):
		p.loginDevice(r, answer)
	case (!r.HasUsername || r.Username == "") && len(r.Certificates) > 0:
		p.loginCertificate(r, answer)
	case !r.HasUsername || r.Username == "":
		if strings.Contains(r.ClientID, "|") {
			answer(nil, &broker.Refusal{Code: mqtt.BadUserNameOrPassword, Identity: clip(r.ClientID),
				Cause: "the CONNECT has a device's client id but no user name; expected {deviceName}&{productKey}. A device with a client certificate (X.509) connects over TLS and needs the setting tls.client_certificates"})
			return
		}
		answer(nil, &broker.Refusal{Code: mqtt.NotAuthorized, Identity: clip(r.ClientID),
			Cause: "the CONNECT has no user name, and nobody may log in anonymously; a device sends {deviceName}&{productKey}, an application the name of its user (linkstead user add NAME)"})
	default:
		if id, err := alink.ParseClientID(r.ClientID); err == nil {
			if id.SecureMode == "-1" {
				p.loginGuided(r, id, answer)
				return
			}
			if why := misguided(id, clip(r.Username)); why != nil {
				answer(nil, why)
				return
			}
		}
		p.loginUser(r, answer)
	}
}

// withoutName reports whether a device's client id has parameters at most: a 5.0
// device then wants one from the server (spec/services.md §16).
func withoutName(clientID string) bool { return clientID == "" || clientID[0] == '|' }

// refused keeps a refusal for those who ask why.
func (p *Platform) refused(r *broker.LoginRequest, why *broker.Refusal) {
	p.refusals.add(Refusal{
		AtMS: p.now().UnixMilli(), Identity: why.Identity, ClientID: r.ClientID, Remote: transport.PeerName(r.Remote),
		Transport: r.Kind.String(), Code: why.Code.String(), Cause: why.Cause,
	})
}

// busy is the refusal when too many logins wait.
func busy(identity string) *broker.Refusal {
	return &broker.Refusal{Code: mqtt.ServerUnavailable, Identity: identity,
		Cause: "too many logins are waiting; the client should try again later"}
}

// clip bounds what a stranger can put into a log.
func clip(s string) string {
	if len(s) > 128 {
		return s[:128] + "…"
	}
	return s
}

// withoutToken blanks the bind token that consumer firmware carries in its client
// id (spec/connect.md §7).
func withoutToken(clientID string) string {
	before, rest, found := strings.Cut(clientID, "token=")
	if !found {
		return clientID
	}
	if end := strings.IndexAny(rest, ",|"); end >= 0 {
		return before + "token=***" + rest[end:]
	}
	return before + "token=***"
}

// Refusal is a login that was refused, as its owner sees it.
type Refusal struct {
	AtMS      int64  `json:"at"` // Unix milliseconds
	Identity  string `json:"identity"`
	ClientID  string `json:"clientId"`
	Remote    string `json:"remote"`
	Transport string `json:"transport"`
	Code      string `json:"code"`
	Cause     string `json:"cause"`
}

const keptRefusals = 200

// refusals keeps the latest refusals.
type refusals struct {
	mu   sync.Mutex
	ring []Refusal
	next int
}

func (r *refusals) add(x Refusal) {
	x.ClientID = clip(withoutToken(x.ClientID))
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) < keptRefusals {
		r.ring = append(r.ring, x)
		return
	}
	r.ring[r.next] = x
	r.next = (r.next + 1) % keptRefusals
}

// Refusals returns the latest refused logins, newest first.
func (p *Platform) Refusals() []Refusal {
	r := &p.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Refusal, 0, len(r.ring))
	for i := len(r.ring) - 1; i >= 0; i-- {
		out = append(out, r.ring[(r.next+i)%len(r.ring)])
	}
	return out
}

const keptDrops = 1000

// drops keeps the latest messages that were not delivered.
type drops struct {
	mu     sync.Mutex
	ring   []broker.Drop
	next   int
	totals map[string]uint64
}

// Dropped records a message that was not delivered. What repeats within a second
// is counted in one record.
func (p *Platform) Dropped(d broker.Drop) {
	switch d.Reason {
	case broker.DropNotAuthorized.String():
		p.refusedForSub(d)
	case broker.DropRate.String():
		p.tooFast(d)
	}
	r := &p.drops
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.totals == nil {
		r.totals = make(map[string]uint64)
	}
	r.totals[d.Reason] += uint64(max(d.Count, 1))
	if n := len(r.ring); n > 0 {
		at := (r.next + n - 1) % n
		if n < keptDrops {
			at = n - 1
		}
		last := &r.ring[at]
		if last.Key == d.Key && last.Topic == d.Topic && last.Reason == d.Reason && d.AtMS-last.AtMS < time.Second.Milliseconds() {
			last.Count += d.Count
			last.Bytes += d.Bytes
			return
		}
	}
	if len(r.ring) < keptDrops {
		r.ring = append(r.ring, d)
		return
	}
	r.ring[r.next] = d
	r.next = (r.next + 1) % keptDrops
}

// tooFast writes into a device's log that it publishes more than the cloud takes.
func (p *Platform) tooFast(drop broker.Drop) {
	e, ok := p.devices.GetIfPresent(drop.Key)
	pk, dn, named := strings.Cut(strings.TrimPrefix(drop.Key, "d:"), "/")
	if !ok || !named {
		return
	}
	t, _ := alink.ParseTopic(drop.Topic)
	limit := p.settings.Load().Device.LossyRates[min(drop.QoS, 1)]
	p.remark(&device{id: e.id, pk: pk, dn: dn}, t, alink.CodeTooManyRequests,
		fmt.Sprintf("dropped, not acknowledged: more than %d messages in a second at QoS %d (setting device.strict)", limit, drop.QoS))
}

// Drops returns the latest messages that were not delivered, newest first, and
// how many there were of each reason since the start.
func (p *Platform) Drops() (latest []broker.Drop, totals map[string]uint64) {
	r := &p.drops
	r.mu.Lock()
	defer r.mu.Unlock()
	totals = make(map[string]uint64, len(r.totals))
	for k, v := range r.totals {
		totals[k] = v
	}
	n := len(r.ring)
	for i := n - 1; i >= 0; i-- {
		latest = append(latest, r.ring[(r.next+i)%n])
	}
	return latest, totals
}
