package transport

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// CertificateOptions say which certificate a server shows.
type CertificateOptions struct {
	// Dir keeps the authority and the certificate that are made when CertFile is
	// empty: ca.pem, ca.key, server.pem, server.key, all with mode 0600.
	Dir string
	// CertFile and KeyFile are PEM files of the owner's certificate chain and key.
	CertFile, KeyFile string
	// Hosts are the names and IP addresses in the certificate that is made.
	Hosts []string
	// MinVersion is the oldest TLS version accepted; 0 means TLS 1.2.
	MinVersion uint16
	// ClientCAs sign the certificates of clients. With nil no certificate is
	// asked for; otherwise a client may do without, but a wrong one is refused.
	ClientCAs *x509.CertPool
	// Now is the clock: time.Now if nil.
	Now func() time.Time
}

const (
	caLifetime   = 20 * 365 * 24 * time.Hour
	leafLifetime = 825 * 24 * time.Hour // the most that current clients accept
	leafRenewal  = 30 * 24 * time.Hour  // before the end
	leafBackdate = 24 * time.Hour       // for devices whose clock is behind
)

// Certificate is what a server shows in TLS handshakes. It can be exchanged while
// connections are open.
type Certificate struct {
	options     atomic.Pointer[CertificateOptions]
	config      atomic.Pointer[tls.Config]
	fingerprint atomic.Pointer[string]
	created     atomic.Bool
	mu          sync.Mutex // one reload at a time
}

// LoadOrCreate reads the owner's certificate or, if none is given, the one in
// Dir; authority and certificate are made there when they are missing, and the
// certificate is issued again when it nears its end or Hosts have been added.
func LoadOrCreate(o CertificateOptions) (*Certificate, error) {
	c := &Certificate{}
	if err := c.Change(o); err != nil {
		return nil, err
	}
	return c, nil
}

// Config is the configuration for a new handshake; it goes into Options.TLS.
func (c *Certificate) Config() *tls.Config { return c.config.Load() }

// CAFile is the file of the authority's certificate that devices have to trust,
// or "" if the owner's certificate is used.
func (c *Certificate) CAFile() string {
	o := c.options.Load()
	if o.CertFile != "" {
		return ""
	}
	return filepath.Join(o.Dir, "ca.pem")
}

// CAFingerprint is the SHA-256 of the authority's certificate, upper-case hex with
// colons, or "".
func (c *Certificate) CAFingerprint() string {
	if s := c.fingerprint.Load(); s != nil {
		return *s
	}
	return ""
}

// Created reports whether the authority was made by LoadOrCreate.
func (c *Certificate) Created() bool { return c.created.Load() }

// Reload reads the files again, as Change with the same options.
func (c *Certificate) Reload() error { return c.Change(*c.options.Load()) }

// Change reads the files that the options name. If they cannot be used the
// certificate and the options in use stay, and the error says why. The methods may
// be called from any goroutine.
func (c *Certificate) Change(o CertificateOptions) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MinVersion == 0 {
		o.MinVersion = tls.VersionTLS12
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var pair tls.Certificate
	var err error
	if o.CertFile != "" {
		pair, err = tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return fmt.Errorf("the certificate %s with key %s cannot be used: %w", o.CertFile, o.KeyFile, err)
		}
	} else if pair, err = c.own(&o); err != nil {
		return fmt.Errorf("the server's own certificate in %s: %w", o.Dir, err)
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   o.MinVersion,
		CipherSuites: deviceCipherSuites,
	}
	if o.ClientCAs != nil {
		config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, o.ClientCAs
	}
	c.options.Store(&o)
	c.config.Store(config)
	return nil
}

// deviceCipherSuites adds the RSA key exchange to what Go offers by itself:
// official SDKs build mbedTLS with nothing else (spec/connect.md §3).
var deviceCipherSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA256, tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA,
}

