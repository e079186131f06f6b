package admin

import (
	"net/http"

	"github.com/linkstead/linkstead/internal/platform"
)

func (h *handler) userRoutes() {
	h.handle("GET /v1/users", h.listUsers)
	h.handle("PUT /v1/users/{name}", h.putUser)
	h.handle("DELETE /v1/users/{name}", h.deleteUser)
}

// listUsers answers {"users": […]} in the order of names; after and limit (100, at
// most 1000) page through them.
func (h *handler) listUsers(w http.ResponseWriter, r *http.Request) error {
	limit, err := number(r, "limit", maxPage)
	if err != nil {
		return err
	}
	list, err := h.Platform.Users(r.Context(), r.URL.Query().Get("after"), int(limit))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.User{"users": list})
}

// UserRequest sets a user's password and rights.
type UserRequest struct {
	Password string           `json:"password"` // 8 to 256 bytes
	Rights   []platform.Right `json:"rights"`
}

// putUser creates a user or replaces it. Its connections are closed.
func (h *handler) putUser(w http.ResponseWriter, r *http.Request) error {
	var in UserRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if err := h.Platform.PutUser(r.Context(), who(r), r.PathValue("name"), in.Password, in.Rights); err != nil {
		return err
	}
	return done(w)
}

func (h *handler) deleteUser(w http.ResponseWriter, r *http.Request) error {
	if err := h.Platform.DeleteUser(r.Context(), who(r), r.PathValue("name")); err != nil {
		return err
	}
	return done(w)
}
