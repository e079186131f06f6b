package e2e

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/admin/client"
)

// TestBackup backs a server up under traffic, restores it elsewhere and looks whether everything that was
// acknowledged before the backup began is there, in order.
func TestBackup(t *testing.T) {
	cfg := defaults(t.TempDir())
	h := mustStartWith(t, cfg)
	x := newTraffic(t, h, rand.New(rand.NewPCG(1, 1)))

	g := new(gate)
	var running sync.WaitGroup
	for _, p := range x.posters {
		running.Go(func() { converse(h.address(), g, p) })
	}
	for _, w := range x.writers { // their readers are away
		running.Go(func() { converse(h.address(), g, w) })
	}
	busy := func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, p := range x.posters {
			if p.acked < 120 { // more than fits a head: there are chunks too
				return false
			}
		}
		for _, w := range x.writers {
			if w.sure < 50 {
				return false
			}
		}
		return true
	}
	eventually(t, "traffic", busy)

	// What is acknowledged now has to be in the backup that begins then.
	var posts [][]int
	var mails []int
	g.mu.Lock()
	for _, p := range x.posters {
		posts = append(posts, append([]int(nil), p.sure...))
	}
	for _, w := range x.writers {
		mails = append(mails, w.sure)
	}
	g.mu.Unlock()
	c, err := client.Find(client.Options{Data: cfg.Data})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "backup")
	b, err := c.Backup(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d posts and %d messages were acknowledged before; %+v", len(posts[0])*len(posts), mails[0]*len(mails), b)
	if _, err := c.Backup(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second backup to the same place: %v", err)
	}
	wantAudited(t, h, dir, "done: ", "begun")
	g.close()
	running.Wait()
	h.stop()

	linkstead(t, 0, "check", dir)
	data := filepath.Join(t.TempDir(), "data")
	linkstead(t, 0, "restore", dir, "--data", data)
	linkstead(t, 1, "restore", dir, "--data", data) // nothing is overwritten
	linkstead(t, 0, "check", data)
	key, err := os.ReadFile(filepath.Join(cfg.Data, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "master.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(h.CAFile())
	if err != nil {
		t.Fatal(err)
	}

	cfg.Data = data
	h = mustStartWith(t, cfg)
	wantAudited(t, h, dir, "begun")
	if got, err := os.ReadFile(h.CAFile()); err != nil || string(got) != string(ca) {
		t.Errorf("the restored authority is another: %v", err)
	}
	for i, p := range x.posters {
		p.sure = posts[i]
		p.look(t, h)
	}
	known := map[string]*writer{}
	for i, w := range x.writers {
		known[w.topic] = &writer{topic: w.topic, next: mails[i]}
	}
	for _, r := range x.readers {
		for topic, k := range r.tracks {
			k.writer = known[topic]
		}
		r.mode = last
		running.Go(func() { converse(h.address(), new(gate), r) })
	}
	running.Wait()
	for _, r := range x.readers {
		for _, wrong := range r.wrong {
			t.Error(wrong)
		}
		for topic, k := range r.tracks {
			if k.high < k.writer.next || len(k.missing)+k.unordered+len(k.bare) > 0 {
				t.Errorf("%s of %s: got %d of %d, %d missing, %d out of order, %d twice", r.name, topic, k.high, k.writer.next, len(k.missing), k.unordered, len(k.bare))
			}
		}
	}
}

// wantAudited wants these entries about a backup in the audit log, the newest first, and no others: one to a
// directory that cannot take it was not begun.
func wantAudited(t *testing.T, h *home, dir string, want ...string) {
	t.Helper()
	entries, err := h.Platform.AuditLog(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if e.Action == "backup" {
			got = append(got, e.Detail)
			if e.Object != dir || e.Who == "" || len(got) <= len(want) && !strings.HasPrefix(e.Detail, want[len(got)-1]) {
				t.Errorf("%s made a backup to %s: %s", e.Who, e.Object, e.Detail)
			}
		}
	}
	if len(got) != len(want) {
		t.Errorf("the audit log has %q, want %q", got, want)
	}
}

// TestCheckFindsDamage damages a backup and a data directory: check says so.
func TestCheckFindsDamage(t *testing.T) {
	cfg := defaults(t.TempDir())
	h := mustStartWith(t, cfg)
	h.addSeed()
	c, err := client.Find(client.Options{Data: cfg.Data})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "backup")
	if _, err := c.Backup(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if out := linkstead(t, 1, "check", cfg.Data); !strings.Contains(out, "in use") {
		t.Errorf("a check of a running server says %q", out)
	}
	h.stop()
	linkstead(t, 0, "check", cfg.Data)
	for _, path := range []string{filepath.Join(dir, "records", "records.db"), filepath.Join(cfg.Data, "records", "records.db")} {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		// The second page, whatever it is: not the first, without which it is no database.
		if _, err := f.WriteAt([]byte(strings.Repeat("damage", 100)), 4096); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if out := linkstead(t, 1, "check", dir); !strings.Contains(out, "records.db is not as it was written") {
		t.Errorf("a check of a damaged backup says %q", out)
	}
	if out := linkstead(t, 1, "restore", dir, "--data", filepath.Join(t.TempDir(), "data")); !strings.Contains(out, "damaged") {
		t.Errorf("restoring a damaged backup says %q", out)
	}
	if out := linkstead(t, 1, "check", cfg.Data); !strings.Contains(out, "DAMAGED") {
		t.Errorf("a check of a damaged directory says %q", out)
	}
}

// linkstead runs the program and fails the test unless its exit code is this one.
func linkstead(t *testing.T, code int, args ...string) (output string) {
	t.Helper()
	cmd := exec.Command(program(t), args...)
	cmd.Env = withoutSettings(os.Environ())
	begun := time.Now()
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("linkstead %s ends with %d after %v, want %d:\n%s", strings.Join(args, " "), got, time.Since(begun), code, out)
	}
	return string(out)
}
