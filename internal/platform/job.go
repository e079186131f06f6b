package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/linkstead/linkstead/internal/store"
)

// The limits of jobs, in bytes.
const (
	maxJobDocument = 64 << 10
	maxJobText     = 1024
	maxJobName     = 128
	maxJobURL      = 1024
)

// NewJob says what devices are to do, which and when. Those devices are selected
// that fit every one of ProductKey, Devices, TagKey and Percent that is given; one of
// the first three has to be.
type NewJob struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Document    json.RawMessage `json:"document"`          // an object that the devices understand
	FileURL     string          `json:"fileUrl,omitempty"` // what they fetch for it
	FileSign    string          `json:"fileSign,omitempty"`
	SignMethod  string          `json:"signMethod,omitempty"` // Md5 or SHA256; Md5 if empty
	ProductKey  string          `json:"productKey,omitempty"`
	Devices     []string        `json:"devices,omitempty"` // productKey/deviceName
	TagKey      string          `json:"tagKey,omitempty"`
	TagValue    string          `json:"tagValue,omitempty"`
	Percent     int             `json:"percent,omitempty"` // only this part of them, always the same; 0 is all
	// Retries is how often a device that failed or took too long is told again, at most
	// 5, and RetryAfterMS how long after, at most 24 hours.
	Retries      int   `json:"retries,omitempty"`
	RetryAfterMS int64 `json:"retryAfterMs,omitempty"`
	StartAt      int64 `json:"startAt,omitempty"`   // Unix milliseconds, 0 at once
	TimeoutMS    int64 `json:"timeoutMs,omitempty"` // for a device that has begun, 0 without end
	LastsMS      int64 `json:"lastsMs,omitempty"`   // how long the whole job takes at most, 0 without end
	PerMinute    int   `json:"perMinute,omitempty"` // devices told in a minute, 0 all at once
}

func (in *NewJob) check() error {
	bad := func(message, hint string) error {
		return &Error{Kind: KindInvalid, Message: message, Hint: hint}
	}
	var object map[string]json.RawMessage
	switch {
	case in.Name == "" || len(in.Name) > maxJobName || len(in.Description) > maxJobText:
		return bad(fmt.Sprintf("a job has a name of 1 to %d bytes, and a description of at most %d", maxJobName, maxJobText), "")
	case len(in.Document) > maxJobDocument:
		return bad(fmt.Sprintf("the document has %d bytes, allowed are %d", len(in.Document), maxJobDocument), "")
	case json.Unmarshal(in.Document, &object) != nil || object == nil:
		return bad("the document of a job is a JSON object", "")
	case in.ProductKey == "" && len(in.Devices) == 0 && in.TagKey == "":
		return bad("it is not said which devices the job is for", "name a product, devices or a tag")
	case in.Percent < 0 || in.Percent > 100 || in.Retries < 0 || in.Retries > 5 || in.RetryAfterMS < 0 || in.RetryAfterMS > (24*time.Hour).Milliseconds():
		return bad("percent is 0 to 100, retries 0 to 5, the time between them 0 to 24 hours", "")
	case in.StartAt < 0 || in.StartAt > store.MaxTime || in.TimeoutMS < 0 || in.TimeoutMS > maxJobTime || in.LastsMS < 0 || in.LastsMS > maxJobTime || in.PerMinute < 0:
		return bad("times are not negative, time-outs at most ten years, devices a minute not negative", "")
	}
	for _, d := range in.Devices {
		if _, _, err := ParseDevice(d); err != nil {
			return err
		}
	}
	if in.FileURL == "" {
		if in.FileSign != "" || in.SignMethod != "" {
			return bad("a signature goes with the address of a file", "")
		}
		return nil
	}
	if in.SignMethod == "" {
		in.SignMethod = "Md5"
	}
	u, err := url.Parse(in.FileURL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(in.FileURL) > maxJobURL:
		return bad(fmt.Sprintf("the address of the file is not http:// or https:// of at most %d bytes", maxJobURL), "")
	case in.SignMethod != "Md5" && in.SignMethod != "SHA256":
		return bad("the sign method "+clip(in.SignMethod)+" is neither Md5 nor SHA256", "")
	case in.FileSign == "" || len(in.FileSign) > maxJobName:
		return bad("devices check the file against its signature: give it", "")
	}
	return nil
}

