package transport

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// lockedBuffer is a log that tests can wait for.
type lockedBuffer struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{}
}

func (b *lockedBuffer) logger() *slog.Logger {
	b.changed = make(chan struct{}, 1)
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// waitFor returns once the log contains text.
func (b *lockedBuffer) waitFor(t testing.TB, text string) {
	t.Helper()
	timeout := time.After(patience)
	for !strings.Contains(b.String(), text) {
		select {
		case <-b.changed:
		case <-timeout:
			t.Fatalf("the log does not say %q:\n%s", text, b.String())
		}
	}
}
