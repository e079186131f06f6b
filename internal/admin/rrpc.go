package admin

import (
	"net/http"
	"time"

	"github.com/linkstead/linkstead/internal/platform"
)

func (h *handler) rrpcRoutes() {
	h.handle("POST /v1/devices/{pk}/{dn}/rrpc", h.rrpc)
	h.handle("POST /v1/devices/{pk}/{dn}/account", h.accountEvent)
	h.handle("POST /v1/products/{pk}/broadcast", h.broadcast)
}

// RRPCRequest is a request of any bytes that a device answers.
type RRPCRequest struct {
	Topic     string `json:"topic,omitempty"` // a custom topic of the device; "" is the system's own
	Payload   []byte `json:"payload"`         // base64
	TimeoutMS int64  `json:"timeoutMs"`       // 1000 to 8000
	// Properties go with the request to a device that speaks MQTT 5.0.
	Properties *platform.MessageProperties `json:"properties,omitempty"`
}

// rrpc sends an RRPCRequest and answers a platform.RRPCResult.
func (h *handler) rrpc(w http.ResponseWriter, r *http.Request) error {
	var in RRPCRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	result, err := h.Platform.RRPCWith(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), in.Topic, in.Payload,
		time.Duration(in.TimeoutMS)*time.Millisecond, in.Properties)
	if err != nil {
		return err
	}
	return answer(w, result)
}

// accountEvent takes {"operation": "Bind"}, Unbind or Reset.
func (h *handler) accountEvent(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Operation string `json:"operation"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if err := h.Platform.AccountEvent(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), in.Operation); err != nil {
		return err
	}
	return done(w)
}

// BroadcastRequest is a message to the devices of a product.
type BroadcastRequest struct {
	// Topic is what follows /broadcast/{productKey}/ for devices that subscribed; ""
	// is every device that is online.
	Topic   string `json:"topic,omitempty"`
	Payload []byte `json:"payload"` // base64
}

// BroadcastResult says where a broadcast went.
type BroadcastResult struct {
	ID      string `json:"id,omitempty"`
	Topic   string `json:"topic,omitempty"`
	Devices int    `json:"devices,omitempty"`
}

// broadcast takes a BroadcastRequest and answers a BroadcastResult.
func (h *handler) broadcast(w http.ResponseWriter, r *http.Request) error {
	var in BroadcastRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	where, n, err := h.Platform.Broadcast(r.Context(), who(r), r.PathValue("pk"), in.Topic, in.Payload)
	if err != nil {
		return err
	}
	if in.Topic != "" {
		return answer(w, BroadcastResult{Topic: where})
	}
	return answer(w, BroadcastResult{ID: where, Devices: n})
}
