package broker

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/linkstead/linkstead/internal/rate"
	"github.com/linkstead/linkstead/mqtt"
)

// backoff holds logins off that have failed too often: of one user name from one
// address. Others behind the same address are not touched. An address whose logins
// fail under many names goes on, too, as far as that is cheap; see
// LoginRequest.Suspect.
type backoff struct {
	perMinute int
	names     *rate.Table[loginName]
	addresses *rate.Table[netip.Addr]
}

type loginName struct {
	addr netip.Addr
	name string
}

const (
	backoffNames     = 16384 // names and addresses that are remembered
	backoffAddresses = 8192
	// suspectAfter is how many times as many failures an address may have as one
	// name.
	suspectAfter = 10
	// longestName is how much of a user name is told apart.
	longestName = 128
)

// newBackoff returns nil if logins are not held off.
func newBackoff(perMinute int) *backoff {
	if perMinute <= 0 {
		return nil
	}
	n := float64(perMinute)
	return &backoff{
		perMinute: perMinute,
		names:     rate.NewTable[loginName](backoffNames, n/60, n),
		addresses: rate.NewTable[netip.Addr](backoffAddresses, suspectAfter*n/60, suspectAfter*n),
	}
}

func nameOf(r *LoginRequest) loginName {
	name := r.Username
	if !r.HasUsername {
		name = r.ClientID
	}
	if len(name) > longestName {
		name = name[:longestName]
	}
	return loginName{r.Remote.Addr(), name}
}

// holdOff reports whether a login is to be refused without a look at it, and marks
// it if its address is suspect.
func (l *loop) holdOff(r *LoginRequest) bool {
	b := l.b.backoff
	if b == nil {
		return false
	}
	now := l.t.NowNano()
	r.Suspect = b.addresses.Empty(r.Remote.Addr(), now)
	return b.names.Empty(nameOf(r), now)
}

// failedLogin notes a refused login, and logs it once if the next ones will be held
// off.
func (l *loop) failedLogin(r *LoginRequest, why *Refusal) {
	b := l.b.backoff
	if b == nil || r == nil || why.Code != mqtt.BadUserNameOrPassword && why.Code != mqtt.NotAuthorized {
		return
	}
	now := l.t.NowNano()
	b.addresses.Take(r.Remote.Addr(), now)
	if _, last := b.names.Take(nameOf(r), now); last && l.b.allowNoise() {
		l.b.logger.Warn("logins are held off", "identity", why.Identity, "remote", r.Remote.Addr(),
			"cause", fmt.Sprintf("%d logins of this name from this address failed; from now on one in %v is looked at (limits.failed_logins)",
				b.perMinute, (time.Minute/time.Duration(b.perMinute)).Round(time.Millisecond)))
	}
}

// loggedIn forgets the failures of a name that has found its password.
func (l *loop) loggedIn(r *LoginRequest) {
	if b := l.b.backoff; b != nil {
		b.names.Forget(nameOf(r))
	}
}
