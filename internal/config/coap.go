package config

import (
	"fmt"
	"net"
	"strconv"
)

// CoAP configures the door of devices that speak CoAP.
type CoAP struct {
	// Listen is the UDP address for sessions that devices encrypt themselves; the
	// cloud's port is 5682. Empty: nowhere.
	Listen string `toml:"listen" env:"LISTEN"`
	// TLSListen is the UDP address for DTLS; the cloud's port is 5684. Empty: nowhere.
	TLSListen string `toml:"tls_listen" env:"TLS_LISTEN"`
	// Rate is how many packets a second one address may send on average, twice as many
	// at once; what is beyond is not read. 0 is any number. Addresses in
	// limits.accept_exempt may send any number.
	Rate int `toml:"rate" env:"RATE"`
	// Sessions is the most DTLS sessions, of which one address may have a tenth.
	Sessions int `toml:"sessions" env:"SESSIONS"`
}

func (c *CoAP) validate(check func(ok bool, key, want string)) {
	for _, a := range []struct{ key, value string }{{"coap.listen", c.Listen}, {"coap.tls_listen", c.TLSListen}} {
		if a.value != "" {
			_, port, err := net.SplitHostPort(a.value)
			if err == nil {
				_, err = strconv.ParseUint(port, 10, 16)
			}
			check(err == nil, a.key, fmt.Sprintf("%q is not host:port", a.value))
		}
	}
	_, port, _ := net.SplitHostPort(c.Listen)
	check(c.Listen == "" || c.Listen != c.TLSListen || port == "0", "coap.tls_listen", "must not be coap.listen")
	check(c.Rate >= 0, "coap.rate", "must not be negative")
	check(c.Sessions >= 1 && c.Sessions <= 1_000_000, "coap.sessions", "must be 1 to 1000000")
}
