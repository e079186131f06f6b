package platform

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/mqtt"
)

// users is what is kept in memory of applications' users.
type users struct {
	mu    sync.Mutex
	m     map[string]*user
	epoch uint64   // grows whenever a user has changed
	proof [32]byte // key under which verified passwords are remembered
	dummy string   // a hash for users that do not exist

	// checking has the logins that wait for a password that is being checked
	// already: after a restart all clients of a user come at once, and one look
	// is enough for them.
	checking map[check][]waitingLogin
	waiting  int
}

// check is a password of a user that is being checked.
type check struct {
	name  string
	proof [sha256.Size]byte
	given bool
}

type waitingLogin struct {
	r    *broker.LoginRequest
	done func(*broker.Admission, *broker.Refusal)
}

// loginsWaiting bounds those that wait for a check. The transport has far fewer
// connections that have not logged in.
const loginsWaiting = 100_000

// user is one user and the rights of its connections.
type user struct {
	name     string
	owner    string // of its sessions
	hash     string
	verifier string // of SCRAM, empty if there is none
	enabled  bool
	rights   atomic.Pointer[[]store.Right]

	revoked  atomic.Bool // changed since it was read: its logins must not stand
	mu       sync.Mutex
	verified [sha256.Size]byte // proof of the password that was verified last
	known    bool
}

func (u *users) init() {
	u.m = make(map[string]*user)
	u.checking = make(map[check][]waitingLogin)
	_, _ = rand.Read(u.proof[:])
	var b [16]byte
	_, _ = rand.Read(b[:])
	u.dummy, _ = HashPassword(fmt.Sprintf("%x", b))
}

func (p *Platform) proof(password []byte) [sha256.Size]byte {
	h := hmac.New(sha256.New, p.users.proof[:])
	h.Write(password)
	return [sha256.Size]byte(h.Sum(nil))
}

// loginUser checks the login of an application. A password that was verified
// before costs a hash, a new one argon2id on a worker.
func (p *Platform) loginUser(r *broker.LoginRequest, done func(*broker.Admission, *broker.Refusal)) {
	name := r.Username
	if r.ClientID == "" && r.Version != mqtt.V5 && !r.CleanStart {
		done(nil, &broker.Refusal{Code: mqtt.ClientIdentifierNotValid, Identity: clip(name),
			Cause: "an empty client identifier needs Clean Session 1 [MQTT-3.1.3-8]"})
		return
	}
	p.users.mu.Lock()
	u := p.users.m[name]
	p.users.mu.Unlock()
	if u != nil && r.HasPassword {
		if u.enabled && u.remembers(p.proof(r.Password)) {
			done(p.admitUser(r, u), nil)
			return
		}
	}
	if r.Suspect { // somebody tries passwords; a client that was here before has been let in above
		done(nil, &broker.Refusal{Code: mqtt.ServerUnavailable, Identity: clip(name),
			Cause: "too many logins from this address failed lately, so no new password is checked for it now; the client should try again later (limits.failed_logins)"})
		return
	}
	what := check{name: name, proof: p.proof(r.Password), given: r.HasPassword}
	first, room := p.users.wait(what, waitingLogin{r, done})
	if !room {
		done(nil, busy(clip(name)))
		return
	}
	if !first {
		return
	}
	queued := later(p.verify, func() {
		u, why := p.checkUser(name, r)
		for _, w := range p.users.checked(what) {
			if why != nil {
				w.done(nil, why)
				continue
			}
			w.done(p.admitUser(w.r, u), nil)
		}
	})
	if !queued {
		for _, w := range p.users.checked(what) {
			w.done(nil, busy(clip(name)))
		}
	}
}

// Rights finds what a user may do now. Devices have nothing that asks for it.
func (p *Platform) Rights(owner string, found func(broker.Rights, error)) {
	name, ok := strings.CutPrefix(owner, "u:")
	if !ok {
		found(nil, nil)
		return
	}
	answer := func(u *user) {
		if !u.enabled {
			found(nil, nil)
			return
		}
		found(u, nil)
	}
	p.users.mu.Lock()
	u := p.users.m[name]
	p.users.mu.Unlock()
	if u != nil {
		answer(u)
		return
	}
	queued := later(p.lookup, func() {
		switch u, err := p.user(p.ctx, name); {
		case err == nil:
			answer(u)
		case errors.Is(err, store.ErrNotFound):
			found(nil, nil)
		default:
			found(nil, err)
		}
	})
	if !queued {
		found(nil, errors.New("too many look-ups at a time"))
	}
}

