package admin

import (
	"encoding/json"
	"net/http"

	"github.com/linkstead/linkstead/internal/platform"
)

func (h *handler) desiredRoutes() {
	h.handle("GET /v1/devices/{pk}/{dn}/desired", h.getDesired)
	h.handle("POST /v1/devices/{pk}/{dn}/desired", h.setDesired)
}

// getDesired answers {"values": […]}: what properties of a device should become.
func (h *handler) getDesired(w http.ResponseWriter, r *http.Request) error {
	values, err := h.Platform.DesiredValues(r.Context(), r.PathValue("pk"), r.PathValue("dn"))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.DesiredValue{"values": values})
}

// DesiredRequest says what properties of a device should become.
type DesiredRequest struct {
	Params json.RawMessage `json:"params"` // an object of writable properties; null clears one
	// Versions are those that desired values must have, by property; 0 for none yet.
	Versions map[string]int64 `json:"versions,omitempty"`
}

// setDesired takes a DesiredRequest and answers {"values": […]} with the new
// versions.
func (h *handler) setDesired(w http.ResponseWriter, r *http.Request) error {
	var in DesiredRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	values, err := h.Platform.SetDesired(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), in.Params, in.Versions)
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.DesiredValue{"values": values})
}
