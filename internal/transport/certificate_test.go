package transport

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func mustCreate(t *testing.T, o CertificateOptions) *Certificate {
	t.Helper()
	c, err := LoadOrCreate(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// leafOf returns the certificate that new handshakes get.
func leafOf(t *testing.T, c *Certificate) *x509.Certificate {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Config().Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func mustReadFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCertificateIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	now := time.Now()
	c := mustCreate(t, CertificateOptions{Dir: dir, Hosts: []string{"home.local", "192.0.2.7", "2001:db8::7"}})
	if !c.Created() {
		t.Error("Created is false for a new authority")
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 4 {
		t.Errorf("%d files, want ca.pem, ca.key, server.pem, server.key; %v", len(files), err)
	}
	for _, file := range files {
		if info, err := file.Info(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", file.Name(), info.Mode(), err)
		}
	}
	block, _ := pem.Decode(mustReadFile(t, c.CAFile()))
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(ca.Raw); c.CAFingerprint() != colons(sum[:]) || len(c.CAFingerprint()) != 95 {
		t.Errorf("fingerprint %s", c.CAFingerprint())
	}
	if years := ca.NotAfter.Sub(now).Hours() / 24 / 365; years < 19.9 || years > 20.1 {
		t.Errorf("the authority lasts %.1f years", years)
	}
	leaf := leafOf(t, c)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for _, host := range []string{"home.local", "192.0.2.7", "2001:db8::7"} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots}); err != nil {
			t.Error(err)
		}
	}
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); !ok || key.Size() != 256 {
		t.Errorf("the key is %T, want RSA with 2048 bits", leaf.PublicKey)
	}
	if d := leaf.NotAfter.Sub(leaf.NotBefore); d > 825*24*time.Hour || leaf.NotBefore.After(now.Add(-23*time.Hour)) {
		t.Errorf("valid from %v to %v", leaf.NotBefore, leaf.NotAfter)
	}

	again := mustCreate(t, CertificateOptions{Dir: dir, Hosts: []string{"home.local"}})
	if again.Created() || !leafOf(t, again).Equal(leaf) || again.CAFingerprint() != c.CAFingerprint() {
		t.Error("what is there was not used again")
	}
}

// The server's certificate is issued anew when it has to be, by the same
// authority.
func TestCertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	hosts := []string{"home.local"}
	now := time.Now()
	o := CertificateOptions{Dir: dir, Hosts: hosts, Now: func() time.Time { return now }}
	first := mustCreate(t, o)
	leaf := leafOf(t, first)
	foreign := t.TempDir()
	mustCreate(t, CertificateOptions{Dir: foreign, Hosts: hosts})
	steps := []struct {
		name    string
		change  func()
		renewed bool
	}{
		{"nothing", func() {}, false},
		{"long before the end", func() { now = leaf.NotAfter.Add(-leafRenewal - time.Hour) }, false},
		{"near the end", func() { now = leaf.NotAfter.Add(-leafRenewal + time.Hour) }, true},
		{"another host", func() { o.Hosts = append(hosts, "10.0.0.1") }, true},
		{"the key is lost", func() { os.Remove(filepath.Join(dir, "server.key")) }, true},
		{"the certificate is lost", func() { os.Remove(filepath.Join(dir, "server.pem")) }, true},
		{"of another authority", func() {
			for _, name := range []string{"server.pem", "server.key"} {
				os.WriteFile(filepath.Join(dir, name), mustReadFile(t, filepath.Join(foreign, name)), 0o600)
			}
		}, true},
		// The power went off between the two files.
		{"new key, old certificate", func() {
			os.WriteFile(filepath.Join(dir, "server.key"), mustReadFile(t, filepath.Join(foreign, "server.key")), 0o600)
		}, true},
		{"cut off", func() { os.Truncate(filepath.Join(dir, "server.pem"), 100) }, true},
	}
	for _, step := range steps {
		step.change()
		c, err := LoadOrCreate(o)
		if err != nil {
			t.Errorf("%s: %v", step.name, err)
			continue
		}
		next := leafOf(t, c)
		if renewed := !next.Equal(leaf); renewed != step.renewed {
			t.Errorf("%s: renewed %v, want %v", step.name, renewed, step.renewed)
		}
		if c.Created() || c.CAFingerprint() != first.CAFingerprint() {
			t.Errorf("%s: another authority", step.name)
		}
		leaf = next
	}
}