// wait puts a login to those that wait for a check, and reports whether it is the
// first, which has to see to it.
func (u *users) wait(what check, w waitingLogin) (first, room bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.waiting >= loginsWaiting {
		return false, false
	}
	u.waiting++
	others := u.checking[what]
	u.checking[what] = append(others, w)
	return len(others) == 0, true
}

// checked takes the logins that waited for a check.
func (u *users) checked(what check) []waitingLogin {
	u.mu.Lock()
	defer u.mu.Unlock()
	waited := u.checking[what]
	delete(u.checking, what)
	u.waiting -= len(waited)
	return waited
}

// checkUser decides whether the name and password of a login are right. It may
// block.
func (p *Platform) checkUser(name string, r *broker.LoginRequest) (*user, *broker.Refusal) {
	u, err := p.user(p.ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		p.logger.Error("a user could not be looked up", "user", clip(name), "error", err)
		return nil, &broker.Refusal{Code: mqtt.ServerUnavailable, Identity: clip(name), Cause: "the user could not be looked up: " + err.Error()}
	}
	if u != nil && u.enabled && r.HasPassword && u.remembers(p.proof(r.Password)) {
		return u, nil // verified for another connection meanwhile
	}
	hash := p.users.dummy // so that unknown users take as long
	if u != nil {
		hash = u.hash
	}
	ok := VerifyPassword(hash, string(r.Password))
	switch {
	case u == nil:
		return nil, &broker.Refusal{Code: mqtt.BadUserNameOrPassword, Identity: clip(name),
			Cause: "there is no user " + clip(name) + "; create it: linkstead user add " + clip(name) + ". (A device's user name is {deviceName}&{productKey}.)"}
	case !ok || !r.HasPassword:
		return nil, &broker.Refusal{Code: mqtt.BadUserNameOrPassword, Identity: clip(name), Cause: "wrong password"}
	case !u.enabled:
		return nil, &broker.Refusal{Code: mqtt.NotAuthorized, Identity: clip(name), Cause: "the user is disabled"}
	}
	u.mu.Lock()
	u.verified, u.known = p.proof(r.Password), true
	u.mu.Unlock()
	return u, nil
}

// remembers reports whether a password with this proof was verified before.
func (u *user) remembers(proof [sha256.Size]byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.known && hmac.Equal(u.verified[:], proof[:])
}

// user returns a user from memory, or reads it. It may block.
func (p *Platform) user(ctx context.Context, name string) (*user, error) {
	for {
		p.users.mu.Lock()
		u, epoch := p.users.m[name], p.users.epoch
		p.users.mu.Unlock()
		if u != nil {
			return u, nil
		}
		rec, err := p.store.User(ctx, name)
		if err != nil {
			return nil, err
		}
		hash, verifier, _ := strings.Cut(rec.PasswordHash, " ")
		u = &user{name: rec.Name, owner: "u:" + rec.Name, hash: hash, verifier: verifier, enabled: rec.Enabled}
		u.rights.Store(&rec.Rights)
		p.users.mu.Lock()
		if p.users.epoch == epoch && p.users.m[name] == nil {
			p.users.m[name] = u
			p.users.mu.Unlock()
			return u, nil
		}
		p.users.mu.Unlock() // somebody changed or read it meanwhile: again
	}
}

func (p *Platform) admitUser(r *broker.LoginRequest, u *user) *broker.Admission {
	id := r.ClientID
	a := &broker.Admission{Owner: u.owner, Profile: p.Profile(false), Rights: u, Principal: u}
	if id == "" {
		id = broker.AssignClientID()
		a.ClientID = id
	}
	a.Key = "a:" + id
	return a
}

// Publish decides by the user's rights of now.
func (u *user) Publish(topic string) broker.Decision {
	for _, r := range *u.rights.Load() {
		if r.Publish && topics.Matches(r.Filter, topic) {
			return broker.Route
		}
	}
	return broker.Deny
}

