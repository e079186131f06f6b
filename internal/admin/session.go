package admin

import (
	"net/http"
	"time"

	"github.com/linkstead/linkstead/internal/broker"
)

// loopPatience is how long an event loop may take to tell about a session.
const loopPatience = 5 * time.Second

// getSession answers a SessionInfo. The key is d:{productKey}/{deviceName} of a
// device, a:{clientId} of an application.
func (h *handler) getSession(w http.ResponseWriter, r *http.Request) error {
	key := r.PathValue("key")
	info, err := h.session(r, key)
	if err != nil {
		return err
	}
	if info == nil {
		return &Error{Code: CodeNotFound, Message: "there is no session " + clip(key), Hint: "a device's key is d:ProductKey/DeviceName, an application's a:ClientID"}
	}
	return answer(w, info)
}

// session asks the broker for a session, nil if there is none.
func (h *handler) session(r *http.Request, key string) (*broker.SessionInfo, error) {
	got := make(chan *broker.SessionInfo, 1)
	h.Broker.Session(key, func(i *broker.SessionInfo) { got <- i })
	timer := time.NewTimer(loopPatience)
	defer timer.Stop()
	select {
	case info := <-got:
		return info, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-timer.C:
		return nil, &Error{Code: CodeBusy, Message: "the server is too busy to tell about session " + clip(key)}
	}
}
