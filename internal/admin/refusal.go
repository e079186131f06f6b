package admin

import (
	"net/http"

	"github.com/linkstead/linkstead/internal/platform"
)

// listRefusals answers {"refusals": […]}: the latest logins that were refused,
// newest first, each with its cause.
func (h *handler) listRefusals(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, map[string][]platform.Refusal{"refusals": append([]platform.Refusal{}, h.Platform.Refusals()...)})
}
