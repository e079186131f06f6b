package admin

import (
	"net/http"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/platform"
)

// maxPage is the most entries of one page of a list.
const maxPage = 1000

// DeviceInfo is a device with what the server knows of its connection.
type DeviceInfo struct {
	platform.Device
	Session *broker.SessionInfo `json:"session,omitempty"` // nil: none is kept
	Tags    []platform.Tag      `json:"tags,omitempty"`
	Gateway *platform.DeviceRef `json:"gateway,omitempty"` // nil: it belongs to none
}

func (h *handler) deviceRoutes() {
	h.handle("GET /v1/devices", h.listDevices)
	h.handle("POST /v1/devices", h.createDevice)
	h.handle("POST /v1/devices/import", h.importDevices)
	h.handle("GET /v1/devices/{pk}/{dn}", h.getDevice)
	h.handle("DELETE /v1/devices/{pk}/{dn}", h.deleteDevice)
	h.handle("POST /v1/devices/{pk}/{dn}/enable", h.enableDevice)
	h.handle("POST /v1/devices/{pk}/{dn}/disable", h.disableDevice)
	h.handle("POST /v1/devices/{pk}/{dn}/reset", h.resetDevice)
	h.handle("POST /v1/devices/{pk}/{dn}/secret", h.revealSecret)
}

// listDevices answers {"devices": […]}, those of ?product= whose names begin with
// prefix, in the order of names; after and limit (100, at most 1000) page through
// them.
func (h *handler) listDevices(w http.ResponseWriter, r *http.Request) error {
	limit, err := number(r, "limit", maxPage)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	pk := q.Get("product")
	if pk == "" {
		return invalid("devices are listed by product", "add ?product= and a ProductKey")
	}
	if _, err := h.Platform.Product(r.Context(), pk); err != nil {
		return err
	}
	list, err := h.Platform.Devices(r.Context(), pk, q.Get("after"), q.Get("prefix"), int(limit))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.Device{"devices": list})
}

// createDevice takes a NewDevice; name and secret are made up if empty. The answer
// carries the secret, this once.
func (h *handler) createDevice(w http.ResponseWriter, r *http.Request) error {
	var in platform.NewDevice
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	d, err := h.Platform.CreateDevice(r.Context(), who(r), in)
	if err != nil {
		return err
	}
	answerStatus(w, http.StatusCreated, d)
	return nil
}

// importDevices takes {"devices": [NewDevice…]}, at most 10,000, and answers
// {"results": [Imported…]} in their order: rows fail one by one.
func (h *handler) importDevices(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Devices []platform.NewDevice `json:"devices"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	results, err := h.Platform.ImportDevices(r.Context(), who(r), in.Devices)
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.Imported{"results": results})
}

func (h *handler) getDevice(w http.ResponseWriter, r *http.Request) error {
	pk, dn := r.PathValue("pk"), r.PathValue("dn")
	d, err := h.Platform.Device(r.Context(), pk, dn)
	if err != nil {
		return err
	}
	info := DeviceInfo{Device: d}
	if info.Tags, err = h.Platform.Tags(r.Context(), pk, dn); err != nil {
		return err
	}
	switch g, err := h.Platform.GatewayOf(r.Context(), pk, dn); {
	case err == nil:
		info.Gateway = &g
	case platform.KindOf(err) != platform.KindNotFound:
		return err
	}
	if info.Session, err = h.session(r, platform.DeviceKey(pk, dn)); err != nil {
		return err
	}
	return answer(w, info)
}

func (h *handler) deleteDevice(w http.ResponseWriter, r *http.Request) error {
	if err := h.Platform.DeleteDevice(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn")); err != nil {
		return err
	}
	return done(w)
}

func (h *handler) enableDevice(w http.ResponseWriter, r *http.Request) error {
	if err := h.Platform.SetEnabled(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), true); err != nil {
		return err
	}
	return done(w)
}

func (h *handler) disableDevice(w http.ResponseWriter, r *http.Request) error {
	if err := h.Platform.SetEnabled(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), false); err != nil {
		return err
	}
	return done(w)
}

// resetDevice lets a device register once more.
func (h *handler) resetDevice(w http.ResponseWriter, r *http.Request) error {
	if err := h.Platform.ResetDevice(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn")); err != nil {
		return err
	}
	return done(w)
}

// revealSecret takes {"reason": "…"} and answers {"deviceSecret": "…"}. The reason
// is kept in the audit log.
func (h *handler) revealSecret(w http.ResponseWriter, r *http.Request) error {
	reason, err := readReason(w, r)
	if err != nil {
		return err
	}
	secret, err := h.Platform.RevealSecret(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), reason)
	if err != nil {
		return err
	}
	return answer(w, map[string]string{"deviceSecret": secret})
}

// readReason reads why a secret is to be shown.
func readReason(w http.ResponseWriter, r *http.Request) (string, error) {
	var in struct {
		Reason string `json:"reason"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return "", err
	}
	if in.Reason == "" || len(in.Reason) > 500 {
		return "", invalid("a secret is shown for a reason of 1 to 500 bytes, which is kept in the audit log", "add \"reason\"")
	}
	return in.Reason, nil
}
