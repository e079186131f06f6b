package admin

import (
	"net/http"

	"github.com/linkstead/linkstead/internal/platform"
)

// PublishRequest is a message of the server's owner. Its payload is Text, or
// Base64 for what is no text.
type PublishRequest struct {
	Topic  string `json:"topic"`
	Text   string `json:"text,omitempty"`
	Base64 []byte `json:"base64,omitempty"`
	QoS    byte   `json:"qos,omitempty"` // 0 or 1
	Retain bool   `json:"retain,omitempty"`
	// Properties are for receivers that speak MQTT 5.0.
	Properties *platform.MessageProperties `json:"properties,omitempty"`
}

// publish sends a PublishRequest. With QoS 1 the answer comes when what waits for
// absent clients is stored.
func (h *handler) publish(w http.ResponseWriter, r *http.Request) error {
	var in PublishRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	payload := in.Base64
	if in.Text != "" {
		if len(payload) > 0 {
			return invalid("a payload is text or base64, not both", "")
		}
		payload = []byte(in.Text)
	}
	if err := h.Platform.PublishWith(r.Context(), who(r), in.Topic, payload, in.QoS, in.Retain, in.Properties); err != nil {
		return err
	}
	return done(w)
}
