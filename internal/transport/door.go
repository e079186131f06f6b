package transport

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
)

// Listener is one address to listen on, and what may come in there.
type Listener struct {
	Network string // "tcp", "tcp4", "tcp6" or "unix"
	Address string // as for net.Listen: ":1883", "127.0.0.1:0", a path
	// Socket is a listening socket that somebody else has opened; Network and Address
	// then only name it. The server takes a copy of it and closes this one.
	Socket *os.File
	// Mode is the permission of a Unix socket; 0 means 0600.
	Mode fs.FileMode
	// Kinds are the ways to carry MQTT that are taken; none means all.
	Kinds []Kind
	// Proxies are the addresses of load balancers. If there are any, nobody else may
	// connect, and every connection has to begin with a PROXY header (version 1 or
	// 2), whose address is the client's from then on.
	Proxies []netip.Prefix
	// Proxied says the same of everybody, for a Unix socket: its permissions say who
	// may connect.
	Proxied bool
}

// maxListeners is how many a connection can tell apart.
const maxListeners = 256

// takes reports whether connections of a kind are welcome.
func (a *Listener) takes(k Kind) bool {
	for _, taken := range a.Kinds {
		if taken == k {
			return true
		}
	}
	return len(a.Kinds) == 0
}

// trusts reports whether a peer may say for whom it speaks.
func (a *Listener) trusts(peer netip.AddrPort) bool {
	if a.Proxied {
		return true
	}
	for _, p := range a.Proxies {
		if p.Contains(peer.Addr().WithZone("")) {
			return true
		}
	}
	return false
}

// proxied reports whether connections begin with a PROXY header.
func (a *Listener) proxied() bool { return a.Proxied || len(a.Proxies) > 0 }

// errStranger says that somebody who is no load balancer has come to a listener of
// load balancers.
var errStranger = errors.New("this listener is for load balancers, and the address is none of theirs; connect to another one, or name the address in the listener's proxy option")

// wants says in words what a listener takes.
func (a *Listener) wants() string {
	names := map[Kind]string{TCP: "plain MQTT", TLS: "MQTT in TLS", WebSocket: "WebSocket", SecureWebSocket: "WebSocket in TLS"}
	var out []string
	for _, k := range a.Kinds {
		out = append(out, names[k])
	}
	return strings.Join(out, " or ")
}

// kindError is the refusal of a connection that is not of a listener's kind.
func (a *Listener) kindError(k Kind) error {
	return &ProtocolError{Reason: fmt.Sprintf("the connection is %s, and this listener takes %s only",
		(&Listener{Kinds: []Kind{k}}).wants(), a.wants())}
}

// mode is the permission of a Unix socket.
func (a *Listener) mode() fs.FileMode {
	if a.Mode == 0 {
		return 0o600
	}
	return a.Mode
}

// removeStale removes the Unix socket of a server that was killed: one that nobody
// listens on. Anything else that is there stays, and listening fails.
func removeStale(path string) {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
		return
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close()
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path)
	}
}

// PeerName is how an address of RemoteAddr is shown: "unix" for the peer of a Unix
// socket.
func PeerName(a netip.AddrPort) string {
	if !a.IsValid() {
		return "unix"
	}
	return a.String()
}
