package admin

import (
	"math"
	"net/http"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/trace"
)

// TraceEntry is one event of one message of a device.
type TraceEntry struct {
	ID        uint64 `json:"id"`        // rises with time
	Time      int64  `json:"time"`      // Unix milliseconds
	Event     string `json:"event"`     // accepted, queued, delivered, acknowledged, expired, dropped, left out
	Direction string `json:"direction"` // "up": from the device, "down": to it
	Topic     string `json:"topic,omitempty"`
	PacketID  uint16 `json:"packetId,omitempty"`
	QoS       byte   `json:"qos"`
	Bytes     int    `json:"bytes"`           // of the payload
	Count     int    `json:"count,omitempty"` // messages recorded together
	Reason    string `json:"reason,omitempty"`
	// SubDevice is productKey/deviceName of the sub-device whose message it is, in the
	// record of its gateway.
	SubDevice string `json:"subDevice,omitempty"`
}

// getTrace answers {"entries": […]}, oldest first: what became of a device's
// messages, with ids greater than after, from since (Unix milliseconds) on, the
// newest limit of them.
func (h *handler) getTrace(w http.ResponseWriter, r *http.Request) error {
	after, err := number(r, "after", math.MaxInt64)
	if err != nil {
		return err
	}
	since, err := number(r, "since", math.MaxInt64)
	if err != nil {
		return err
	}
	limit, err := number(r, "limit", math.MaxInt32)
	if err != nil {
		return err
	}
	pk, dn := r.PathValue("pk"), r.PathValue("dn")
	if _, err := h.Platform.Device(r.Context(), pk, dn); err != nil {
		return err
	}
	if h.Trace == nil {
		return &Error{Code: CodeNotFound, Message: "no records of messages are kept", Hint: "set observe.trace_bytes to more than 0"}
	}
	list, err := h.Trace.Read(platform.DeviceKey(pk, dn), trace.Query{After: uint64(after), SinceMS: since, Limit: int(limit)})
	if err != nil {
		return err
	}
	out := make([]TraceEntry, 0, len(list))
	for i := range list {
		rec := &list[i]
		e := TraceEntry{
			ID: rec.ID, Time: rec.AtMS, Event: rec.Event.String(), Direction: "down", Topic: rec.Topic, PacketID: rec.PacketID,
			QoS: rec.QoS, Bytes: rec.Bytes, Count: rec.Count, Reason: rec.Reason,
		}
		if rec.Up {
			e.Direction = "up"
		}
		if t, ok := alink.ParseTopic(rec.Topic); ok && t.DeviceName != "" && !t.Of(pk, dn) {
			e.SubDevice = t.ProductKey + "/" + t.DeviceName
		}
		out = append(out, e)
	}
	return answer(w, map[string][]TraceEntry{"entries": out})
}
