package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// DeviceJob is something that devices are to do, by a document that they understand.
type DeviceJob struct {
	ID          int64
	Name        string
	Description string
	Document    string // JSON
	FileURL     string // "" for none
	FileSign    string
	SignMethod  string
	Retries     int
	RetryAfter  time.Duration
	Timeout     time.Duration // from the moment a device has begun; 0: none
	StartAt     time.Time
	EndAt       time.Time // zero: never
	PerMinute   int       // devices told in a minute; 0: all at once
	Cancelled   bool
	CreatedAt   time.Time
}

// DeviceJobTarget selects the devices of a job: all that fit every condition given.
type DeviceJobTarget struct {
	ProductKey string
	Devices    []string // productKey/deviceName
	TagKey     string
	TagValue   string
	Percent    int // only this part of them, by the device's id; 0 is all
}

// TaskStatus says how far a device's task is (spec/services.md §10).
type TaskStatus string

// The statuses of a task; the last five are final.
const (
	StatusQueued     TaskStatus = "QUEUED"
	StatusSent       TaskStatus = "SENT"
	StatusInProgress TaskStatus = "IN_PROGRESS"
	StatusSucceeded  TaskStatus = "SUCCEEDED"
	StatusFailed     TaskStatus = "FAILED"
	StatusRejected   TaskStatus = "REJECTED"
	StatusCancelled  TaskStatus = "CANCELLED"
	StatusTimedOut   TaskStatus = "TIMED_OUT"
)

// StatusRemoved is what a device is told of a task whose job was deleted; nothing
// is stored with it.
const StatusRemoved TaskStatus = "REMOVED"

// Final reports whether nothing more happens to a task.
func (s TaskStatus) Final() bool {
	return s != StatusQueued && s != StatusSent && s != StatusInProgress
}

// DeviceTask is a job's part of one device.
type DeviceTask struct {
	ID         int64
	TaskID     string // what the device knows it by
	Job        DeviceJob
	DeviceID   int64
	ProductKey string
	DeviceName string
	Status     TaskStatus
	Progress   int
	Details    string // JSON of the device, "" for none
	Reason     string
	Sends      int // how often the device was told
	Failures   int
	DueAt      time.Time // when the device is to be told; zero: when it connects
	TellOver   bool      // that it is over, when it connects
	TimeoutAt  time.Time // zero: never
	QueuedAt   time.Time
	ChangedAt  time.Time
}

const taskIDLength = 17

// CreateDeviceJob stores a job with a task for every device selected. It fails with
// ErrNotFound if there is none.
func (s *Store) CreateDeviceJob(ctx context.Context, j DeviceJob, target DeviceJobTarget) (created DeviceJob, devices int, err error) {
	const op = "create job"
	key := j.Name
	err = s.write(ctx, op, key, func(t *tx) error {
		ids, err := t.jobTargets(ctx, target)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return &Error{Kind: KindNotFound, Op: op, Key: key, Err: errors.New("no device is selected")}
		}
		if j.ID, err = t.nextIDs(ctx, "device_job", 1); err != nil {
			return err
		}
		j.CreatedAt = fromMS(s.now())
		if j.StartAt.IsZero() {
			j.StartAt = j.CreatedAt
		}
		if _, err := t.exec(ctx, `insert into device_job (id, name, description, document, file_url, file_sign, sign_method, retries, retry_after, timeout, start_at, end_at, per_minute, cancelled, created_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, $14)`, j.ID, j.Name, j.Description, j.Document, j.FileURL, j.FileSign, j.SignMethod,
			j.Retries, j.RetryAfter.Milliseconds(), j.Timeout.Milliseconds(), toMS(j.StartAt), toMS(j.EndAt), j.PerMinute, toMS(j.CreatedAt)); err != nil {
			return err
		}
		first, err := t.nextIDs(ctx, "device_task", int64(len(ids)))
		if err != nil {
			return err
		}
		for i, device := range ids {
			due := j.StartAt
			if j.PerMinute > 0 {
				due = due.Add(time.Duration(i/j.PerMinute) * time.Minute)
			}
			if _, err := t.writeWaiting(ctx, WaitsTask, `insert into device_task (id, task, job, device, status, progress, details, reason, sends, failures, due_at, timeout_at, queued_at, changed_at)
				values ($1, $2, $3, $4, 'QUEUED', 0, '', '', 0, 0, $5, 0, $6, $6)`, first+int64(i), randomText(taskIDLength, alphanumeric), j.ID, device, toMS(due), s.now()); err != nil {
				return err
			}
		}
		devices = len(ids)
		return nil
	})
	return j, devices, err
}

