package queue

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	rescueSessions = 8
	rescueSeqs     = 60
)

// raw gives everything in a store but its own values.
func raw(t *testing.T, l *Log) map[string]string {
	t.Helper()
	all := make(map[string]string)
	if err := l.each([]byte{keyMeta + 1}, []byte{keySession + 1}, func(key, v []byte) (bool, error) {
		all[string(key)] = string(v)
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// rescueRetained is a retained message of a session and round, half of them as
// format 1 has them.
func rescueRetained(sid SessionID, round int) (RetainedID, string, *Message) {
	m := message(sid, 1)
	m.Topic = fmt.Sprintf("r/%d/%d", sid, round)
	if sid%2 > 0 {
		return 0, m.Topic, m
	}
	return RetainedID(10*int(sid) + round), m.Topic, m
}

// mustFill makes a store with sessions, queues, states, deletions of every kind and
// retained messages in several tables and a log, and gives what is in it and what
// was in it before.
func mustFill(t *testing.T, dir string) (now, before map[string]string) {
	t.Helper()
	l := open(t, Options{Dir: dir})
	for round := range 3 {
		mustSubmit(t, l, func(b *Batch) {
			for sid := SessionID(1); sid <= rescueSessions; sid++ {
				b.PutSession(sid, fmt.Appendf(nil, "record %d", sid))
				for seq := Seq(round * rescueSeqs / 3); seq < Seq((round+1)*rescueSeqs/3); seq++ {
					m := message(sid, seq+1)
					m.Payload = append(m.Payload, bytes.Repeat([]byte{byte(seq)}, 700)...)
					b.Append(sid, seq+1, m)
				}
				b.PutReceived(sid, 7)
				b.PutRetained(rescueRetained(sid, round))
			}
		})
		if round == 1 {
			before = raw(t, l)
			mustSubmit(t, l, func(b *Batch) {
				b.DeleteThrough(2, 25)
				b.Delete(3, 1)
				b.Delete(3, 30)
				b.SetState(4, 2, Sent, 9)
				b.SetState(4, 3, Released, 10)
				for sid := SessionID(4); sid <= 5; sid++ {
					id, topic, _ := rescueRetained(sid, 0)
					b.DeleteRetained(id, topic)
				}
				b.Clear(6)
				b.DeleteSession(6)
			})
		}
		if round < 2 {
			if err := l.engine.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustSubmit(t, l, func(b *Batch) { b.Clear(7); b.SetState(4, 2, Released, 9); b.Delete(8, 60) })
	now = raw(t, l)
	maps.Copy(before, now)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return now, before
}

func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in %s: %v", pattern, dir, err)
	}
	return names
}

func rewrite(t *testing.T, path string, f func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func flip(at float64) func(b []byte) []byte {
	return func(b []byte) []byte {
		b[int(at*float64(len(b)-1))] ^= 0x10
		return b
	}
}

func truncate(to float64) func(b []byte) []byte {
	return func(b []byte) []byte { return b[:int(to*float64(len(b)))] }
}

// TestRescue damages a file of each kind in each way: the store opens, what is in
// the other files is there, nothing is there that never was, the damaged file is
// named, and the store as it was found lies beside.
func TestRescue(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		damage     func(b []byte) []byte
		whole      bool // nothing may be missing
	}{
		{"table, bit in the first block", "*.sst", flip(0.01), false},
		{"table, bit in the middle", "*.sst", flip(0.5), false},
		{"table, bit in the footer", "*.sst", flip(1), false},
		{"table, half of it", "*.sst", truncate(0.5), false},
		{"table, empty", "*.sst", truncate(0), false},
		{"log, bit in the first record", "*.log", flip(0.005), false},
		{"log, bit in the middle", "*.log", flip(0.5), false},
		{"manifest, bit at the beginning", "MANIFEST-*", flip(0.01), true},
		{"manifest, bit in the middle", "MANIFEST-*", flip(0.5), true},
		{"manifest, half of it", "MANIFEST-*", truncate(0.5), true},
		{"manifest, empty", "MANIFEST-*", truncate(0), true},
		{"manifest, gone", "MANIFEST-*", nil, true},
		{"marker of the manifest, gone", "marker.manifest.*", nil, true},
		{"marker of the format, gone", "marker.format-version.*", nil, true},
		{"options, a bit of the merger's name", "OPTIONS-*", func(b []byte) []byte { return bytes.Replace(b, []byte("merger=l"), []byte("merger=m"), 1) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "messages")
			now, before := mustFill(t, dir)
			path := files(t, dir, tt.file)[0]
			if tt.damage == nil {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else {
				rewrite(t, path, tt.damage)
			}
			name, _, _ := strings.Cut(filepath.Base(path), ".00")
			if c, err := Check(dir, func([]byte) error { return nil }); err != nil || !strings.Contains(strings.Join(c.Problems, "\n"), name) {
				t.Errorf("a check does not name %s: %q, %v", name, c.Problems, err)
			}
			if l, err := Open(Options{Dir: dir, Logger: quiet, StopOnDamage: true}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name) {
				t.Fatalf("told to stop it says %v, %v", l, err)
			}
			if found := SetAside(vfs.Default, dir); len(found) > 0 {
				t.Fatalf("told to stop it sets aside %v", found)
			}

			var log bytes.Buffer
			l := open(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			d := l.Damage()
			if d == nil || !strings.Contains(list(d.Files), name) || !strings.Contains(log.String(), name) || !strings.Contains(log.String(), "set_aside="+d.Aside) {
				t.Fatalf("the damage of %s is told as %+v\n%s", name, d, &log)
			}
			text, err := os.ReadFile(filepath.Join(d.Aside, reportName))
			if err != nil || !strings.Contains(string(text), name) {
				t.Errorf("the report says %q, %v", text, err)
			}
			if m := l.Metrics(); m.Damaged != len(d.Files) || m.SetAside != 1 {
				t.Errorf("metrics: %d damaged, %d set aside", m.Damaged, m.SetAside)
			}
			got := raw(t, l)
			if tt.whole && !maps.Equal(got, now) {
				t.Errorf("%d of %d values are there, and not as they were", len(got), len(now))
			}
			for key, v := range got {
				if now[key] != v && before[key] != v && key[0] != keyQueue {
					t.Errorf("%q is %q, was %q", key, v, now[key])
				}
				if _, was := before[key]; !was {
					t.Errorf("%q never was there", key)
				}
			}
			if len(got) < len(now)/4 || d.Sessions == 0 || d.Messages == 0 || d.Retained == 0 {
				t.Errorf("only %d of %d values are there: %+v", len(got), len(now), d.Rescued)
			}
			t.Logf("%d of %d values; %s; %s", len(got), len(now), d.describe(), list(d.Files))
			// It goes on, with identifiers that were never given, and is sound the next time.
			sid, err := l.NextSessionID()
			if err != nil || sid <= rescueSessions {
				t.Errorf("the next session is %d, %v", sid, err)
			}
			mustSubmit(t, l, func(b *Batch) { b.PutSession(sid, []byte("new")); b.Append(sid, 1, message(sid, 1)) })
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = open(t, Options{Dir: dir})
			if l.Damage() != nil || l.Metrics().SetAside != 1 {
				t.Errorf("the next time: %+v", l.Damage())
			}
			equal(t, "the new queue", seqs(t, l, sid), []Seq{1})
		})
	}
}

// TestTornLog: a log that is cut off at the end, as by a power cut, is no damage;
// everything before the cut is there.
func TestTornLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "messages")
	l := open(t, Options{Dir: dir})
	for seq := Seq(1); seq <= 20; seq++ {
		mustSubmit(t, l, func(b *Batch) { b.PutSession(1, []byte("x")); b.Append(1, seq, message(1, seq)) })
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	logs := files(t, dir, "*.log")
	path := logs[len(logs)-1]
	rewrite(t, path, func(b []byte) []byte { return bytes.TrimRight(b, "\x00")[:len(bytes.TrimRight(b, "\x00"))-30] })
	var log bytes.Buffer
	l = open(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if l.Damage() != nil {
		t.Errorf("it is told as damage: %+v", l.Damage())
	}
	if got := seqs(t, l, 1); len(got) < 18 || got[len(got)-1] != Seq(len(got)) {
		t.Errorf("there is %v", got)
	}
	if !strings.Contains(log.String(), filepath.Base(path)) {
		t.Errorf("it is not told:\n%s", &log)
	}
}

// TestInterruptedRescue: a start that was interrupted between the steps of a rescue
// is finished by the next; at no time is the store gone.
func TestInterruptedRescue(t *testing.T) {
	for _, step := range []string{"while it was written", "before the store was set aside", "after that"} {
		t.Run(step, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "messages")
			now, _ := mustFill(t, dir)
			if err := os.Remove(files(t, dir, "marker.manifest.*")[0]); err != nil {
				t.Fatal(err)
			}
			k, err := inspect(vfs.Default, dir)
			if err != nil {
				t.Fatal(err)
			}
			d := &Damage{Files: k.damaged}
			if d.Rescued, err = k.rescue(dir + rescueMark); err != nil {
				t.Fatal(err)
			}
			if step != "while it was written" {
				if err := k.report(dir+rescueMark, d, time.Now()); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(dir+rescueMark, dir+rescuedMark); err != nil {
					t.Fatal(err)
				}
			}
			if step == "after that" {
				if err := os.Rename(dir, dir+asideMark+"20261126T000000Z"); err != nil {
					t.Fatal(err)
				}
			}
			l := open(t, Options{Dir: dir})
			if got := raw(t, l); !maps.Equal(got, now) {
				t.Errorf("%d of %d values are there", len(got), len(now))
			}
			aside := SetAside(vfs.Default, dir)
			if len(aside) != 1 {
				t.Fatalf("set aside are %v", aside)
			}
			if _, err := os.Stat(filepath.Join(aside[0], reportName)); err != nil {
				t.Error(err)
			}
		})
	}
}