// maxJobTime is the longest time-out of a job, in milliseconds.
const maxJobTime = 10 * 365 * 24 * 3600 * 1000

// CreateJob makes a job and returns its id and how many devices it has. Those that
// are online are told when it begins, others when they connect.
func (p *Platform) CreateJob(ctx context.Context, who string, in NewJob) (id int64, devices int, err error) {
	if err := in.check(); err != nil {
		return 0, 0, err
	}
	if in.ProductKey != "" {
		if _, err := p.store.Product(ctx, in.ProductKey); err != nil {
			return 0, 0, err
		}
	}
	var document bytes.Buffer
	if err := json.Compact(&document, in.Document); err != nil {
		return 0, 0, err
	}
	j := store.DeviceJob{Name: in.Name, Description: in.Description, Document: document.String(), FileURL: in.FileURL, FileSign: in.FileSign, SignMethod: in.SignMethod,
		Retries: in.Retries, RetryAfter: time.Duration(in.RetryAfterMS) * time.Millisecond, Timeout: time.Duration(in.TimeoutMS) * time.Millisecond, PerMinute: in.PerMinute}
	begin := p.now()
	if in.StartAt > 0 {
		begin = time.UnixMilli(in.StartAt)
		j.StartAt = begin
	}
	if in.LastsMS > 0 {
		j.EndAt = begin.Add(time.Duration(in.LastsMS) * time.Millisecond)
	}
	if err := p.auditFirst(ctx, who, "job.create", in.ProductKey, clip(in.Name)); err != nil {
		return 0, 0, err
	}
	j, devices, err = p.store.CreateDeviceJob(ctx, j, store.DeviceJobTarget{ProductKey: in.ProductKey, Devices: in.Devices, TagKey: in.TagKey, TagValue: in.TagValue, Percent: in.Percent})
	if err != nil {
		return 0, 0, err
	}
	p.jobs.poke()
	return j.ID, devices, nil
}

// Job is a job and how many of its devices are how far.
type Job struct {
	ID          int64           `json:"id"`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Document    json.RawMessage `json:"document"`
	FileURL     string          `json:"fileUrl,omitempty"`
	FileSign    string          `json:"fileSign,omitempty"`
	SignMethod  string          `json:"signMethod,omitempty"`
	Retries     int             `json:"retries,omitempty"`
	TimeoutMS   int64           `json:"timeoutMs,omitempty"`
	PerMinute   int             `json:"perMinute,omitempty"`
	CreatedAt   int64           `json:"createdAt"` // Unix milliseconds
	StartAt     int64           `json:"startAt"`
	EndAt       int64           `json:"endAt,omitempty"`
	Cancelled   bool            `json:"cancelled,omitempty"`
	Statuses    map[string]int  `json:"statuses"`
}

func jobView(r *store.DeviceJobSummary) Job {
	v := Job{ID: r.ID, Name: r.Name, Description: r.Description, Document: json.RawMessage(r.Document), FileURL: r.FileURL, FileSign: r.FileSign, SignMethod: r.SignMethod,
		Retries: r.Retries, TimeoutMS: r.Timeout.Milliseconds(), PerMinute: r.PerMinute, CreatedAt: r.CreatedAt.UnixMilli(), StartAt: r.StartAt.UnixMilli(),
		Cancelled: r.Cancelled, Statuses: map[string]int{}}
	if !r.EndAt.IsZero() {
		v.EndAt = r.EndAt.UnixMilli()
	}
	for status, n := range r.Statuses {
		v.Statuses[string(status)] = n
	}
	return v
}

