package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// Exempt are the addresses of AcceptExempt. The error names the one that is none.
func (l *Limits) Exempt() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range l.AcceptExempt {
		if !strings.Contains(s, "/") {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return nil, fmt.Errorf("%q is not an address or a prefix such as 10.0.0.0/8", s)
			}
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is not an address or a prefix such as 10.0.0.0/8", s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
