package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/server"
)

func mustStart(t *testing.T) (*server.Server, config.Config) {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Durability = filepath.Join(t.TempDir(), "data"), "memory"
	cfg.Listen, cfg.Admin = []string{"127.0.0.1:0"}, "127.0.0.1:0"
	s, err := server.Start(t.Context(), cfg, server.Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, cfg
}

func TestDoor(t *testing.T) {
	s, _ := mustStart(t)
	bearer := "Bearer " + s.AdminToken()
	for _, c := range []struct {
		name, method, path, host, authorization, body string
		status                                        int
		code                                          admin.Code
	}{
		{"no token", "GET", "/v1/status", "", "", "", 401, admin.CodeUnauthorized},
		{"wrong token", "GET", "/v1/status", "", bearer + "x", "", 401, admin.CodeUnauthorized},
		{"wrong scheme", "GET", "/v1/status", "", "Basic " + s.AdminToken(), "", 401, admin.CodeUnauthorized},
		{"token before routes", "GET", "/v1/nosuch", "", "", "", 401, admin.CodeUnauthorized},
		{"rebound name", "GET", "/v1/status", "evil.example:8080", bearer, "", 403, admin.CodeForbidden},
		{"no name of a loopback address", "GET", "/v1/status", "127.0.0.1.evil.example", bearer, "", 403, admin.CodeForbidden},
		{"localhost", "GET", "/v1/status", "localhost:8080", bearer, "", 200, ""},
		{"IPv6 loopback", "GET", "/v1/status", "[::1]:8080", bearer, "", 200, ""},
		{"no route", "GET", "/v1/nosuch", "", bearer, "", 404, admin.CodeNotFound},
		{"no method", "PATCH", "/v1/status", "", bearer, "", 405, admin.CodeMethod},
		{"no such product", "GET", "/v1/products/a1nosuchABC", "", bearer, "", 404, admin.CodeNotFound},
		{"no body", "POST", "/v1/products", "", bearer, "", 400, admin.CodeInvalid},
		{"unknown member", "POST", "/v1/products", "", bearer, `{"nmae":"x"}`, 400, admin.CodeInvalid},
		{"two documents", "POST", "/v1/products", "", bearer, `{"name":"x"} {}`, 400, admin.CodeInvalid},
		{"too large", "POST", "/v1/products", "", bearer, `{"name":"` + strings.Repeat("x", 9<<20) + `"}`, 413, admin.CodeTooLarge},
		{"limit", "GET", "/v1/products?limit=1001", "", bearer, "", 400, admin.CodeInvalid},
		{"session", "GET", "/v1/sessions/d:a/b", "", bearer, "", 404, admin.CodeNotFound},
		{"wildcard topic", "POST", "/v1/publish", "", bearer, `{"topic":"a/+"}`, 400, admin.CodeInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+s.AdminAddress()+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = c.host
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			var got struct {
				Error admin.Error `json:"error"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status || got.Error.Code != c.code {
				t.Errorf("status %d, code %q (%s); want %d, %q", resp.StatusCode, got.Error.Code, got.Error.Message, c.status, c.code)
			}
			if strings.Contains(got.Error.Error(), s.AdminToken()) {
				t.Error("the error shows the token")
			}
		})
	}
}

func TestAuditNamesTheCaller(t *testing.T) {
	_, cfg := mustStart(t)
	c, err := client.Find(client.Options{Data: cfg.Data, User: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateProduct(t.Context(), platform.Product{ProductKey: "a1ji0qFv6Jf", Name: "board"}); err != nil {
		t.Fatal(err)
	}
	entries, err := c.Audit(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Who != "token:ann" || entries[0].Action != "product.create" || entries[0].Object != "a1ji0qFv6Jf" {
		t.Errorf("audit says %+v", entries)
	}
}

// TestTailsAreBounded opens as many live views as there may be, then one more, and
// one again when one has gone.
func TestTailsAreBounded(t *testing.T) {
	s, _ := mustStart(t)
	open := func(ctx context.Context) *http.Response {
		r, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.AdminAddress()+"/v1/tail", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.AdminToken())
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	first, leave := context.WithCancel(t.Context())
	defer leave()
	open(first)
	for range 15 {
		if resp := open(t.Context()); resp.StatusCode != http.StatusOK {
			t.Fatalf("a live view is answered %s", resp.Status)
		}
	}
	if resp := open(t.Context()); resp.StatusCode != http.StatusServiceUnavailable {
		line, _ := bufio.NewReader(resp.Body).ReadString('\n')
		t.Fatalf("one live view too many is answered %s %s", resp.Status, line)
	}
	leave()
	for t.Context().Err() == nil { // until the server has noticed
		if resp := open(t.Context()); resp.StatusCode == http.StatusOK {
			return
		}
	}
}

func TestToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.token")
	token, created, err := admin.LoadOrCreateToken(path)
	if err != nil || !created || len(token) < 32 {
		t.Fatalf("%q, created %v, %v", token, created, err)
	}
	again, created, err := admin.LoadOrCreateToken(path)
	if err != nil || created || again != token {
		t.Errorf("the second start has %q, created %v, %v", again, created, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := admin.LoadOrCreateToken(path); err == nil || !strings.Contains(err.Error(), "chmod 600") || strings.Contains(err.Error(), token) {
		t.Errorf("a file that others may read: %v", err)
	}
	if err := os.WriteFile(path, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := admin.LoadOrCreateToken(path); err == nil {
		t.Error("a token of five characters was taken")
	}
}

func TestAddress(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "admin.json")
	for bound, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080", "0.0.0.0:81": "127.0.0.1:81", "[::]:82": "[::1]:82", ":83": "127.0.0.1:83",
	} {
		if err := admin.WriteAddress(path, bound, filepath.Join(dir, "admin.token")); err != nil {
			t.Fatal(err)
		}
		got, token, err := admin.ReadAddress(path)
		if err != nil || got != want || token != filepath.Join(dir, "admin.token") {
			t.Errorf("%s is read as %s, token %s, %v; want %s", bound, got, token, err, want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
