package e2e

import (
	"bytes"
	"strings"
	"sync"
	"testing"
)

// logLines keeps what a server logs. It is an io.Writer for any number of goroutines.
type logLines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// tail returns the last lines, at most n bytes of them.
func (l *logLines) tail(n int) string {
	s := l.String()
	if len(s) <= n {
		return s
	}
	_, s, _ = strings.Cut(s[len(s)-n:], "\n")
	return s
}

// find returns the first line that holds all of parts, or "".
func (l *logLines) find(parts ...string) string {
next:
	for line := range strings.Lines(l.String()) {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue next
			}
		}
		return line
	}
	return ""
}

// await waits for such a line.
func (l *logLines) await(t *testing.T, parts ...string) string {
	t.Helper()
	eventually(t, "a log line with "+strings.Join(parts, " and "), func() bool { return l.find(parts...) != "" })
	return l.find(parts...)
}
