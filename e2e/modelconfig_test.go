package e2e

import (
	"crypto/sha256"
	hexenc "encoding/hex"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
)

// TestModelConfig: an application gives a gateway the configuration of its channels; the gateway is told where it is
// and fetches it. What it was before is not there any more.
func TestModelConfig(t *testing.T) {
	h := mustStart(t, withFiles)
	if _, err := h.Platform.CreateProduct(t.Context(), who, platform.Product{ProductKey: "a1Gateway01", Name: "gateway", NodeType: "gateway"}); err != nil {
		t.Fatal(err)
	}
	d := h.addDevice(alink.Triple{ProductKey: "a1Gateway01", DeviceName: "gateway1"})
	const document = `{"modelList":[],"serverList":[{"serverId":"1","protocol":"RTU"}],"deviceList":[]}`
	push := func(content string, kind platform.ErrorKind) {
		t.Helper()
		if _, err := h.Platform.PushModelConfig(t.Context(), who, d.ProductKey, d.DeviceName, []byte(content)); err != nil && platform.KindOf(err) != kind || err == nil && kind != "" {
			t.Errorf("pushing %.20s: %v, want %q", content, err, kind)
		}
	}
	push(document, platform.KindOffline)
	w := h.login(d)
	push("{", platform.KindInvalid)
	push(`"`+strings.Repeat("x", 1<<20)+`"`, platform.KindInvalid)
	seed := h.addSeed()
	if _, err := h.Platform.PushModelConfig(t.Context(), who, seed.ProductKey, seed.DeviceName, []byte(document)); platform.KindOf(err) != platform.KindInvalid {
		t.Errorf("pushed to no gateway: %v", err)
	}
	form := regexp.MustCompile(`^\{"id":\d{1,10},"version":"1\.0","method":"thing\.model\.config\.push","data":\{"digest":"([0-9a-f]{64})","digestMethod":"sha256","url":"(http://127\.0\.0\.1:[^"]+)"\}\}$`)
	told := func() (digest, url string) {
		t.Helper()
		p := w.publication()
		m := form.FindStringSubmatch(string(p.Payload))
		if m == nil || string(p.Topic) != sysOf(d, "thing/model/config/push") {
			t.Fatalf("told on %s: %s", p.Topic, p.Payload)
		}
		return m[1], m[2]
	}
	fetch := func(url string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	push(document, "")
	digest, first := told()
	code, got := fetch(first)
	if sum := sha256.Sum256([]byte(got)); code != 200 || got != document || hexenc.EncodeToString(sum[:]) != digest {
		t.Errorf("fetched %d %s", code, got)
	}
	push(`{"modelList":[]}`, "")
	_, second := told()
	if code, got := fetch(second); code != 200 || got != `{"modelList":[]}` {
		t.Errorf("fetched %d %s", code, got)
	}
	for what, url := range map[string]string{"the one before": first, "without a signature": strings.Split(second, "?")[0], "another device's": strings.Replace(second, "/model/1/", "/model/2/", 1)} {
		if code, _ := fetch(url); code != 404 && code != 403 {
			t.Errorf("%s: %d", what, code)
		}
	}
	w.ping()
}