func (c *Certificate) own(o *CertificateOptions) (tls.Certificate, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return tls.Certificate{}, err
	}
	path := func(name string) string { return filepath.Join(o.Dir, name) }
	ca, caKey, err := readPair(path("ca.pem"), path("ca.key"))
	if errors.Is(err, os.ErrNotExist) {
		// Half an authority is not replaced: the devices that trust it would
		// be locked out.
		for _, name := range []string{"ca.pem", "ca.key"} {
			if _, statErr := os.Lstat(path(name)); statErr == nil {
				return tls.Certificate{}, fmt.Errorf("%s is there, but not what belongs to it: %w; restore that, or remove the first to have a new authority made that devices must be given", path(name), err)
			}
		}
		if ca, caKey, err = makeCA(o, path("ca.pem"), path("ca.key")); err == nil {
			c.created.Store(true)
		}
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	sum := sha256.Sum256(ca.Raw)
	fingerprint := colons(sum[:])
	c.fingerprint.Store(&fingerprint)
	leaf, _, err := readPair(path("server.pem"), path("server.key"))
	var unreadable *os.PathError
	switch {
	case errors.As(err, &unreadable) && !errors.Is(err, os.ErrNotExist):
	case err != nil:
		// Missing, or broken: the power went off between the writing of the
		// key and that of the certificate. Ours are easily replaced.
		err = makeLeaf(o, ca, caKey, path("server.pem"), path("server.key"))
	case o.Now().After(leaf.NotAfter.Add(-leafRenewal)) || leaf.CheckSignatureFrom(ca) != nil || !covers(leaf, o.Hosts):
		err = makeLeaf(o, ca, caKey, path("server.pem"), path("server.key"))
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.LoadX509KeyPair(path("server.pem"), path("server.key"))
}

func covers(leaf *x509.Certificate, hosts []string) bool {
	for _, h := range hosts {
		if h != "" && leaf.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}

func makeCA(o *CertificateOptions, certFile, keyFile string) (*x509.Certificate, *rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	now := o.Now()
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "linkstead CA " + now.UTC().Format("2006-01-02"), Organization: []string{"linkstead"}},
		NotBefore:             now.Add(-leafBackdate),
		NotAfter:              now.Add(caLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	if err := writePair(certFile, keyFile, der, key); err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(der)
	return ca, key, err
}

// makeLeaf issues the server's certificate: RSA, because the devices' key exchange
// needs it, and alone in its file, because their records are small.
func makeLeaf(o *CertificateOptions, ca *x509.Certificate, caKey *rsa.PrivateKey, certFile, keyFile string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	now := o.Now()
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "linkstead", Organization: []string{"linkstead"}},
		NotBefore:    now.Add(-leafBackdate),
		NotAfter:     now.Add(leafLifetime - leafBackdate),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range slices.Compact(slices.Sorted(slices.Values(o.Hosts))) {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if h != "" {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	return writePair(certFile, keyFile, der, key)
}

func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[0] &= 0x7F
	return new(big.Int).SetBytes(b[:])
}

func readPair(certFile, keyFile string) (*x509.Certificate, *rsa.PrivateKey, error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil, nil, fmt.Errorf("%s holds no PEM certificate; restore it, or remove it and its key to have new ones made", certFile)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", certFile, err)
	}
	block, _ = pem.Decode(keyPEM)
	if block == nil {
		return nil, nil, fmt.Errorf("%s holds no PEM key; restore it, or remove it and its certificate to have new ones made", keyFile)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("%s is not the RSA key of %s", keyFile, certFile)
	}
	return cert, key, nil
}

// writePair writes the key first: a certificate is never there without it.
func writePair(certFile, keyFile string, der []byte, key *rsa.PrivateKey) error {
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writeFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})); err != nil {
		return err
	}
	return writeFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// writeFile replaces a file whole, readable by its owner only.
func writeFile(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := bytes.NewReader(content).WriteTo(tmp); err != nil {
		tmp.Close()
		return err
	}
	if err := errors.Join(tmp.Chmod(0o600), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func colons(b []byte) string {
	var sb strings.Builder
	for i, c := range b {
		if i > 0 {
			sb.WriteByte(':')
		}
		sb.WriteString(strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	return sb.String()
}
