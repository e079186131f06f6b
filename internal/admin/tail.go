package admin

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/linkstead/linkstead/internal/platform"
)

const (
	maxTails     = 16               // every one costs each connection it watches
	heartbeat    = 15 * time.Second // between signs of life
	tailPatience = 30 * time.Second // for its reader to take a line
)

// tail streams what clients and the server send each other: one Packet of JSON a
// line, of ?device=pk/dn, of ?session=key, or of all; with hex=1 and explain=1 as
// asked. A reader that is too slow misses packets and is told how many; it never
// slows a device down. The stream ends with the client or the server.
func (h *handler) tail(w http.ResponseWriter, r *http.Request) error {
	hex, err := flag(r, "hex")
	if err != nil {
		return err
	}
	explain, err := flag(r, "explain")
	if err != nil {
		return err
	}
	key := r.URL.Query().Get("session")
	if d := r.URL.Query().Get("device"); d != "" {
		pk, dn, err := platform.ParseDevice(d)
		if err != nil {
			return err
		}
		if _, err := h.Platform.Device(r.Context(), pk, dn); err != nil {
			return err
		}
		key = platform.DeviceKey(pk, dn)
	}
	if h.tails.Add(1) > maxTails {
		h.tails.Add(-1)
		return &Error{Code: CodeBusy, Message: "too many live views are open", Hint: "end one of them"}
	}
	defer h.tails.Add(-1)
	tap := h.Broker.NewTap(key)
	defer tap.Close()
	switch info, err := h.session(r, key); { // when its loop answers, it knows the tap
	case err != nil:
		return err
	case info != nil && info.Via != "": // a sub-device: and that of its gateway
		if _, err := h.session(r, info.Via); err != nil {
			return err
		}
	}
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	if err := rc.Flush(); err != nil {
		return nil
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	alive := time.NewTicker(heartbeat)
	defer alive.Stop()
	for {
		var p Packet
		select {
		case <-r.Context().Done():
			return nil
		case now := <-alive.C:
			p = Packet{Time: now.UnixMilli()}
		case t := <-tap.C():
			p = newPacket(t, hex, explain)
		}
		_ = rc.SetWriteDeadline(time.Now().Add(tailPatience))
		if e.Encode(p) != nil || len(tap.C()) == 0 && rc.Flush() != nil {
			return nil // the reader has gone
		}
	}
}