// jobTargets returns the ids of the devices that a job selects.
func (t *tx) jobTargets(ctx context.Context, target DeviceJobTarget) ([]int64, error) {
	percent := target.Percent
	if percent <= 0 {
		percent = 100
	}
	all, err := t.int64s(ctx, `select d.id from device d where ($1 = '' or d.product_key = $1) and d.id * 37 % 100 < $2
		and ($3 = '' or exists (select 1 from device_tag g where g.device = d.id and g.name = $3 and g.value = $4)) order by d.id`,
		target.ProductKey, percent, target.TagKey, target.TagValue)
	if err != nil || len(target.Devices) == 0 {
		return all, err
	}
	wanted := map[int64]bool{}
	for _, name := range target.Devices {
		pk, dn, _ := strings.Cut(name, "/")
		ids, err := t.int64s(ctx, `select id from device where product_key = $1 and name = $2`, pk, dn)
		if err := found(int64(len(ids)), err, "create job", name); err != nil {
			return nil, err
		}
		wanted[ids[0]] = true
	}
	out := all[:0]
	for _, id := range all {
		if wanted[id] {
			out = append(out, id)
		}
	}
	return out, nil
}

const deviceJobColumns = `j.id, j.name, j.description, j.document, j.file_url, j.file_sign, j.sign_method, j.retries, j.retry_after, j.timeout, j.start_at, j.end_at, j.per_minute, j.cancelled, j.created_at`

type deviceJobScan struct {
	j                                                DeviceJob
	retryAfter, timeout, start, end, cancelled, made int64
}

func (r *deviceJobScan) fields() []any {
	j := &r.j
	return []any{&j.ID, &j.Name, &j.Description, &j.Document, &j.FileURL, &j.FileSign, &j.SignMethod, &j.Retries, &r.retryAfter, &r.timeout, &r.start, &r.end, &j.PerMinute, &r.cancelled, &r.made}
}

func (r *deviceJobScan) get() DeviceJob {
	j := &r.j
	j.RetryAfter, j.Timeout = time.Duration(r.retryAfter)*time.Millisecond, time.Duration(r.timeout)*time.Millisecond
	j.StartAt, j.EndAt, j.CreatedAt, j.Cancelled = fromMS(r.start), fromMS(max(r.end, -r.end)), fromMS(r.made), r.cancelled != 0
	return *j
}

const deviceTaskColumns = `k.id, k.task, k.device, d.product_key, d.name, k.status, k.progress, k.details, k.reason, k.sends, k.failures, k.due_at, k.timeout_at, k.queued_at, k.changed_at, ` + deviceJobColumns

const deviceTaskTables = ` from device_task k join device d on d.id = k.device join device_job j on j.id = k.job `

// lasting leaves out the tasks of jobs whose time is over, by the time $2: they are
// about to be ended.
const lasting = `(j.end_at <= 0 or j.end_at > $2)`

const unfinished = `k.status in ('QUEUED', 'SENT', 'IN_PROGRESS')`

func (s *Store) deviceTasks(ctx context.Context, key, query string, args ...any) ([]DeviceTask, error) {
	const op = "read tasks"
	rows, err := s.r.rows(ctx, query, args...)
	if err != nil {
		return nil, wrap(op, key, err)
	}
	defer rows.Close()
	var out []DeviceTask
	for rows.Next() {
		var k DeviceTask
		var j deviceJobScan
		var due, timeout, queued, changed int64
		if err := rows.Scan(append([]any{&k.ID, &k.TaskID, &k.DeviceID, &k.ProductKey, &k.DeviceName, &k.Status, &k.Progress, &k.Details, &k.Reason,
			&k.Sends, &k.Failures, &due, &timeout, &queued, &changed}, j.fields()...)...); err != nil {
			return nil, wrap(op, key, err)
		}
		k.DueAt, k.TellOver = fromMS(max(due, 0)), due < 0
		k.TimeoutAt, k.QueuedAt, k.ChangedAt, k.Job = fromMS(timeout), fromMS(queued), fromMS(changed), j.get()
		out = append(out, k)
	}
	return out, wrap(op, key, rows.Err())
}

// DeviceTask returns a device's task by the name that the device knows, or
// ErrNotFound.
func (s *Store) DeviceTask(ctx context.Context, deviceID int64, taskID string) (DeviceTask, error) {
	key := fmt.Sprintf("%.40q of device %d", taskID, deviceID)
	out, err := s.deviceTasks(ctx, key, `select `+deviceTaskColumns+deviceTaskTables+`where k.task = $1 and k.device = $2`, taskID, deviceID)
	if err == nil && len(out) == 0 {
		err = &Error{Kind: KindNotFound, Op: "read task", Key: key}
	}
	if err != nil {
		return DeviceTask{}, err
	}
	return out[0], nil
}

