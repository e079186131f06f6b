package admin

import (
	"math"
	"net/http"
)

// AuditEntry is one thing that somebody did.
type AuditEntry struct {
	ID     int64  `json:"id"`
	Time   int64  `json:"time"` // Unix milliseconds
	Who    string `json:"who"`
	Action string `json:"action"`
	Object string `json:"object"`
	Detail string `json:"detail,omitempty"`
}

// listAudit answers {"entries": […]}, newest first, with ids smaller than before.
func (h *handler) listAudit(w http.ResponseWriter, r *http.Request) error {
	before, err := number(r, "before", math.MaxInt64)
	if err != nil {
		return err
	}
	limit, err := number(r, "limit", maxPage)
	if err != nil {
		return err
	}
	list, err := h.Platform.AuditLog(r.Context(), before, int(limit))
	if err != nil {
		return err
	}
	out := make([]AuditEntry, 0, len(list))
	for _, e := range list {
		out = append(out, AuditEntry{e.ID, e.At.UnixMilli(), e.Who, e.Action, e.Object, e.Detail})
	}
	return answer(w, map[string][]AuditEntry{"entries": out})
}
