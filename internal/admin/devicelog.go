package admin

import (
	"math"
	"net/http"

	"github.com/linkstead/linkstead/internal/platform"
)

func (h *handler) deviceLogRoutes() {
	h.handle("GET /v1/devices/{pk}/{dn}/log", h.deviceLog)
	h.handle("POST /v1/devices/{pk}/{dn}/log/switch", h.switchLog)
}

// deviceLog answers {"lines": […]}, newest first, with ids smaller than before.
func (h *handler) deviceLog(w http.ResponseWriter, r *http.Request) error {
	before, err := number(r, "before", math.MaxInt64)
	if err != nil {
		return err
	}
	limit, err := number(r, "limit", maxPage)
	if err != nil {
		return err
	}
	lines, err := h.Platform.DeviceLog(r.Context(), r.PathValue("pk"), r.PathValue("dn"), before, int(limit))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.LogLine{"lines": lines})
}

// switchLog takes {"on": true} and tells the device to report its log, or not to.
func (h *handler) switchLog(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		On bool `json:"on"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if err := h.Platform.SwitchLog(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), in.On); err != nil {
		return err
	}
	return done(w)
}
