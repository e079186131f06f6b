package admin

import (
	"errors"
	"net/http"

	"github.com/linkstead/linkstead/internal/backup"
)

// BackupRequest asks for a backup on the server's machine.
type BackupRequest struct {
	Dir string `json:"dir"` // absolute; empty or not there yet
}

// Backup is one that was made.
type Backup struct {
	Dir     string `json:"dir"`
	Created int64  `json:"created"` // Unix milliseconds: everything acknowledged before is in it
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
}

// backup is POST /v1/backup. It answers when the backup is on disk.
func (h *handler) backup(w http.ResponseWriter, r *http.Request) error {
	var in BackupRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	m, err := h.Backup(r.Context(), who(r), in.Dir)
	switch {
	case errors.Is(err, backup.ErrPlace):
		return invalid(err.Error(), "")
	case err != nil:
		return &Error{Code: CodeInternal, Message: "no backup was made: " + err.Error(), Hint: "see that the disk has room and that the server's user may write there"}
	}
	h.Logger.Info("a backup was made", "who", who(r), "directory", in.Dir, "bytes", m.Bytes())
	return answer(w, Backup{in.Dir, m.Created.UnixMilli(), len(m.Files), m.Bytes()})
}