// Jobs returns jobs with ids below before (all if 0), newest first, at most limit
// (100 if 0).
func (p *Platform) Jobs(ctx context.Context, before int64, limit int) ([]Job, error) {
	recs, err := p.store.DeviceJobs(ctx, before, limit)
	if err != nil {
		return nil, err
	}
	out := make([]Job, 0, len(recs))
	for i := range recs {
		out = append(out, jobView(&recs[i]))
	}
	return out, nil
}

// Job returns a job.
func (p *Platform) Job(ctx context.Context, id int64) (Job, error) {
	rec, err := p.store.DeviceJob(ctx, id)
	if err != nil {
		return Job{}, err
	}
	return jobView(&rec), nil
}

// JobTask is a job's part of one device.
type JobTask struct {
	ID         int64           `json:"id"`     // to page by
	TaskID     string          `json:"taskId"` // what the device knows it by
	JobID      int64           `json:"jobId"`
	JobName    string          `json:"jobName"`
	ProductKey string          `json:"productKey"`
	DeviceName string          `json:"deviceName"`
	Status     string          `json:"status"`
	Progress   int             `json:"progress"` // percent
	Details    json.RawMessage `json:"details,omitempty"`
	Reason     string          `json:"reason,omitempty"`
	Sends      int             `json:"sends"` // how often the device was told
	Failures   int             `json:"failures"`
	QueuedAt   int64           `json:"queuedAt"` // Unix milliseconds
	ChangedAt  int64           `json:"changedAt"`
}

func taskViews(recs []store.DeviceTask) []JobTask {
	out := make([]JobTask, 0, len(recs))
	for i := range recs {
		k := &recs[i]
		v := JobTask{ID: k.ID, TaskID: k.TaskID, JobID: k.Job.ID, JobName: k.Job.Name, ProductKey: k.ProductKey, DeviceName: k.DeviceName, Status: string(k.Status),
			Progress: k.Progress, Reason: k.Reason, Sends: k.Sends, Failures: k.Failures, QueuedAt: k.QueuedAt.UnixMilli(), ChangedAt: k.ChangedAt.UnixMilli()}
		if k.Details != "" {
			v.Details = json.RawMessage(k.Details)
		}
		out = append(out, v)
	}
	return out
}

// JobTasks returns the devices of a job behind task after, of one status or, if
// status is "", of all, at most limit (100 if 0).
func (p *Platform) JobTasks(ctx context.Context, job, after int64, status string, limit int) ([]JobTask, error) {
	if _, err := p.store.DeviceJob(ctx, job); err != nil {
		return nil, err
	}
	recs, err := p.store.TasksOfJob(ctx, job, after, store.TaskStatus(status), limit)
	return taskViews(recs), err
}

// DeviceTasks returns the tasks of a device, newest first, at most limit (100 if 0).
func (p *Platform) DeviceTasks(ctx context.Context, pk, dn string, limit int) ([]JobTask, error) {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	recs, err := p.store.DeviceTasks(ctx, d.ID, limit)
	return taskViews(recs), err
}

// CancelJob cancels a job for the devices that have not begun, and with all set for
// those that have too. Devices that know of it are told, at once or when they
// connect.
func (p *Platform) CancelJob(ctx context.Context, who string, job int64, all bool) (int64, error) {
	if err := p.auditFirst(ctx, who, "job.cancel", fmt.Sprint(job), ""); err != nil {
		return 0, err
	}
	n, err := p.store.CancelDeviceJob(ctx, job, all)
	if err == nil {
		p.jobs.poke()
	}
	return n, err
}

// DeleteJob removes a job with its tasks. Devices that are online and have not
// ended theirs are told.
func (p *Platform) DeleteJob(ctx context.Context, who string, job int64) error {
	if err := p.auditFirst(ctx, who, "job.delete", fmt.Sprint(job), ""); err != nil {
		return err
	}
	known, err := p.store.DeleteDeviceJob(ctx, job)
	if err != nil {
		return err
	}
	for i := range known {
		if k := &known[i]; p.broker.Online(DeviceKey(k.ProductKey, k.DeviceName)) {
			p.noticeTask(k, store.StatusRemoved)
		}
	}
	return nil
}