// OpenDeviceTasks returns the tasks of a device that are not final and may be told,
// oldest first, at most limit.
func (s *Store) OpenDeviceTasks(ctx context.Context, deviceID int64, now time.Time, limit int) ([]DeviceTask, error) {
	return s.deviceTasks(ctx, fmt.Sprint("of device ", deviceID), `select `+deviceTaskColumns+deviceTaskTables+`where k.device = $1 and `+unfinished+`
		and k.due_at <= $2 and `+lasting+` order by k.id limit $3`, deviceID, toMS(now), limit)
}

// UntoldDeviceTasks returns the tasks of a device that it has to be told when it
// connects: those that it has not begun, and those that are over.
func (s *Store) UntoldDeviceTasks(ctx context.Context, deviceID int64, now time.Time, limit int) ([]DeviceTask, error) {
	return s.deviceTasks(ctx, fmt.Sprint("of device ", deviceID), `select `+deviceTaskColumns+deviceTaskTables+`where k.device = $1
		and (k.status in ('QUEUED', 'SENT') and k.due_at <= $2 and `+lasting+` or k.status = 'CANCELLED' and k.due_at <> 0) order by k.id limit $3`, deviceID, toMS(now), limit)
}

// DeviceTasks returns all tasks of a device, newest first, at most limit (100 if 0).
func (s *Store) DeviceTasks(ctx context.Context, deviceID int64, limit int) ([]DeviceTask, error) {
	return s.deviceTasks(ctx, fmt.Sprint("of device ", deviceID), `select `+deviceTaskColumns+deviceTaskTables+`where k.device = $1 order by k.id desc limit $2`, deviceID, pageSize(limit))
}

// TasksOfJob returns the tasks of a job behind id after, at most limit (100 if 0),
// of one status or, if status is "", of all.
func (s *Store) TasksOfJob(ctx context.Context, job, after int64, status TaskStatus, limit int) ([]DeviceTask, error) {
	return s.deviceTasks(ctx, fmt.Sprint("of job ", job), `select `+deviceTaskColumns+deviceTaskTables+`where k.job = $1 and k.id > $2 and ($3 = '' or k.status = $3)
		order by k.id limit $4`, job, after, string(status), pageSize(limit))
}

// DueDeviceTasks returns tasks that their devices are to be told of now, at most
// limit.
func (s *Store) DueDeviceTasks(ctx context.Context, now time.Time, limit int) ([]DeviceTask, error) {
	return s.deviceTasks(ctx, "that are due", `select `+deviceTaskColumns+deviceTaskTables+`where k.due_at > 0 and k.due_at <= $2 and (k.status = 'CANCELLED' or `+lasting+`)
		order by k.due_at limit $1`, limit, toMS(now))
}

// OverdueDeviceTasks returns tasks that take longer than their job allows, at most
// limit.
func (s *Store) OverdueDeviceTasks(ctx context.Context, now time.Time, limit int) ([]DeviceTask, error) {
	return s.deviceTasks(ctx, "that take too long", `select `+deviceTaskColumns+deviceTaskTables+`where k.timeout_at > 0 and k.timeout_at <= $1 order by k.timeout_at limit $2`, toMS(now), limit)
}

// UpdateDeviceTask stores what of a task can change, if its status, failures and
// sends are still those of from; changed is false if they are not.
func (s *Store) UpdateDeviceTask(ctx context.Context, from, to DeviceTask) (changed bool, err error) {
	due := toMS(to.DueAt)
	if to.TellOver {
		due = -1
	}
	key := fmt.Sprint(from.ID)
	err = s.write(ctx, "update task", key, func(t *tx) error {
		n, err := t.writeWaiting(ctx, WaitsTask, `update device_task set status = $5, progress = $6, details = $7, reason = $8, sends = $9, failures = $10, due_at = $11, timeout_at = $12, changed_at = $13
			where id = $1 and status = $2 and failures = $3 and sends = $4`, from.ID, string(from.Status), from.Failures, from.Sends,
			string(to.Status), to.Progress, to.Details, cutTo(to.Reason, 512), to.Sends, to.Failures, due, toMS(to.TimeoutAt), s.now())
		changed = n > 0
		return err
	})
	return changed, err
}

// EndDeviceJobs times out the tasks of jobs whose time is over and returns how many.
func (s *Store) EndDeviceJobs(ctx context.Context, now time.Time) (ended int64, err error) {
	const op = "end jobs"
	over, err := s.r.rows(ctx, `select 1 from device_job where end_at > 0 and end_at <= $1 limit 1`, toMS(now))
	if err != nil {
		return 0, wrap(op, "", err)
	}
	any := over.Next()
	if err := errors.Join(over.Err(), over.Close()); err != nil || !any {
		return 0, wrap(op, "", err)
	}
	err = s.write(ctx, op, "", func(t *tx) error {
		ended, err = t.writeWaiting(ctx, WaitsTask, `update device_task set status = 'TIMED_OUT', reason = 'the time of the job is over', due_at = 0, timeout_at = 0, changed_at = $1
			where status in ('QUEUED', 'SENT', 'IN_PROGRESS') and job in (select id from device_job where end_at > 0 and end_at <= $1)`, toMS(now))
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `update device_job set end_at = -end_at where end_at > 0 and end_at <= $1`, toMS(now))
		return err
	})
	return ended, err
}

