package admin

import (
	"net/http"

	"github.com/linkstead/linkstead/internal/platform"
)

func (h *handler) certificateRoutes() {
	h.handle("GET /v1/devices/{pk}/{dn}/certificates", h.listCertificates)
	h.handle("POST /v1/devices/{pk}/{dn}/certificates", h.addCertificate)
	h.handle("DELETE /v1/devices/{pk}/{dn}/certificates/{fingerprint}", h.removeCertificate)
}

// CertificateRequest names a certificate.
type CertificateRequest struct {
	PEM string `json:"pem"`
}

// listCertificates answers {"certificates": […]}, those a device logs in with.
func (h *handler) listCertificates(w http.ResponseWriter, r *http.Request) error {
	list, err := h.Platform.Certificates(r.Context(), r.PathValue("pk"), r.PathValue("dn"))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.Certificate{"certificates": list})
}

// addCertificate takes a CertificateRequest and answers a Certificate.
func (h *handler) addCertificate(w http.ResponseWriter, r *http.Request) error {
	var in CertificateRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	c, err := h.Platform.AddCertificate(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), []byte(in.PEM))
	if err != nil {
		return err
	}
	answerStatus(w, http.StatusCreated, c)
	return nil
}

func (h *handler) removeCertificate(w http.ResponseWriter, r *http.Request) error {
	if err := h.Platform.RemoveCertificate(r.Context(), who(r), r.PathValue("pk"), r.PathValue("dn"), r.PathValue("fingerprint")); err != nil {
		return err
	}
	return done(w)
}
