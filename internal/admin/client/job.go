package client

import (
	"context"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/platform"
)

// CreateJob makes a job.
func (c *Client) CreateJob(ctx context.Context, in platform.NewJob) (out admin.JobCreated, err error) {
	err = c.call(ctx, "POST", path("jobs"), in, &out)
	return out, err
}

// Jobs returns jobs with ids below before (all if 0), newest first.
func (c *Client) Jobs(ctx context.Context, before int64, limit int) ([]platform.Job, error) {
	var out struct {
		Jobs []platform.Job `json:"jobs"`
	}
	err := c.call(ctx, "GET", query(path("jobs"), "before", idIf(before), "limit", positive(limit)), nil, &out)
	return out.Jobs, err
}

// Job returns a job.
func (c *Client) Job(ctx context.Context, n int64) (out platform.Job, err error) {
	err = c.call(ctx, "GET", path("jobs", id(n)), nil, &out)
	return out, err
}

// JobTasks returns the devices of a job behind task after, of one status or of all.
func (c *Client) JobTasks(ctx context.Context, job, after int64, status string, limit int) ([]platform.JobTask, error) {
	var out struct {
		Tasks []platform.JobTask `json:"tasks"`
	}
	err := c.call(ctx, "GET", query(path("jobs", id(job), "tasks"), "after", idIf(after), "status", status, "limit", positive(limit)), nil, &out)
	return out.Tasks, err
}

// DeviceTasks returns the tasks of a device, newest first.
func (c *Client) DeviceTasks(ctx context.Context, pk, dn string, limit int) ([]platform.JobTask, error) {
	var out struct {
		Tasks []platform.JobTask `json:"tasks"`
	}
	err := c.call(ctx, "GET", query(path("devices", pk, dn, "tasks"), "limit", positive(limit)), nil, &out)
	return out.Tasks, err
}

// CancelJob cancels a job and returns for how many devices.
func (c *Client) CancelJob(ctx context.Context, job int64, all bool) (int64, error) {
	var out struct {
		Cancelled int64 `json:"cancelled"`
	}
	err := c.call(ctx, "POST", path("jobs", id(job), "cancel"), map[string]bool{"all": all}, &out)
	return out.Cancelled, err
}

// DeleteJob removes a job with its tasks.
func (c *Client) DeleteJob(ctx context.Context, n int64) error {
	return c.call(ctx, "DELETE", path("jobs", id(n)), nil, nil)
}

// idIf is the text of an id, "" for 0.
func idIf(n int64) string {
	if n <= 0 {
		return ""
	}
	return id(n)
}
