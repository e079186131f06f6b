package config

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Listener is an entry of Config.Listen:
//
//	[KIND://]WHERE[?OPTION&OPTION…]
//
// KIND is auto (everything, told apart by the first byte), tcp, tls, ws or wss.
// WHERE is host:port (":1883", "[::1]:1883"), unix:PATH, or systemd:NAME for the
// sockets of that name that systemd hands over. Options: mode=0660 is the permission
// of a Unix socket; proxy=ADDRESS, an address or a prefix such as 10.0.0.0/8,
// several times for several, has only load balancers there connect, each connection
// beginning with a PROXY header; for a Unix socket it is proxy alone.
type Listener struct {
	Kind    string // "auto", "tcp", "tls", "ws" or "wss"
	Network string // "tcp", "unix" or "systemd"
	Address string // host:port, a path or a name
	Mode    fs.FileMode
	Proxies []netip.Prefix
	Proxied bool // behind load balancers, whoever they are
}

// listenerForm is what a listener looks like, for errors.
const listenerForm = `write for example ":1883", "tls://:8883", "unix:/run/linkstead/mqtt.sock?mode=0660" or ":1884?proxy=10.0.0.5"`

// ParseListener reads an entry of Config.Listen.
func ParseListener(s string) (Listener, error) {
	wrong := func(format string, a ...any) (Listener, error) {
		return Listener{}, fmt.Errorf("%q: %s; %s", s, fmt.Sprintf(format, a...), listenerForm)
	}
	l := Listener{Kind: "auto", Network: "tcp"}
	where, options, _ := strings.Cut(s, "?")
	if kind, rest, ok := strings.Cut(where, "://"); ok {
		switch kind {
		case "auto", "tcp", "tls", "ws", "wss":
		default:
			return wrong("%q is not auto, tcp, tls, ws or wss", kind)
		}
		l.Kind, where = kind, rest
	}
	l.Address = where
	if path, ok := strings.CutPrefix(where, "unix:"); ok {
		l.Network, l.Address = "unix", path
	} else if name, ok := strings.CutPrefix(where, "systemd:"); ok {
		l.Network, l.Address = "systemd", name
	}
	switch l.Network {
	case "tcp":
		_, port, err := net.SplitHostPort(where)
		if err != nil {
			return wrong("%q is not host:port, unix:PATH or systemd:NAME", where)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
			return wrong("the port is not a number from 0 to 65535")
		}
	default:
		if l.Address == "" {
			return wrong("there is nothing behind %s:", l.Network)
		}
	}
	query, err := url.ParseQuery(options)
	if err != nil {
		return wrong("the options cannot be read: %v", err)
	}
	for name, values := range query {
		switch {
		case name == "mode" && l.Network == "unix" && len(values) == 1:
			n, err := strconv.ParseUint(values[0], 8, 32)
			if err != nil || n == 0 || n > 0o777 {
				return wrong("mode is not a permission such as 0660")
			}
			l.Mode = fs.FileMode(n)
		case name == "mode":
			return wrong("mode goes once, with unix: (that of a systemd socket is SocketMode= in its unit)")
		case name == "proxy":
			for _, v := range values {
				if v == "" && l.Network != "tcp" {
					l.Proxied = true
					continue
				}
				p, err := prefix(v)
				if err != nil {
					return wrong("proxy names the load balancers, and %q is no address or prefix", v)
				}
				if l.Network == "unix" {
					return wrong("the peers of a Unix socket have no addresses; write proxy alone")
				}
				l.Proxies = append(l.Proxies, p)
			}
		default:
			return wrong("there is no option %q", name)
		}
	}
	return l, nil
}

// prefix reads an address or a prefix of addresses.
func prefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}