// Subscribe reports whether one right covers the filter.
func (u *user) Subscribe(filter string) bool {
	for _, r := range *u.rights.Load() {
		if r.Subscribe && topics.Covers(r.Filter, filter) {
			return true
		}
	}
	return false
}

// Receive reports whether a message that waited may be delivered.
func (u *user) Receive(topic string) bool {
	for _, r := range *u.rights.Load() {
		if r.Subscribe && topics.Matches(r.Filter, topic) {
			return true
		}
	}
	return false
}

// User is an application's user as it is managed.
type User struct {
	Name      string  `json:"name"`
	Rights    []Right `json:"rights"`
	Enabled   bool    `json:"enabled"`
	CreatedAt int64   `json:"createdAt"` // Unix milliseconds
}

// Right allows something on the topics that a filter matches.
type Right struct {
	Filter    string `json:"filter"`
	Publish   bool   `json:"publish,omitempty"`
	Subscribe bool   `json:"subscribe,omitempty"`
}

// PutUser creates a user, or changes its password and rights. Connections it has
// are closed, so that they come back with what is true now.
func (p *Platform) PutUser(ctx context.Context, who, name, password string, rights []Right) error {
	if name == "" || len(name) > 128 || strings.ContainsAny(name, "&\x00\r\n") {
		return &Error{Kind: KindInvalid, Message: fmt.Sprintf("%q cannot be a user name", clip(name)),
			Hint: "use 1 to 128 characters without &, which marks devices"}
	}
	if len(password) < 8 || len(password) > 256 {
		return &Error{Kind: KindInvalid, Message: "the password must have 8 to 256 characters"}
	}
	rec := store.User{Name: name, Enabled: true}
	for _, r := range rights {
		if err := topics.ValidFilter(r.Filter); err != nil {
			return &Error{Kind: KindInvalid, Message: err.Error(), Hint: "a right is a topic filter such as /sys/a1ji0qFv6Jf/+/thing/#"}
		}
		if strings.HasPrefix(r.Filter, "$share/") {
			return &Error{Kind: KindInvalid, Message: r.Filter + " is a shared subscription, not a right", Hint: "give the right to the filter behind the group"}
		}
		rec.Rights = append(rec.Rights, store.Right(r))
	}
	hash, err := HashPassword(password)
	if err != nil {
		return err
	}
	rec.PasswordHash = hash
	if p.settings.Load().SCRAM {
		verifier, err := scramVerifier(password)
		if err != nil {
			return &Error{Kind: KindInvalid, Message: "the password cannot be used with SCRAM: " + err.Error(),
				Hint: "choose one of ordinary characters, or switch auth.scram off"}
		}
		rec.PasswordHash += " " + verifier
	}
	if err := p.store.PutUser(ctx, rec); err != nil {
		return err
	}
	p.forgetUser(name, &rec.Rights)
	p.audit(ctx, who, "user.put", name, fmt.Sprintf("%d rights", len(rights)))
	return nil
}

// DeleteUser removes a user and closes its connections.
func (p *Platform) DeleteUser(ctx context.Context, who, name string) error {
	if err := p.store.DeleteUser(ctx, name); err != nil {
		return err
	}
	p.forgetUser(name, &[]store.Right{})
	p.audit(ctx, who, "user.delete", name, "")
	return nil
}

// forgetUser takes a user out of memory; open connections get the rights given
// and are closed.
func (p *Platform) forgetUser(name string, rights *[]store.Right) {
	p.users.mu.Lock()
	u := p.users.m[name]
	delete(p.users.m, name)
	p.users.epoch++
	p.users.mu.Unlock()
	if u == nil {
		return
	}
	u.revoked.Store(true)
	u.rights.Store(rights)
	p.broker.DisconnectOwner(u.owner)
}

// Users returns the users behind name after, at most limit (100 if 0).
func (p *Platform) Users(ctx context.Context, after string, limit int) ([]User, error) {
	recs, err := p.store.Users(ctx, store.UserQuery{After: after, Limit: limit})
	if err != nil {
		return nil, err
	}
	out := make([]User, 0, len(recs))
	for _, r := range recs {
		u := User{Name: r.Name, Enabled: r.Enabled, CreatedAt: r.CreatedAt.UnixMilli()}
		for _, right := range r.Rights {
			u.Rights = append(u.Rights, Right(right))
		}
		out = append(out, u)
	}
	return out, nil
}
