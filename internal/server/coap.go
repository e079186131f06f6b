package server

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"slices"

	"github.com/linkstead/linkstead/internal/coap"
)

// serveCoAP answers devices that speak CoAP, if the configuration says so. exempt may
// send any number of packets.
func (s *Server) serveCoAP(exempt []netip.Prefix) (err error) {
	c := &s.config.CoAP
	if c.Listen == "" && c.TLSListen == "" {
		return nil
	}
	s.coap, err = coap.Listen(coap.Options{
		Handler: s.Platform, Logger: s.logger, Listen: c.Listen, TLSListen: c.TLSListen, Rate: c.Rate, Sessions: c.Sessions,
		Exempt: func(a netip.Addr) bool {
			return slices.ContainsFunc(exempt, func(p netip.Prefix) bool { return p.Contains(a) })
		},
		Certificate: s.dtlsCertificate,
	})
	return err
}

// dtlsCertificate is what TLS clients get, for clients without a key of their own.
func (s *Server) dtlsCertificate() (*tls.Certificate, error) {
	c := s.certificate.Config()
	switch {
	case len(c.Certificates) > 0:
		return &c.Certificates[0], nil
	case c.GetCertificate != nil:
		return c.GetCertificate(&tls.ClientHelloInfo{})
	}
	return nil, errors.New("there is no certificate")
}

// CoAPAddress is where CoAP is served with sessions that devices encrypt themselves,
// "" if it is not.
func (s *Server) CoAPAddress() string {
	if s.coap == nil {
		return ""
	}
	return s.coap.Address()
}

// CoAPTLSAddress is where CoAP is served over DTLS, "" if it is not.
func (s *Server) CoAPTLSAddress() string {
	if s.coap == nil {
		return ""
	}
	return s.coap.TLSAddress()
}
