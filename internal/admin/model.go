package admin

import "net/http"

func (h *handler) modelRoutes() {
	h.handle("GET /v1/products/{pk}/model", h.exportModel)
	h.handle("PUT /v1/products/{pk}/model", h.importModel)
}

// exportModel answers the TSL document as the cloud exports it.
func (h *handler) exportModel(w http.ResponseWriter, r *http.Request) error {
	doc, err := h.Platform.ExportModel(r.Context(), r.PathValue("pk"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(doc)
	return nil
}

// importModel takes a TSL document and answers {"version": n}. It takes effect
// with the next message.
func (h *handler) importModel(w http.ResponseWriter, r *http.Request) error {
	doc, err := readBody(w, r)
	if err != nil {
		return err
	}
	version, err := h.Platform.ImportModel(r.Context(), who(r), r.PathValue("pk"), doc)
	if err != nil {
		return err
	}
	return answer(w, map[string]int{"version": version})
}
