package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The PROXY protocol, versions 1 (text) and 2 (binary): a load balancer says in
// front of everything else for whom it has opened the connection.
// https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
const (
	proxyV1Prefix = "PROXY "
	proxyV2Prefix = "\r\n\r\n\x00\r\nQUIT\n"
	proxyV1Most   = 107 // bytes of a version 1 header, the line end included
	proxyV2Head   = 16  // bytes before the addresses
	proxyV2Most   = 4096
)

// proxyHeader is what a header says.
type proxyHeader struct {
	// client is who is behind the proxy. It is not valid if the proxy speaks for
	// itself (a health check) or does not know.
	client netip.AddrPort
	// size is how many bytes the header has; 0: it is not complete yet.
	size int
}

var errNoProxy = errors.New("the PROXY protocol is required on this listener, and the connection does not begin with it; switch it on at the load balancer (HAProxy: send-proxy-v2)")

// parseProxy reads a PROXY header at the beginning of b, which may go on with
// anything. While the header is incomplete its size is 0.
func parseProxy(b []byte) (proxyHeader, error) {
	switch {
	case begins(b, proxyV2Prefix):
		return parseProxyV2(b)
	case begins(b, proxyV1Prefix):
		return parseProxyV1(b)
	}
	return proxyHeader{}, errNoProxy
}

// begins reports whether b begins with prefix, as far as either goes.
func begins(b []byte, prefix string) bool {
	n := min(len(b), len(prefix))
	return string(b[:n]) == prefix[:n]
}

func parseProxyV1(b []byte) (proxyHeader, error) {
	end := bytes.Index(b[:min(len(b), proxyV1Most)], []byte("\r\n"))
	if end < 0 {
		if len(b) >= proxyV1Most {
			return proxyHeader{}, fmt.Errorf("a PROXY header of version 1 has at most %d bytes, and this one does not end", proxyV1Most)
		}
		return proxyHeader{}, nil
	}
	h := proxyHeader{size: end + 2}
	words := strings.Split(string(b[:end]), " ")
	if len(words) >= 2 && words[1] == "UNKNOWN" {
		return h, nil // whatever follows is to be ignored
	}
	if len(words) != 6 || words[1] != "TCP4" && words[1] != "TCP6" {
		return proxyHeader{}, fmt.Errorf("the PROXY header %q is neither TCP4 nor TCP6 with two addresses and two ports, nor UNKNOWN", b[:end])
	}
	for _, at := range []int{2, 3} { // source and destination
		addr, err := netip.ParseAddr(words[at])
		port, portErr := strconv.ParseUint(words[at+2], 10, 16)
		if err != nil || addr.Is4() != (words[1] == "TCP4") || addr.Zone() != "" ||
			portErr != nil || strconv.FormatUint(port, 10) != words[at+2] {
			return proxyHeader{}, fmt.Errorf("the PROXY header %q has no valid address and port", b[:end])
		}
		if at == 2 {
			h.client = netip.AddrPortFrom(addr.Unmap(), uint16(port))
		}
	}
	return h, nil
}

func parseProxyV2(b []byte) (proxyHeader, error) {
	if len(b) < proxyV2Head {
		return proxyHeader{}, nil
	}
	command, family := b[12], b[13]
	if command != 0x20 && command != 0x21 {
		return proxyHeader{}, fmt.Errorf("the PROXY header has version and command %02x; 20 (LOCAL) and 21 (PROXY) are known", command)
	}
	size := proxyV2Head + int(binary.BigEndian.Uint16(b[14:]))
	if size > proxyV2Most {
		return proxyHeader{}, fmt.Errorf("the PROXY header has %d bytes; at most %d are taken", size, proxyV2Most)
	}
	if len(b) < size {
		return proxyHeader{}, nil
	}
	h := proxyHeader{size: size}
	body := b[proxyV2Head:size]
	addresses := 0 // bytes of both addresses and ports
	switch family {
	case 0x00: // unspecified: nothing is known
		addresses = len(body)
	case 0x11: // TCP over IPv4
		addresses = 12
	case 0x21: // TCP over IPv6
		addresses = 36
	case 0x31: // a Unix socket
		addresses = 216
	default:
		return proxyHeader{}, fmt.Errorf("the PROXY header has family and protocol %02x; TCP over IPv4 (11) or IPv6 (21), Unix (31) and none (00) are known", family)
	}
	if len(body) < addresses {
		return proxyHeader{}, fmt.Errorf("the PROXY header has %d bytes of addresses where %d are needed", len(body), addresses)
	}
	if command == 0x21 {
		switch family {
		case 0x11:
			h.client = netip.AddrPortFrom(netip.AddrFrom4([4]byte(body)), binary.BigEndian.Uint16(body[8:]))
		case 0x21:
			h.client = netip.AddrPortFrom(netip.AddrFrom16([16]byte(body)).Unmap(), binary.BigEndian.Uint16(body[32:]))
		}
	}
	return h, checkProxyTLVs(b[:size], proxyV2Head+addresses)
}

const proxyCRC = 0x03 // PP2_TYPE_CRC32C

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkProxyTLVs walks what follows the addresses in a version 2 header, and
// verifies its checksum if there is one.
func checkProxyTLVs(header []byte, at int) error {
	for at < len(header) {
		if len(header)-at < 3 {
			return errors.New("the PROXY header ends in the middle of an extension")
		}
		kind, size := header[at], int(binary.BigEndian.Uint16(header[at+1:]))
		at += 3
		if size > len(header)-at {
			return fmt.Errorf("the PROXY header's extension %02x is longer than the header", kind)
		}
		if kind == proxyCRC {
			if size != 4 {
				return fmt.Errorf("the PROXY header's checksum has %d bytes instead of 4", size)
			}
			want := binary.BigEndian.Uint32(header[at:])
			sum := crc32.Update(0, castagnoli, header[:at])
			sum = crc32.Update(sum, castagnoli, make([]byte, 4))
			if sum = crc32.Update(sum, castagnoli, header[at+4:]); sum != want {
				return fmt.Errorf("the PROXY header's checksum is %08x instead of %08x", want, sum)
			}
		}
		at += size
	}
	return nil
}

// unwrap takes bytes of a connection that has to begin with a PROXY header:
// buf[start:end], with headroom before start. What follows goes on as usual.
func (l *Loop) unwrap(c *Conn, buf []byte, start, end int) {
	kept := len(c.kept())
	b := buf[start:end]
	if kept > 0 {
		l.keep(c, b[:min(len(b), proxyV2Most)])
		b = c.kept()
	}
	h, err := parseProxy(b)
	switch {
	case err != nil:
		l.server.refused(l, c, RefusedProxy, err)
		c.Abort(err)
		return
	case h.size == 0:
		if kept == 0 {
			l.keep(c, b)
		}
		return
	}
	if h.client.IsValid() {
		c.remote = h.client
		if !l.server.gate.welcome(h.client, time.Now()) {
			err := tooOften(h.client)
			l.server.refused(l, c, RefusedRate, err)
			c.Abort(err)
			return
		}
	}
	l.dropKept(c)
	c.phase = phaseSniff
	if start += h.size - kept; start < end {
		l.content(c, buf, start, end)
	}
}
