package admin

import (
	"net/http"

	"github.com/linkstead/linkstead/internal/platform"
)

func (h *handler) gatewayRoutes() {
	h.handle("GET /v1/gateways/{pk}/{dn}/subs", h.listSubs)
	h.handle("POST /v1/gateways/{pk}/{dn}/subs", h.addSubs)
	h.handle("DELETE /v1/gateways/{pk}/{dn}/subs/{subpk}/{subdn}", h.removeSub)
	h.handle("POST /v1/gateways/{pk}/{dn}/notify", h.notifySubs)
	h.handle("POST /v1/gateways/{pk}/{dn}/permit", h.permitJoin)
	h.handle("POST /v1/gateways/{pk}/{dn}/config", h.configureGateway)
	h.handle("POST /v1/devices/{pk}/{dn}/bootstrap", h.bootstrap)
}

// configureGateway takes the document as it is and answers a
// platform.ModelConfigPushed.
func (h *handler) configureGateway(w http.ResponseWriter, r *http.Request) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	c, err := h.Platform.PushModelConfig(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), b)
	if err != nil {
		return err
	}
	return answer(w, c)
}

// maxSubs is the most sub-devices in one request.
const maxSubs = 100

// SubsRequest names sub-devices.
type SubsRequest struct {
	Devices []platform.DeviceRef `json:"devices"`
	CallRequest
}

// PermitRequest lets devices of a product join a gateway.
type PermitRequest struct {
	ProductKey string `json:"productKey"`
	Seconds    int    `json:"seconds"`
	CallRequest
}

// listSubs answers {"devices": […]}, the sub-devices of a gateway.
func (h *handler) listSubs(w http.ResponseWriter, r *http.Request) error {
	list, err := h.Platform.Topology(r.Context(), r.PathValue("pk"), r.PathValue("dn"))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.Device{"devices": list})
}

func readSubs(w http.ResponseWriter, r *http.Request) (in SubsRequest, err error) {
	if err := readJSON(w, r, &in); err != nil {
		return in, err
	}
	if len(in.Devices) == 0 || len(in.Devices) > maxSubs {
		return in, invalid("a request names 1 to 100 sub-devices", `add "devices"`)
	}
	return in, nil
}

// addSubs takes a SubsRequest and makes the devices the gateway's.
func (h *handler) addSubs(w http.ResponseWriter, r *http.Request) error {
	in, err := readSubs(w, r)
	if err != nil {
		return err
	}
	if err := h.Platform.AddTopology(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), in.Devices); err != nil {
		return err
	}
	return done(w)
}

func (h *handler) removeSub(w http.ResponseWriter, r *http.Request) error {
	sub := platform.DeviceRef{ProductKey: r.PathValue("subpk"), DeviceName: r.PathValue("subdn")}
	if err := h.Platform.RemoveTopology(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), sub); err != nil {
		return err
	}
	return done(w)
}

// notifySubs takes a SubsRequest, asks the gateway to add the devices, and answers
// a CallResult.
func (h *handler) notifySubs(w http.ResponseWriter, r *http.Request) error {
	in, err := readSubs(w, r)
	if err != nil {
		return err
	}
	o, err := in.options()
	if err != nil {
		return err
	}
	result, err := h.Platform.NotifyAddTopology(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), in.Devices, o)
	if err != nil {
		return err
	}
	return answer(w, result)
}

// permitJoin takes a PermitRequest and answers a CallResult.
func (h *handler) permitJoin(w http.ResponseWriter, r *http.Request) error {
	var in PermitRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	o, err := in.options()
	if err != nil {
		return err
	}
	result, err := h.Platform.PermitJoin(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), in.ProductKey, in.Seconds, o)
	if err != nil {
		return err
	}
	return answer(w, result)
}

// bootstrap takes a CallRequest, tells the device to read its endpoint again, and
// answers a CallResult.
func (h *handler) bootstrap(w http.ResponseWriter, r *http.Request) error {
	var in CallRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	o, err := in.options()
	if err != nil {
		return err
	}
	result, err := h.Platform.Bootstrap(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), o)
	if err != nil {
		return err
	}
	return answer(w, result)
}
