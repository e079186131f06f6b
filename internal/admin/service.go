package admin

import (
	"encoding/json"
	"net/http"

	"github.com/linkstead/linkstead/internal/platform"
)

func (h *handler) serviceRoutes() {
	h.handle("POST /v1/devices/{pk}/{dn}/services/{id}/call", h.callService)
	h.handle("GET /v1/devices/{pk}/{dn}/services/{id}/history", h.history((*platform.Platform).ServiceHistory))
}

// ServiceRequest calls a service of a device.
type ServiceRequest struct {
	Params json.RawMessage `json:"params,omitempty"` // an object; {} if absent
	CallRequest
}

// callService sends a ServiceRequest and answers a CallResult. Synchronous
// services are always waited for.
func (h *handler) callService(w http.ResponseWriter, r *http.Request) error {
	var in ServiceRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	o, err := in.options()
	if err != nil {
		return err
	}
	result, err := h.Platform.InvokeService(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), r.PathValue("id"), in.Params, o)
	if err != nil {
		return err
	}
	return answer(w, result)
}
