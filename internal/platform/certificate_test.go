package platform_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/demo"
	"github.com/linkstead/linkstead/internal/platform"
)

func clientCertificate(t testing.TB, name string, until time.Time) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// spec/connect.md §9.2: no names in CONNECT, the identity is pushed.
func TestCertificateLogin(t *testing.T) {
	s := mustStart(t, func(c *config.Config) { c.TLS.ClientCertificates = true })
	ctx := t.Context()
	good, text := clientCertificate(t, "STC15", time.Now().Add(time.Hour))
	added, err := s.Platform.AddCertificate(ctx, "test", pk, dn, text)
	if err != nil {
		t.Fatal(err)
	}
	login := alink.Login{ClientID: ".|securemode=2|"}
	for _, clientID := range []string{".|securemode=2|", ".|timestamp=2524608000000,_ss=1,_v=sdk-c-4.1.0,securemode=2,signmethod=hmacsha256,ext=3,|"} {
		d := dialTLS(t, s, good)
		if rc := connect(t, d, alink.Login{ClientID: clientID}, 60); rc != 0 {
			t.Fatalf("%s: return code %d: %v", clientID, rc, s.Platform.Refusals()[0].Cause)
		}
		expect(t, d, "/ext/auth/identity/response", `{"productKey":"`+pk+`","deviceName":"`+dn+`"}`)
		post := "/sys/" + pk + "/" + dn + "/thing/event/property/post"
		if err := d.Send(demo.Publish(post, `{"id":"1","params":{"Temp":5}}`)); err != nil {
			t.Fatal(err)
		}
		expect(t, d, post+"_reply", `{"code":200,"data":{},"id":"1","message":"success","method":"thing.event.property.post","version":"1.0"}`)
	}
	// Devices without one log in as ever.
	d := dialTLS(t, s)
	if rc := connect(t, d, triple.Login(alink.LoginOptions{Method: alink.HMACSHA1}), 60); rc != 0 {
		t.Errorf("without a certificate: return code %d", rc)
	}
	// One with a certificate and a secret is what its secret says.
	if rc := connect(t, dialTLS(t, s, good), alink.Login{ClientID: "x|securemode=2|", Username: dn + "&" + pk, Password: "wrong"}, 60); rc != 4 {
		t.Errorf("a wrong password with a certificate: return code %d", rc)
	}

	stranger, _ := clientCertificate(t, "STC15", time.Now().Add(time.Hour))
	over, overText := clientCertificate(t, "STC15", time.Now().Add(-time.Hour))
	if _, err := s.Platform.AddCertificate(ctx, "test", pk, dn, overText); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		certs []tls.Certificate
		cause string
	}{
		{"a stranger of the same name", []tls.Certificate{stranger}, "no device has the certificate"},
		{"one that is over", []tls.Certificate{over}, "ended on"},
		{"none", nil, "tls.client_certificates"},
	} {
		if rc := connect(t, dialTLS(t, s, tt.certs...), login, 60); rc != 4 {
			t.Errorf("%s: return code %d", tt.name, rc)
		}
		if cause := s.Platform.Refusals()[0].Cause; !strings.Contains(cause, tt.cause) {
			t.Errorf("%s: cause %q", tt.name, cause)
		}
	}
	// It is one device's only, and ends with its removal.
	addDevice(t, s, pk, "other1", "")
	if _, err := s.Platform.AddCertificate(ctx, "test", pk, "other1", text); platform.KindOf(err) != platform.KindExists {
		t.Errorf("a certificate was given to a second device: %v", err)
	}
	for _, bad := range [][]byte{nil, []byte("x"), []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), text[:len(text)/2]} {
		if _, err := s.Platform.AddCertificate(ctx, "test", pk, dn, bad); platform.KindOf(err) != platform.KindInvalid {
			t.Errorf("%.30q is taken: %v", bad, err)
		}
	}
	own := dialTLS(t, s, good)
	if rc := connect(t, own, login, 60); rc != 0 {
		t.Fatalf("return code %d", rc)
	}
	if err := s.Platform.RemoveCertificate(ctx, "test", pk, dn, added.Fingerprint); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the identity may still come
		if _, err = own.Receive(patience); err != nil {
			break
		}
	}
	if err == nil || os.IsTimeout(err) {
		t.Error("the connection is still open")
	}
	if rc := connect(t, dialTLS(t, s, good), login, 60); rc != 4 {
		t.Errorf("after its removal: return code %d", rc)
	}
}
