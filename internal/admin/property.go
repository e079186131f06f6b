package admin

import (
	"encoding/json"
	"math"
	"net/http"

	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/store"
)

func (h *handler) propertyRoutes() {
	h.handle("GET /v1/devices/{pk}/{dn}/properties", h.latestProperties)
	h.handle("GET /v1/devices/{pk}/{dn}/properties/{id}/history", h.history((*platform.Platform).PropertyHistory))
	h.handle("GET /v1/devices/{pk}/{dn}/properties/{id}/chart", h.propertyChart)
	h.handle("POST /v1/devices/{pk}/{dn}/properties/set", h.setProperties)
	h.handle("POST /v1/devices/{pk}/{dn}/properties/get", h.getProperties)
}

// latestProperties answers {"values": […]}: what the device reported last.
func (h *handler) latestProperties(w http.ResponseWriter, r *http.Request) error {
	values, err := h.Platform.LatestProperties(r.Context(), r.PathValue("pk"), r.PathValue("dn"))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.Value{"values": values})
}

// propertyChart answers {"buckets": […]}, the values summed up: every (the span of a
// bucket in milliseconds), from, to (Unix milliseconds, both included) and limit
// (1000 buckets, at most 10,000).
func (h *handler) propertyChart(w http.ResponseWriter, r *http.Request) error {
	var q platform.ChartQuery
	var err error
	if q.EveryMS, err = number(r, "every", math.MaxInt64); err != nil {
		return err
	}
	if q.EveryMS < 1 {
		return invalid("every= is missing", "say how many milliseconds are summed up, such as every=60000")
	}
	if q.From, err = number(r, "from", math.MaxInt64); err != nil {
		return err
	}
	if q.To, err = number(r, "to", math.MaxInt64); err != nil {
		return err
	}
	limit, err := number(r, "limit", store.MaxBuckets)
	if err != nil {
		return err
	}
	q.Limit = int(limit)
	buckets, err := h.Platform.PropertyChart(r.Context(), r.PathValue("pk"), r.PathValue("dn"), r.PathValue("id"), q)
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.Bucket{"buckets": buckets})
}

// SetRequest tells a device to change properties.
type SetRequest struct {
	Params json.RawMessage `json:"params"` // an object of writable properties
	CallRequest
}

// setProperties sends a SetRequest and answers a CallResult.
func (h *handler) setProperties(w http.ResponseWriter, r *http.Request) error {
	var in SetRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	o, err := in.options()
	if err != nil {
		return err
	}
	result, err := h.Platform.SetProperties(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), in.Params, o)
	if err != nil {
		return err
	}
	return answer(w, result)
}

// GetRequest asks a device itself for properties.
type GetRequest struct {
	Identifiers []string `json:"identifiers"`
	CallRequest
}

// getProperties sends a GetRequest, waits and answers a CallResult.
func (h *handler) getProperties(w http.ResponseWriter, r *http.Request) error {
	var in GetRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if len(in.Identifiers) == 0 {
		return invalid("no properties are named", "add \"identifiers\"")
	}
	o, err := in.options()
	if err != nil {
		return err
	}
	result, err := h.Platform.GetProperties(r.Context(), r.PathValue("pk"), r.PathValue("dn"), in.Identifiers, o)
	if err != nil {
		return err
	}
	return answer(w, result)
}
