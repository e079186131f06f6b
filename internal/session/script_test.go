package session

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkstead/linkstead/mqtt"
)

var update = flag.Bool("update", false, "write the traces into the scripts")

// TestScripts runs testdata/*.txt: each line is a command, and behind "-> "
// stands everything it answers. Commands are the methods in lower case.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			m := &machine{t: t}
			for line := range strings.Lines(string(want)) {
				line = strings.TrimRight(line, "\n")
				command, _, _ := strings.Cut(line, " ->")
				command = strings.TrimSpace(command)
				if command == "" || command[0] == '#' {
					got.WriteString(line + "\n")
					continue
				}
				got.WriteString(strings.TrimRight(fmt.Sprintf("%-20s -> %s", command, m.do(strings.Fields(command))), " ") + "\n")
			}
			if *update {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

// machine is one session, driven by commands.
type machine struct {
	t    *testing.T
	out  Outbound
	in   Inbound
	acks Acks
}

func (m *machine) do(w []string) string {
	arg := func(i int) uint64 {
		n, err := strconv.ParseUint(w[i], 10, 64)
		if err != nil {
			m.t.Fatal(w, err)
		}
		return n
	}
	outcome := func(seq uint64, ok bool) string {
		if !ok {
			return "unknown"
		}
		return fmt.Sprintf("message %d done, %d in flight", seq, m.out.InFlight())
	}
	switch w[0] {
	case "window":
		m.out.SetWindow(int(arg(1)))
		return "ok"
	case "send":
		if !m.out.Ready(arg(1)) {
			return "wait"
		}
		return fmt.Sprintf("PUBLISH id=%d, %d in flight", m.out.Send(arg(1), byte(arg(2))), m.out.InFlight())
	case "resend-pubrel":
		return fmt.Sprintf("PUBREL id=%d", m.out.SendReleased(arg(1)))
	case "puback":
		return outcome(m.out.Puback(uint16(arg(1))))
	case "pubcomp":
		return outcome(m.out.Pubcomp(uint16(arg(1))))
	case "refuse":
		return outcome(m.out.Refuse(uint16(arg(1))))
	case "pubrec":
		seq, again, ok := m.out.Pubrec(uint16(arg(1)))
		switch {
		case !ok:
			return "unknown"
		case again:
			return fmt.Sprintf("PUBREL again for message %d", seq)
		}
		return fmt.Sprintf("PUBREL for message %d", seq)
	case "oldest":
		if seq, ok := m.out.Oldest(); ok {
			return strconv.FormatUint(seq, 10)
		}
		return "none"
	case "disconnect":
		m.out.Reset()
		m.acks.Reset()
		return fmt.Sprintf("%d in flight, %d owed, %d unreleased", m.out.InFlight(), m.acks.Len(), m.in.Len())
	case "receive":
		if m.in.Publish(uint16(arg(1))) {
			return "fresh"
		}
		return "repetition"
	case "release":
		if m.in.Release(uint16(arg(1))) {
			return "released"
		}
		return "unknown"
	case "owe":
		return fmt.Sprintf("ticket %d", m.acks.Push(Ack{Type: mqtt.PUBACK, ID: uint16(arg(1))}))
	case "complete":
		m.acks.Complete(arg(1), mqtt.ReasonCode(arg(2)))
		var out []string
		for a, ok := m.acks.Next(); ok; a, ok = m.acks.Next() {
			out = append(out, fmt.Sprintf("PUBACK %d code %d", a.ID, a.Code))
		}
		return strings.Join(out, ", ")
	}
	m.t.Fatalf("no command is called %q", w[0])
	return ""
}
