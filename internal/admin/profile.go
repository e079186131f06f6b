package admin

import "net/http/pprof"

// metricsPath is where the metrics are.
const metricsPath = "/metrics"

// profileRoutes are Go's profiles, for go tool pprof; like everything but the
// health they need the token.
func (h *handler) profileRoutes() {
	h.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	h.mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	h.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	h.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	h.mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	h.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
