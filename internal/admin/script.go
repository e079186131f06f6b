package admin

import "net/http"

func (h *handler) scriptRoutes() {
	h.handle("PUT /v1/products/{pk}/script", h.putScript)
	h.handle("GET /v1/products/{pk}/script", h.getScript)
	h.handle("DELETE /v1/products/{pk}/script", h.deleteScript)
}

// putScript takes the script's text as it is.
func (h *handler) putScript(w http.ResponseWriter, r *http.Request) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return invalid("the script is empty", "send its text as the body")
	}
	if err := h.Platform.PutScript(r.Context(), who(r), r.PathValue("pk"), string(b)); err != nil {
		return err
	}
	return done(w)
}

// getScript answers {"script": "…"}, "" if the product has none.
func (h *handler) getScript(w http.ResponseWriter, r *http.Request) error {
	s, err := h.Platform.Script(r.Context(), r.PathValue("pk"))
	if err != nil {
		return err
	}
	return answer(w, map[string]string{"script": s})
}

func (h *handler) deleteScript(w http.ResponseWriter, r *http.Request) error {
	if err := h.Platform.PutScript(r.Context(), who(r), r.PathValue("pk"), ""); err != nil {
		return err
	}
	return done(w)
}
