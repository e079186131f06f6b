package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSecretNeverPrints(t *testing.T) {
	const plain = "bc0834e2beeb03d3"
	type holder struct {
		S Secret
		P *Secret
	}
	s := Secret(plain)
	h := holder{s, &s}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "s", s, "h", h)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "s", s, "h", h)
	doc, err := json.Marshal(map[string]any{"s": s, "h": h})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{logged.String(), string(doc), s.String(), fmt.Sprint(s), fmt.Sprint(Credentials{Secret: s}, Product{Secret: s}, Registered{Secret: s}, NewDevice{Secret: s})}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, s), fmt.Sprintf(verb, h))
	}
	for _, text := range texts {
		if strings.Contains(text, plain) || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", plain)) || !strings.Contains(text, hidden) && !strings.Contains(text, "0x") {
			t.Errorf("%q", text)
		}
	}
	if s.Reveal() != plain {
		t.Error("Reveal does not")
	}
}

func TestCredentials(t *testing.T) {
	ctx := context.Background()
	opts := testOptions(t)
	s := mustOpen(t, opts)
	mustProduct(t, s)
	dev := mustDevice(t, s, "dev1")
	for range 2 {
		c, err := s.Credentials(ctx, "a1prod", "dev1")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(dev, c.Device); d != "" || c.Secret.Reveal() != "secret-of-dev1" || c.ProductSecret.Reveal() != "productsecret" || c.NodeType != NodeDevice || c.DynamicRegister {
			t.Errorf("not what was stored: %s", d)
		}
		s = reopen(t, s, opts)
	}
	_, err := s.Credentials(ctx, "a1prod", "dev2")
	wantKind(t, err, ErrNotFound)
	if log, err := s.AuditLog(ctx, AuditQuery{}); err != nil || len(log) != 0 {
		t.Errorf("a login left %d audit entries, %v", len(log), err)
	}
}

func TestRevealIsAudited(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	mustProduct(t, s)
	mustDevice(t, s, "dev1")
	if got, err := s.RevealSecret(ctx, "a1prod", "dev1", "admin", "new firmware"); err != nil || got != "secret-of-dev1" {
		t.Fatal("not revealed:", err)
	}
	if got, err := s.RevealProductSecret(ctx, "a1prod", "admin", "factory"); err != nil || got != "productsecret" {
		t.Fatal("not revealed:", err)
	}
	_, err := s.RevealSecret(ctx, "a1prod", "dev1", "", "")
	wantKind(t, err, ErrInvalid)
	_, err = s.RevealSecret(ctx, "a1prod", "dev2", "admin", "")
	wantKind(t, err, ErrNotFound)
	log, err := s.AuditLog(ctx, AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range log {
		lines = append(lines, strings.Join([]string{e.Who, e.Action, e.Object, e.Detail}, " "))
	}
	wantStrings(t, lines, "admin product.secret.reveal a1prod factory", "admin device.secret.reveal a1prod/dev1 new firmware")
}

// A thief of the database, or of write access to it, gains nothing.
func TestSecretsAtRest(t *testing.T) {
	ctx := context.Background()
	opts := testOptions(t)
	s := mustOpen(t, opts)
	mustProduct(t, s)
	mustDevice(t, s, "dev1")
	mustDevice(t, s, "dev2")
	if err := s.write(ctx, "", "", func(x *tx) error {
		_, err := x.exec(ctx, `update device set secret = (select secret from device where name = 'dev1') where name = 'dev2'`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Credentials(ctx, "a1prod", "dev2")
	wantKind(t, err, ErrWrongKey)
	if err != nil && strings.Contains(err.Error(), "secret-of") {
		t.Error("the error holds the secret:", err)
	}
	if _, err := s.Credentials(ctx, "a1prod", "dev1"); err != nil {
		t.Error(err)
	}
	s.Close()
	files, _ := filepath.Glob(filepath.Join(opts.Dir, "*"))
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, plain := range [][]byte{[]byte("secret-of-dev"), []byte("productsecret"), testKey} {
			if bytes.Contains(data, plain) {
				t.Errorf("%s holds a secret in the clear", filepath.Base(f))
			}
		}
	}
}
