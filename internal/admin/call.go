package admin

import (
	"time"

	"github.com/linkstead/linkstead/internal/platform"
)

// CallRequest is what every command to a device may say.
type CallRequest struct {
	Wait      bool   `json:"wait,omitempty"`      // for the device's reply
	TimeoutMS int64  `json:"timeoutMs,omitempty"` // how long; the server's default if 0
	ID        string `json:"id,omitempty"`        // message id to use, decimal
	NoCheck   bool   `json:"noCheck,omitempty"`   // send what the thing model does not allow
	// Properties go with the message to a device that speaks MQTT 5.0.
	Properties *platform.MessageProperties `json:"properties,omitempty"`
}

// maxCallTimeout is the longest that a reply may be awaited.
const maxCallTimeout = 5 * time.Minute

func (c *CallRequest) options() (platform.CallOptions, error) {
	timeout := time.Duration(c.TimeoutMS) * time.Millisecond
	if c.TimeoutMS < 0 || c.TimeoutMS > maxCallTimeout.Milliseconds() {
		return platform.CallOptions{}, invalid("timeoutMs must be 0 to 300000", "")
	}
	if len(c.ID) > 10 || !decimal(c.ID) {
		return platform.CallOptions{}, invalid("the message id "+clip(c.ID)+" is not a decimal number of at most 10 digits", "")
	}
	return platform.CallOptions{Wait: c.Wait, Timeout: timeout, ForceID: c.ID, NoCheck: c.NoCheck, Properties: c.Properties}, nil
}

func decimal(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
