package admin

import (
	"math"
	"net/http"

	"github.com/linkstead/linkstead/internal/platform"
)

func (h *handler) jobRoutes() {
	h.handle("POST /v1/jobs", h.createJob)
	h.handle("GET /v1/jobs", h.listJobs)
	h.handle("GET /v1/jobs/{id}", h.getJob)
	h.handle("GET /v1/jobs/{id}/tasks", h.jobTasks)
	h.handle("POST /v1/jobs/{id}/cancel", h.cancelJob)
	h.handle("DELETE /v1/jobs/{id}", h.deleteJob)
	h.handle("GET /v1/devices/{pk}/{dn}/tasks", h.deviceTasks)
}

// JobCreated is a job that was made.
type JobCreated struct {
	ID      int64 `json:"id"`
	Devices int   `json:"devices"`
}

// createJob takes a platform.NewJob and answers a JobCreated.
func (h *handler) createJob(w http.ResponseWriter, r *http.Request) error {
	var in platform.NewJob
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	id, n, err := h.Platform.CreateJob(r.Context(), who(r), in)
	if err != nil {
		return err
	}
	answerStatus(w, http.StatusCreated, JobCreated{id, n})
	return nil
}

// listJobs answers {"jobs": […]}, newest first, those with ids below before, at
// most limit.
func (h *handler) listJobs(w http.ResponseWriter, r *http.Request) error {
	before, err := number(r, "before", math.MaxInt64)
	if err != nil {
		return err
	}
	limit, err := number(r, "limit", maxPage)
	if err != nil {
		return err
	}
	list, err := h.Platform.Jobs(r.Context(), before, int(limit))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.Job{"jobs": list})
}

func (h *handler) getJob(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	j, err := h.Platform.Job(r.Context(), id)
	if err != nil {
		return err
	}
	return answer(w, j)
}

// jobTasks answers {"tasks": […]}, those behind id after, of one status if it is
// given, at most limit.
func (h *handler) jobTasks(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	after, err := number(r, "after", math.MaxInt64)
	if err != nil {
		return err
	}
	limit, err := number(r, "limit", maxPage)
	if err != nil {
		return err
	}
	list, err := h.Platform.JobTasks(r.Context(), id, after, r.URL.Query().Get("status"), int(limit))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.JobTask{"tasks": list})
}

// cancelJob takes {"all": false} and answers {"cancelled": n}.
func (h *handler) cancelJob(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var in struct {
		All bool `json:"all"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	n, err := h.Platform.CancelJob(r.Context(), who(r), id, in.All)
	if err != nil {
		return err
	}
	return answer(w, map[string]int64{"cancelled": n})
}

func (h *handler) deleteJob(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := h.Platform.DeleteJob(r.Context(), who(r), id); err != nil {
		return err
	}
	return done(w)
}

// deviceTasks answers {"tasks": […]}, newest first, at most limit.
func (h *handler) deviceTasks(w http.ResponseWriter, r *http.Request) error {
	limit, err := number(r, "limit", maxPage)
	if err != nil {
		return err
	}
	list, err := h.Platform.DeviceTasks(r.Context(), r.PathValue("pk"), r.PathValue("dn"), int(limit))
	if err != nil {
		return err
	}
	return answer(w, map[string][]platform.JobTask{"tasks": list})
}
