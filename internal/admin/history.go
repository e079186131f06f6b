package admin

import (
	"context"
	"math"
	"net/http"

	"github.com/linkstead/linkstead/internal/platform"
)

// maxHistory is the most values of one answer.
const maxHistory = 100_000

// query is a method of the platform that reads a series.
type query func(p *platform.Platform, ctx context.Context, pk, dn, id string, q platform.HistoryQuery) ([]platform.Value, error)

func (h *handler) eventRoutes() {
	h.handle("GET /v1/devices/{pk}/{dn}/events/{id}/history", h.history((*platform.Platform).EventHistory))
}

// history answers {"values": […]} of one series: from, to (Unix milliseconds, both
// included), limit (1000, at most 100,000) and order=desc for the newest first.
func (h *handler) history(read query) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		var q platform.HistoryQuery
		var err error
		if q.From, err = number(r, "from", math.MaxInt64); err != nil {
			return err
		}
		if q.To, err = number(r, "to", math.MaxInt64); err != nil {
			return err
		}
		limit, err := number(r, "limit", maxHistory)
		if err != nil {
			return err
		}
		q.Limit = int(limit)
		switch order := r.URL.Query().Get("order"); order {
		case "", "asc":
		case "desc":
			q.Descending = true
		default:
			return invalid("order="+clip(order)+" is not asc or desc", "")
		}
		values, err := read(h.Platform, r.Context(), r.PathValue("pk"), r.PathValue("dn"), r.PathValue("id"), q)
		if err != nil {
			return err
		}
		return answer(w, map[string][]platform.Value{"values": values})
	}
}
