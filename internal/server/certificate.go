package server

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"

	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/transport"
)

var tlsVersions = map[string]uint16{
	"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13,
}

// certificateOptions name the server's certificate: the configured one, or one
// made in the data directory.
func certificateOptions(cfg *config.Config) transport.CertificateOptions {
	o := transport.CertificateOptions{
		Dir: filepath.Join(cfg.Data, "tls"), CertFile: cfg.TLS.Cert, KeyFile: cfg.TLS.Key,
		Hosts: cfg.TLS.Hosts, MinVersion: tlsVersions[cfg.TLS.MinVersion],
	}
	if len(o.Hosts) == 0 {
		o.Hosts = localHosts()
	}
	return o
}

// localHosts are the names and addresses this machine is likely to be called by.
func localHosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil && name != "" {
		hosts = append(hosts, name)
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() {
			hosts = append(hosts, ip.IP.String())
		}
	}
	return hosts
}

// askingConfig is a TLS configuration and the same that asks for client
// certificates.
type askingConfig struct{ plain, asking *tls.Config }

// tlsConfig is the configuration for a new handshake. A client certificate is not
// verified by an authority: the platform knows it itself (login by certificate).
func (s *Server) tlsConfig() *tls.Config {
	plain := s.certificate.Config()
	if !s.asks || plain == nil {
		return plain
	}
	if c := s.asking.Load(); c != nil && c.plain == plain {
		return c.asking
	}
	asking := plain.Clone()
	asking.ClientAuth = tls.RequestClientCert
	s.asking.Store(&askingConfig{plain, asking})
	return asking
}
