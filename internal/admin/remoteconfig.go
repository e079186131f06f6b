package admin

import "net/http"

func (h *handler) remoteConfigRoutes() {
	h.handle("PUT /v1/products/{pk}/config", h.putRemoteConfig)
	h.handle("GET /v1/products/{pk}/config", h.getRemoteConfig)
	h.handle("POST /v1/products/{pk}/config/switch", h.switchRemoteConfig)
	h.handle("POST /v1/products/{pk}/config/push", h.pushRemoteConfig)
}

// putRemoteConfig takes the file as it is and answers a platform.RemoteConfig.
func (h *handler) putRemoteConfig(w http.ResponseWriter, r *http.Request) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	c, err := h.Platform.PutRemoteConfig(r.Context(), who(r), r.PathValue("pk"), b)
	if err != nil {
		return err
	}
	return answer(w, c)
}

func (h *handler) getRemoteConfig(w http.ResponseWriter, r *http.Request) error {
	c, err := h.Platform.RemoteConfigOf(r.Context(), r.PathValue("pk"))
	if err != nil {
		return err
	}
	return answer(w, c)
}

// switchRemoteConfig takes {"on": true}.
func (h *handler) switchRemoteConfig(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		On bool `json:"on"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if err := h.Platform.EnableRemoteConfig(r.Context(), who(r), r.PathValue("pk"), in.On); err != nil {
		return err
	}
	return done(w)
}

// pushRemoteConfig takes {"device": "name"}, all that are online if it is "", and
// answers {"devices": n}.
func (h *handler) pushRemoteConfig(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Device string `json:"device"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	n, err := h.Platform.PushRemoteConfig(r.Context(), who(r), r.PathValue("pk"), in.Device)
	if err != nil {
		return err
	}
	return answer(w, map[string]int{"devices": n})
}
