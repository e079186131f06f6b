// Package metrics shows the server's own counters as Prometheus metrics. It holds
// no figures itself: every scrape adds up what the rooms below count. Names and
// labels are a promise to users; docs/metrics.md lists them, and a test compares.
package metrics

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/coap"
	"github.com/linkstead/linkstead/internal/memory"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/internal/trace"
	"github.com/linkstead/linkstead/internal/transport"
)

// Sources are where the figures come from; all are asked at every scrape, from any
// goroutine. Trace and CoAP may be nil.
type Sources struct {
	Broker    func() broker.Figures
	Platform  func() platform.Figures
	Transport func() transport.Stats
	Queue     func() queue.Metrics
	Store     func() store.Stats
	Memory    func() memory.Stats
	Trace     func() trace.Stats
	CoAP      func() coap.Stats
	Version   string
	Started   time.Time
}

// Handler serves the metrics in the Prometheus text format. It asks for no token:
// its caller does.
func Handler(s Sources, logger *slog.Logger) http.Handler {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(&collector{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelError), ErrorHandling: promhttp.HTTPErrorOnError,
		MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	})
}

// collector reads the sources at every scrape.
type collector struct{ s Sources }

// Describe tells the names that Collect uses.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for i := range families {
		out <- families[i].desc
	}
}

// Collect reads everything.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	w := writer{out: out}
	w.server(c.s)
	w.broker(c.s.Broker())
	w.transport(c.s.Transport())
	w.platform(c.s.Platform())
	if c.s.CoAP != nil {
		w.coap(c.s.CoAP())
	} else {
		w.coap(coap.Stats{})
	}
	w.queue(c.s.Queue())
	w.store(c.s.Store())
	w.memory(c.s.Memory())
	if c.s.Trace != nil {
		w.trace(c.s.Trace())
	}
}
