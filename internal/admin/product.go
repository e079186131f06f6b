package admin

import (
	"net/http"

	"github.com/linkstead/linkstead/internal/platform"
)

// ProductInfo is a product with how many devices it has.
type ProductInfo struct {
	platform.Product
	Devices   int64 `json:"devices"`
	Activated int64 `json:"activated"` // logged in at least once
}

func (h *handler) productRoutes() {
	h.handle("GET /v1/products", h.listProducts)
	h.handle("POST /v1/products", h.createProduct)
	h.handle("GET /v1/products/{pk}", h.getProduct)
	h.handle("PATCH /v1/products/{pk}", h.updateProduct)
	h.handle("DELETE /v1/products/{pk}", h.deleteProduct)
	h.handle("POST /v1/products/{pk}/secret", h.revealProductSecret)
}

// listProducts answers {"products": […]} in the order of keys; after and limit
// (100, at most 1000) page through them.
func (h *handler) listProducts(w http.ResponseWriter, r *http.Request) error {
	limit, err := number(r, "limit", maxPage)
	if err != nil {
		return err
	}
	list, err := h.Platform.Products(r.Context(), r.URL.Query().Get("after"), int(limit))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.Product{"products": list})
}

// createProduct takes a Product; its key and secret are made up if empty. The
// answer carries the secret, this once.
func (h *handler) createProduct(w http.ResponseWriter, r *http.Request) error {
	var in platform.Product
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	out, err := h.Platform.CreateProduct(r.Context(), who(r), in)
	if err != nil {
		return err
	}
	answerStatus(w, http.StatusCreated, out)
	return nil
}

func (h *handler) getProduct(w http.ResponseWriter, r *http.Request) error {
	p, err := h.Platform.Product(r.Context(), r.PathValue("pk"))
	if err != nil {
		return err
	}
	info := ProductInfo{Product: p}
	if info.Devices, info.Activated, err = h.Platform.CountDevices(r.Context(), p.ProductKey); err != nil {
		return err
	}
	return answer(w, info)
}

// updateProduct changes the members that the request has and keeps the others.
func (h *handler) updateProduct(w http.ResponseWriter, r *http.Request) error {
	pk := r.PathValue("pk")
	p, err := h.Platform.Product(r.Context(), pk)
	if err != nil {
		return err
	}
	if err := readJSON(w, r, &p); err != nil {
		return err
	}
	if p.ProductKey != pk {
		return invalid("the ProductKey of a product cannot be changed", "create another product")
	}
	if err := h.Platform.UpdateProduct(r.Context(), who(r), p); err != nil {
		return err
	}
	return h.getProduct(w, r)
}

// revealProductSecret takes {"reason": "…"} and answers {"productSecret": "…"}. The
// reason is kept in the audit log.
func (h *handler) revealProductSecret(w http.ResponseWriter, r *http.Request) error {
	reason, err := readReason(w, r)
	if err != nil {
		return err
	}
	secret, err := h.Platform.RevealProductSecret(r.Context(), who(r), r.PathValue("pk"), reason)
	if err != nil {
		return err
	}
	return answer(w, map[string]string{"productSecret": secret})
}

// deleteProduct deletes a product; with ?force=1 also its devices.
func (h *handler) deleteProduct(w http.ResponseWriter, r *http.Request) error {
	force, err := flag(r, "force")
	if err != nil {
		return err
	}
	if err := h.Platform.DeleteProduct(r.Context(), who(r), r.PathValue("pk"), force); err != nil {
		return err
	}
	return done(w)
}