// An authority that devices trust is never replaced behind the owner's back.
func TestAuthorityIsKept(t *testing.T) {
	made := t.TempDir()
	mustCreate(t, CertificateOptions{Dir: made, Hosts: []string{"home.local"}})
	pemBytes, keyBytes := mustReadFile(t, filepath.Join(made, "ca.pem")), mustReadFile(t, filepath.Join(made, "ca.key"))
	serverKey := mustReadFile(t, filepath.Join(made, "server.key"))
	for name, files := range map[string]map[string][]byte{
		"no key":         {"ca.pem": pemBytes},
		"no certificate": {"ca.key": keyBytes},
		"wrong key":      {"ca.pem": pemBytes, "ca.key": serverKey},
		"broken":         {"ca.pem": []byte("not PEM"), "ca.key": keyBytes},
	} {
		dir := t.TempDir()
		for file, content := range files {
			os.WriteFile(filepath.Join(dir, file), content, 0o600)
		}
		if _, err := LoadOrCreate(CertificateOptions{Dir: dir}); err == nil || !strings.Contains(err.Error(), "ca.") {
			t.Errorf("%s: error %v, want one that names the file", name, err)
		}
		for file, content := range files {
			if !bytes.Equal(mustReadFile(t, filepath.Join(dir, file)), content) {
				t.Errorf("%s: %s was written to", name, file)
			}
		}
	}
}

// The owner's certificate is exchanged under open connections; a broken one is
// not taken.
func TestReload(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		one, two, dir := t.TempDir(), t.TempDir(), t.TempDir()
		certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		install := func(from string) {
			os.WriteFile(certFile, mustReadFile(t, filepath.Join(from, "server.pem")), 0o600)
			os.WriteFile(keyFile, mustReadFile(t, filepath.Join(from, "server.key")), 0o600)
		}
		leafOne := leafOf(t, mustCreate(t, CertificateOptions{Dir: one, Hosts: []string{"one"}}))
		leafTwo := leafOf(t, mustCreate(t, CertificateOptions{Dir: two, Hosts: []string{"two"}}))
		if _, err := LoadOrCreate(CertificateOptions{CertFile: certFile, KeyFile: keyFile}); err == nil || !strings.Contains(err.Error(), certFile) {
			t.Errorf("without files: %v", err)
		}
		install(one)
		c := mustCreate(t, CertificateOptions{CertFile: certFile, KeyFile: keyFile})
		if c.CAFile() != "" || c.CAFingerprint() != "" || c.Created() {
			t.Error("an authority of our own beside the owner's certificate")
		}
		o.Handler, o.TLS = newRecorder(), c.Config
		s := mustListen(t, o)
		shown := func(nc any) *x509.Certificate { return nc.(*tls.Conn).ConnectionState().PeerCertificates[0] }
		old := mustDialTLS(t, s)
		mustEcho(t, old, connect)
		if !shown(old).Equal(leafOne) {
			t.Error("not the first certificate")
		}

		os.WriteFile(certFile, mustReadFile(t, filepath.Join(two, "server.pem")), 0o600) // the key is still that of the first
		if err := c.Reload(); err == nil || !strings.Contains(err.Error(), certFile) {
			t.Errorf("reload of a certificate without its key: %v", err)
		}
		kept := mustDialTLS(t, s)
		mustEcho(t, kept, connect)
		if !shown(kept).Equal(leafOne) {
			t.Error("after a broken reload: not the first certificate")
		}

		install(two)
		if err := c.Reload(); err != nil {
			t.Fatal(err)
		}
		fresh := mustDialTLS(t, s)
		mustEcho(t, fresh, connect)
		if !shown(fresh).Equal(leafTwo) {
			t.Error("after the reload: not the second certificate")
		}
		mustEcho(t, old, []byte("still here"))
		mustEcho(t, kept, []byte("still here"))
	})
}

// Reading what is reported does not race with a reload.
func TestReloadWhileAsked(t *testing.T) {
	c := mustCreate(t, CertificateOptions{Dir: t.TempDir(), Hosts: []string{"home.local"}})
	want := c.CAFingerprint()
	done := make(chan error)
	for range 4 {
		go func() {
			var err error
			for range 5 {
				if e := c.Reload(); e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for range 4 {
		for range 100 {
			if c.CAFingerprint() != want || c.CAFile() == "" || c.Config() == nil {
				t.Error("something else is reported during a reload")
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
