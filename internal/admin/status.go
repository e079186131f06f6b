package admin

import (
	"net/http"
	"runtime"
	"time"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/transport"
)

// Status is how the server is.
type Status struct {
	Version    string         `json:"version"`
	Go         string         `json:"go"`
	StartedAt  int64          `json:"startedAt"` // Unix milliseconds
	UptimeMS   int64          `json:"uptimeMs"`
	Addresses  []string       `json:"addresses"` // for devices and MQTT clients
	Admin      string         `json:"admin"`
	CAFile     string         `json:"caFile,omitempty"` // what TLS devices have to trust
	Heap       uint64         `json:"heap"`             // bytes in use
	Goroutines int            `json:"goroutines"`
	Broker     broker.Stats   `json:"broker"`
	Queue      QueueStatus    `json:"queue"`
	Transport  Transport      `json:"transport"`
	Config     []config.Entry `json:"config,omitempty"` // effective, by key
}

// QueueStatus is how the store of sessions and waiting messages is.
type QueueStatus struct {
	Available    bool    `json:"available"`
	DiskBytes    uint64  `json:"diskBytes"`
	MemoryBytes  uint64  `json:"memoryBytes"`
	BacklogBytes int64   `json:"backlogBytes"` // submitted, not yet as durable as configured
	Groups       uint64  `json:"groups"`       // writes that were synced as one
	Batches      uint64  `json:"batches"`
	Changes      uint64  `json:"changes"`
	Failed       uint64  `json:"failed"`
	Reopened     uint64  `json:"reopened"` // recoveries from a failure of the disk
	LastSyncMS   float64 `json:"lastSyncMs"`
	MaxSyncMS    float64 `json:"maxSyncMs"`
}

// Transport are the counters of connections, since the start unless said otherwise.
type Transport struct {
	Accepted uint64            `json:"accepted"`
	Sockets  int               `json:"sockets"` // open now
	Opening  int               `json:"opening"` // of these, not logged in
	Open     map[string]int    `json:"open"`    // open now, by kind: tcp, tls, ws, wss
	Refused  map[string]uint64 `json:"refused"` // by reason
	Read     uint64            `json:"read"`    // bytes
	Written  uint64            `json:"written"` // bytes
}

// getStatus is GET /v1/status.
func (h *handler) getStatus(w http.ResponseWriter, r *http.Request) error {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	s := Status{
		Version: h.Version, Go: runtime.Version(), StartedAt: h.started.UnixMilli(), UptimeMS: time.Since(h.started).Milliseconds(),
		Admin: h.Address, Heap: mem.HeapAlloc, Goroutines: runtime.NumGoroutine(),
		Broker: h.Broker.Stats(),
	}
	if h.CAFile != nil {
		s.CAFile = h.CAFile()
	}
	if h.Config != nil {
		s.Config = h.Config()
	}
	if h.MQTTAddresses != nil {
		s.Addresses = h.MQTTAddresses()
	}
	if h.QueueMetrics != nil {
		s.Queue = queueStatus(h.QueueMetrics())
	}
	if h.TransportStats != nil {
		s.Transport = transportStatus(h.TransportStats())
	}
	return answer(w, s)
}

func queueStatus(m queue.Metrics) QueueStatus {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return QueueStatus{
		Available: m.Available, DiskBytes: m.DiskBytes, MemoryBytes: m.MemoryBytes, BacklogBytes: m.BacklogBytes,
		Groups: m.Groups, Batches: m.Batches, Changes: m.Changes, Failed: m.Failed, Reopened: m.Reopened,
		LastSyncMS: ms(m.LastSync), MaxSyncMS: ms(m.MaxSync),
	}
}

func transportStatus(s transport.Stats) Transport {
	t := Transport{
		Accepted: s.Accepted, Sockets: s.Sockets, Opening: s.Opening, Read: s.Read, Written: s.Written,
		Open: make(map[string]int), Refused: make(map[string]uint64),
	}
	for k, n := range s.Open {
		t.Open[transport.Kind(k).String()] = n
	}
	for r, n := range s.Refused {
		t.Refused[transport.Refusal(r).String()] = n
	}
	return t
}
