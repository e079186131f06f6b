package admin

import (
	"net/http"
	"time"

	"github.com/linkstead/linkstead/internal/platform"
)

// fileTimeout is how long a device's file may take to be fetched.
const fileTimeout = 10 * time.Minute

func (h *handler) fileRoutes() {
	h.handle("GET /v1/devices/{pk}/{dn}/files", h.listFiles)
	h.handle("GET /v1/devices/{pk}/{dn}/files/{name}", h.getFile)
	h.handle("DELETE /v1/devices/{pk}/{dn}/files/{name}", h.deleteFile)
}

// listFiles answers {"files": […]}, ordered by name.
func (h *handler) listFiles(w http.ResponseWriter, r *http.Request) error {
	list, err := h.Platform.DeviceFiles(r.Context(), r.PathValue("pk"), r.PathValue("dn"))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.DeviceFile{"files": list})
}

// getFile answers the bytes of a file, or the part that Range asks for.
func (h *handler) getFile(w http.ResponseWriter, r *http.Request) error {
	v, f, err := h.Platform.OpenDeviceFile(r.Context(), r.PathValue("pk"), r.PathValue("dn"), r.PathValue("name"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(fileTimeout))
	// Never a page of the server's own: a device chose what is in it.
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+v.Name+`"`)
	http.ServeContent(w, r, "", time.UnixMilli(v.ChangedAt), f)
	return nil
}

func (h *handler) deleteFile(w http.ResponseWriter, r *http.Request) error {
	if err := h.Platform.DeleteDeviceFile(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), r.PathValue("name")); err != nil {
		return err
	}
	return done(w)
}
