package admin

import (
	"net/http"

	"github.com/linkstead/linkstead/internal/config"
)

// Reloaded says what a reload has changed, by key.
type Reloaded struct {
	Changes []config.Change `json:"changes"`
}

// reload is POST /v1/reload. A configuration that is wrong is a conflict: the one in
// use stays.
func (h *handler) reload(w http.ResponseWriter, r *http.Request) error {
	if h.Reload == nil {
		return &Error{Code: CodeConflict, Message: "this server was started without a configuration that could be read again"}
	}
	changes, err := h.Reload(r.Context(), who(r))
	if err != nil {
		return &Error{Code: CodeConflict, Message: err.Error(), Hint: "nothing was changed; correct it and reload again"}
	}
	if changes == nil {
		changes = []config.Change{}
	}
	return answer(w, Reloaded{changes})
}