// CancelDeviceJob cancels the tasks of a job that their devices have not begun, and
// with all set those that they have too. Devices that know of theirs have to be told.
// It returns how many were cancelled.
func (s *Store) CancelDeviceJob(ctx context.Context, job int64, all bool) (cancelled int64, err error) {
	const op = "cancel job"
	key := fmt.Sprint(job)
	err = s.write(ctx, op, key, func(t *tx) error {
		n, err := t.exec(ctx, `update device_job set cancelled = 1 where id = $1`, job)
		if err := found(n, err, op, key); err != nil {
			return err
		}
		cancelled, err = t.writeWaiting(ctx, WaitsTask, `update device_task set due_at = case when sends > 0 then $2 else 0 end, status = 'CANCELLED', reason = 'the job was cancelled', timeout_at = 0, changed_at = $2
			where job = $1 and (status in ('QUEUED', 'SENT') or $3 <> 0 and status = 'IN_PROGRESS')`, job, s.now(), flag(all))
		return err
	})
	return cancelled, err
}

// DeleteDeviceJob removes a job with its tasks. It returns those that their devices
// know of and have not ended.
func (s *Store) DeleteDeviceJob(ctx context.Context, job int64) (known []DeviceTask, err error) {
	const op = "delete job"
	key := fmt.Sprint(job)
	if known, err = s.deviceTasks(ctx, "of job "+key, `select `+deviceTaskColumns+deviceTaskTables+`where k.job = $1 and k.sends > 0 and `+unfinished, job); err != nil {
		return nil, err
	}
	return known, s.write(ctx, op, key, func(t *tx) error {
		n, err := t.exec(ctx, `delete from device_job where id = $1`, job)
		return found(n, err, op, key)
	})
}

// DeviceJobSummary is a job with how many of its tasks have each status.
type DeviceJobSummary struct {
	DeviceJob
	Statuses map[TaskStatus]int
}

// DeviceJobs returns jobs with ids below before (all if 0), newest first, at most
// limit (100 if 0).
func (s *Store) DeviceJobs(ctx context.Context, before int64, limit int) ([]DeviceJobSummary, error) {
	return s.jobSummaries(ctx, `where $1 = 0 or j.id < $1`, before, limit)
}

// DeviceJob returns a job or ErrNotFound.
func (s *Store) DeviceJob(ctx context.Context, id int64) (DeviceJobSummary, error) {
	out, err := s.jobSummaries(ctx, `where j.id = $1`, id, 1)
	if err == nil && len(out) == 0 {
		err = &Error{Kind: KindNotFound, Op: "read job", Key: fmt.Sprint(id)}
	}
	if err != nil {
		return DeviceJobSummary{}, err
	}
	return out[0], nil
}

func (s *Store) jobSummaries(ctx context.Context, which string, id int64, limit int) ([]DeviceJobSummary, error) {
	const op = "list jobs"
	rows, err := s.r.rows(ctx, `select `+deviceJobColumns+` from device_job j `+which+` order by j.id desc limit $2`, id, pageSize(limit))
	if err != nil {
		return nil, wrap(op, "", err)
	}
	defer rows.Close()
	var out []DeviceJobSummary
	at := map[int64]int{}
	for rows.Next() {
		var j deviceJobScan
		if err := rows.Scan(j.fields()...); err != nil {
			return nil, wrap(op, "", err)
		}
		at[j.j.ID] = len(out)
		out = append(out, DeviceJobSummary{j.get(), map[TaskStatus]int{}})
	}
	if err := rows.Err(); err != nil || len(out) == 0 {
		return nil, wrap(op, "", err)
	}
	counts, err := s.r.rows(ctx, `select job, status, count(*) from device_task where job >= $1 and job <= $2 group by job, status`, out[len(out)-1].ID, out[0].ID)
	if err != nil {
		return nil, wrap(op, "", err)
	}
	defer counts.Close()
	for counts.Next() {
		var job int64
		var status TaskStatus
		var n int
		if err := counts.Scan(&job, &status, &n); err != nil {
			return nil, wrap(op, "", err)
		}
		if i, ok := at[job]; ok {
			out[i].Statuses[status] = n
		}
	}
	return out, wrap(op, "", counts.Err())
}
