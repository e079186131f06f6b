package admin

import (
	"net/http"

	"github.com/linkstead/linkstead/internal/broker"
)

// Drops are messages that were not delivered.
type Drops struct {
	Latest []broker.Drop     `json:"latest"` // newest first
	Totals map[string]uint64 `json:"totals"` // by reason, since the start
}

func (h *handler) getDrops(w http.ResponseWriter, _ *http.Request) error {
	latest, totals := h.Platform.Drops()
	return answer(w, Drops{append([]broker.Drop{}, latest...), totals})
}
