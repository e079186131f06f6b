package admin

import (
	"encoding/json"
	"net/http"
)

func (h *handler) shadowRoutes() {
	h.handle("GET /v1/devices/{pk}/{dn}/shadow", h.getShadow)
	h.handle("POST /v1/devices/{pk}/{dn}/shadow/desired", h.desireShadow)
	h.handle("DELETE /v1/devices/{pk}/{dn}/shadow", h.deleteShadow)
}

// getShadow answers a platform.Shadow.
func (h *handler) getShadow(w http.ResponseWriter, r *http.Request) error {
	s, err := h.Platform.DeviceShadow(r.Context(), r.PathValue("pk"), r.PathValue("dn"))
	if err != nil {
		return err
	}
	return answer(w, s)
}

// ShadowRequest changes what a shadow desires.
type ShadowRequest struct {
	Desired json.RawMessage `json:"desired"` // an object; null attributes are removed, null alone clears it
	// Version is the one the shadow is to have; 0 counts on, -1 empties it first.
	Version int64 `json:"version,omitempty"`
}

// desireShadow takes a ShadowRequest and answers the shadow as it is then.
func (h *handler) desireShadow(w http.ResponseWriter, r *http.Request) error {
	var in ShadowRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	s, err := h.Platform.DesireShadow(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), in.Desired, in.Version)
	if err != nil {
		return err
	}
	return answer(w, s)
}

func (h *handler) deleteShadow(w http.ResponseWriter, r *http.Request) error {
	if err := h.Platform.DeleteShadow(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn")); err != nil {
		return err
	}
	return done(w)
}
