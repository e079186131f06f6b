package admin

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/linkstead/linkstead/internal/broker"
)

const (
	// turnPatience is how long an event loop may take to turn before it counts as
	// stuck, writePatience how long the disk may take.
	turnPatience  = 2 * time.Second
	writePatience = 2 * time.Second
	// healthKept is how long an answer is given again: whoever asks without a token
	// must not cost more than one look.
	healthKept = time.Second
)

// Health is the answer of /healthz and /readyz. It says nothing that a stranger
// may not know.
type Health struct {
	Status string `json:"status"` // "ok" or "failing"
	// Reasons are short words: "loops", "storage", "draining", "overloaded".
	Reasons []string `json:"reasons,omitempty"`
}

// health keeps the answers for a moment.
type health struct{ alive, ready healthAnswer }

type healthAnswer struct {
	mu     sync.Mutex
	at     time.Time
	answer Health
}

// serveHealth answers /healthz and /readyz, which need no token. It reports false
// for everything else.
func (h *handler) serveHealth(w http.ResponseWriter, r *http.Request) bool {
	var kept *healthAnswer
	var look func() Health
	switch r.URL.Path {
	case "/healthz":
		kept, look = &h.health.alive, h.alive
	case "/readyz":
		kept, look = &h.health.ready, h.ready
	default:
		return false
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		h.fail(w, r, &Error{Code: CodeMethod, Message: r.URL.Path + " does not take " + clip(r.Method), Hint: "it takes GET, HEAD"})
		return true
	}
	kept.mu.Lock()
	old := kept.at.IsZero() || time.Since(kept.at) > healthKept
	if kept == &h.health.ready && h.Broker.Draining() && !slices.Contains(kept.answer.Reasons, "draining") {
		old = true // no new client must be sent here from now on
	}
	if old {
		kept.answer, kept.at = look(), time.Now()
	}
	a := kept.answer
	kept.mu.Unlock()
	status := http.StatusOK
	if len(a.Reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	answerStatus(w, status, a)
	return true
}

func newHealth(reasons []string) Health {
	if len(reasons) > 0 {
		return Health{"failing", reasons}
	}
	return Health{Status: "ok"}
}

// turning asks every event loop for a sign of life.
func (h *handler) turning() broker.Health {
	ctx, cancel := context.WithTimeout(context.Background(), turnPatience)
	defer cancel()
	return h.Broker.Health(ctx)
}

// alive is /healthz: the process runs and its event loops turn. If not, restarting
// it is the remedy.
func (h *handler) alive() Health {
	if len(h.turning().Stuck) > 0 {
		return newHealth([]string{"loops"})
	}
	return newHealth(nil)
}

// ready is /readyz: new clients are served well here.
func (h *handler) ready() Health {
	var reasons []string
	b := h.turning()
	if len(b.Stuck) > 0 {
		reasons = append(reasons, "loops")
	}
	if h.Writable != nil {
		ctx, cancel := context.WithTimeout(context.Background(), writePatience)
		defer cancel()
		if len(h.Writable(ctx)) > 0 {
			reasons = append(reasons, "storage")
		}
	}
	if b.Draining {
		reasons = append(reasons, "draining")
	}
	if b.Pressing {
		reasons = append(reasons, "overloaded")
	}
	return newHealth(reasons)
}
