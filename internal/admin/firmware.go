package admin

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/linkstead/linkstead/internal/platform"
)

func (h *handler) firmwareRoutes() {
	h.handle("POST /v1/products/{pk}/firmware", h.addFirmware)
	h.handle("GET /v1/products/{pk}/firmware", h.listFirmware)
	h.handle("DELETE /v1/firmware/{id}", h.deleteFirmware)
	h.handle("POST /v1/upgrades", h.startUpgrade)
	h.handle("GET /v1/products/{pk}/upgrades", h.listUpgrades)
	h.handle("GET /v1/upgrades/{id}/tasks", h.upgradeTasks)
	h.handle("POST /v1/upgrades/{id}/cancel", h.cancelUpgrade)
	h.handle("GET /v1/devices/{pk}/{dn}/modules", h.deviceModules)
}

// isFirmware reports whether a request may be as large as firmware.
func isFirmware(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/v1/products/") && strings.HasSuffix(r.URL.Path, "/firmware")
}

// addFirmware takes the bytes of a package as they are; version (needed), module,
// source, sign (Md5 or SHA256) and udi are in the query. It answers a
// platform.Firmware.
func (h *handler) addFirmware(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f, err := h.Platform.AddFirmware(r.Context(), who(r), platform.Firmware{
		ProductKey: r.PathValue("pk"), Module: q.Get("module"), Version: q.Get("version"), SourceVersion: q.Get("source"), SignMethod: q.Get("sign"), UDI: q.Get("udi"),
	}, r.Body)
	if err != nil {
		return err
	}
	answerStatus(w, http.StatusCreated, f)
	return nil
}

// listFirmware answers {"firmware": […]}, newest first.
func (h *handler) listFirmware(w http.ResponseWriter, r *http.Request) error {
	list, err := h.Platform.FirmwareOf(r.Context(), r.PathValue("pk"))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.Firmware{"firmware": list})
}

// pathID reads the id in a path.
func pathID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id < 1 {
		return 0, invalid(clip(r.PathValue("id"))+" is no id", "ids are positive numbers")
	}
	return id, nil
}

func (h *handler) deleteFirmware(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := h.Platform.DeleteFirmware(r.Context(), who(r), id); err != nil {
		return err
	}
	return done(w)
}

// UpgradeStarted is a job that was made.
type UpgradeStarted struct {
	ID      int64 `json:"id"`
	Devices int   `json:"devices"`
}

// startUpgrade takes a platform.UpgradeJob and answers an UpgradeStarted.
func (h *handler) startUpgrade(w http.ResponseWriter, r *http.Request) error {
	var in platform.UpgradeJob
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	id, n, err := h.Platform.StartUpgrade(r.Context(), who(r), in)
	if err != nil {
		return err
	}
	answerStatus(w, http.StatusCreated, UpgradeStarted{id, n})
	return nil
}

// listUpgrades answers {"upgrades": […]}, newest first.
func (h *handler) listUpgrades(w http.ResponseWriter, r *http.Request) error {
	list, err := h.Platform.Upgrades(r.Context(), r.PathValue("pk"))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.UpgradeSummary{"upgrades": list})
}

// upgradeTasks answers {"tasks": […]}, those behind id after, at most limit.
func (h *handler) upgradeTasks(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	after, err := number(r, "after", math.MaxInt64)
	if err != nil {
		return err
	}
	limit, err := number(r, "limit", maxPage)
	if err != nil {
		return err
	}
	list, err := h.Platform.UpgradeTasks(r.Context(), id, after, int(limit))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.UpgradeTask{"tasks": list})
}

// cancelUpgrade takes {"all": false} and answers {"cancelled": n}.
func (h *handler) cancelUpgrade(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var in struct {
		All bool `json:"all"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	n, err := h.Platform.CancelUpgrade(r.Context(), who(r), id, in.All)
	if err != nil {
		return err
	}
	return answer(w, map[string]int64{"cancelled": n})
}

// deviceModules answers {"modules": {"default": "1.0.1"}}.
func (h *handler) deviceModules(w http.ResponseWriter, r *http.Request) error {
	m, err := h.Platform.ModuleVersions(r.Context(), r.PathValue("pk"), r.PathValue("dn"))
	if err != nil {
		return err
	}
	return answer(w, map[string]map[string]string{"modules": m})
}
