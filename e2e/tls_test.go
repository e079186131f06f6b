package e2e

import (
	"bytes"
	"crypto/tls"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
)

// TestOldTLS logs devices in over TLS as old firmware negotiates it, on the port that plain devices use at the
// same time: mbedTLS builds without elliptic curves know only TLS 1.2 with RSA key exchange.
func TestOldTLS(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	h.addDevice(alink.Triple{ProductKey: d.ProductKey, DeviceName: "plain", DeviceSecret: "s"})
	plain := h.login(alink.Triple{ProductKey: d.ProductKey, DeviceName: "plain", DeviceSecret: "s"})

	tests := []struct {
		name   string
		change func(*tls.Config)
	}{
		{"AES128-SHA only", func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
		}},
		{"mbedTLS without elliptic curves", func(c *tls.Config) {
			c.MaxVersion = tls.VersionTLS12
			c.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA256, tls.TLS_RSA_WITH_AES_128_CBC_SHA}
		}},
		{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
		{"TLS 1.3", func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := h.tlsConfig()
			tt.change(cfg)
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", h.address(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			w := newWire(t, conn)
			w.ask(hex(t, seedConnect), connected)
			w.send(hex(t, seedPost))
			w.wantPublication(seedPostTopic+"_reply", replyTo(200, "{}", "17", "success", "thing.event.property.post"))
			w.ping()
			plain.ping()
		})
	}
}

// TestOpenSSLClient pipes the seed's CONNECT into openssl s_client, which shares no code with the server, with one
// old cipher suite.
func TestOpenSSLClient(t *testing.T) {
	openssl := need(t, "openssl")
	h := mustStart(t)
	h.addSeed()
	cmd := exec.Command(openssl, "s_client", "-connect", h.address(), "-CAfile", h.CAFile(), "-verify_return_error",
		"-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0", "-quiet", "-no_ign_eof")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var messages bytes.Buffer
	cmd.Stderr = &messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }).Stop()
	if _, err := in.Write(append(hex(t, seedConnect), 0xC0, 0)); err != nil {
		t.Fatal(err)
	}
	var got []byte
	want := append(bytes.Clone(connected), 0xD0, 0)
	for buf := make([]byte, 64); len(got) < len(want); {
		n, err := out.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			break
		}
	}
	_ = in.Close()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !bytes.Equal(got, want) {
		t.Errorf("openssl received % X, want % X; it said:\n%s", got, want, &messages)
	}
}
