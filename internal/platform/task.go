package platform

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

// What devices ask for instead of a task's id, and how many tasks a list has
// (spec/services.md §10).
const (
	nextTask    = "$next"
	listTasks   = "$list"
	maxTaskList = 10
)

const (
	maxTaskID      = 64
	maxTaskDetails = 4 << 10
)

// tasks answers devices that ask for their tasks and say how far they are.
func (p *Platform) tasks(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	if !w.read(t, x) {
		return true
	}
	return p.later(p.records, w, d, t, x, func(params devjson.Value) (answer, error) {
		id := textOf(params.Get("taskId"))
		if params.Kind() != devjson.Object || id == "" || len(id) > maxTaskID {
			return refuse(alink.CodeParameter, "params should have a taskId"), nil
		}
		if t.Kind == alink.JobUpdate {
			return p.updateTask(d, id, params)
		}
		return p.getTask(d, id)
	})
}

// taskData is the data of an answer: the id that was asked for, and what else there
// is. Without a task a client knows that there is none.
func taskData(id string, more ...byte) []byte {
	return append(append(devjson.AppendString([]byte(`{"taskId":`), id), more...), '}')
}

func (p *Platform) getTask(d *device, id string) (answer, error) {
	if id == listTasks {
		tasks, err := p.store.OpenDeviceTasks(p.ctx, d.id, p.now(), maxTaskList)
		if err != nil {
			return answer{}, err
		}
		b := []byte(`,"tasks":[`)
		for i, k := range tasks {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(devjson.AppendString(append(b, `{"taskId":`...), k.TaskID), `,"status":"`...)
			b = append(append(b, k.Status...), `"}`...)
		}
		return answer{code: alink.CodeSuccess, data: taskData(id, append(b, ']')...)}, nil
	}
	k, err := p.taskOf(d, id)
	if errors.Is(err, store.ErrNotFound) {
		return answer{code: alink.CodeSuccess, data: taskData(id)}, nil
	}
	if err != nil {
		return answer{}, err
	}
	if k.Status == store.StatusQueued && !k.DueAt.After(p.now()) { // it is told with this answer
		to := k
		to.Status, to.Sends, to.DueAt = store.StatusSent, k.Sends+1, time.Time{}
		if changed, err := p.store.UpdateDeviceTask(p.ctx, k, to); err != nil {
			return answer{}, err
		} else if changed {
			k = to
		}
	}
	return answer{code: alink.CodeSuccess, data: taskData(k.TaskID, appendTask([]byte(`,"task":`), &k, k.Status)...)}, nil
}

// taskOf is the task of that id, or the oldest that is not finished.
func (p *Platform) taskOf(d *device, id string) (store.DeviceTask, error) {
	if id != nextTask {
		return p.store.DeviceTask(p.ctx, d.id, id)
	}
	tasks, err := p.store.OpenDeviceTasks(p.ctx, d.id, p.now(), 1)
	if err == nil && len(tasks) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.DeviceTask{}, err
	}
	return tasks[0], nil
}

// appendTask appends a task as devices see it.
func appendTask(dst []byte, k *store.DeviceTask, status store.TaskStatus) []byte {
	dst = devjson.AppendString(append(dst, `{"taskId":`...), k.TaskID)
	dst = append(append(append(dst, `,"status":"`...), status...), '"')
	dst = append(append(dst, `,"jobDocument":`...), k.Job.Document...)
	if k.Job.FileURL != "" {
		dst = devjson.AppendString(append(dst, `,"jobFile":{"signMethod":`...), k.Job.SignMethod)
		dst = devjson.AppendString(append(dst, `,"sign":`...), k.Job.FileSign)
		dst = append(devjson.AppendString(append(dst, `,"fileUrl":`...), k.Job.FileURL), '}')
	}
	return append(dst, '}')
}

// taskReport is what a device says of a task.
type taskReport struct {
	status   store.TaskStatus
	progress int // -1: not said
	details  string
}

func parseTaskReport(params devjson.Value) (r taskReport, problem string) {
	r.status = store.TaskStatus(textOf(params.Get("status")))
	switch r.status {
	case store.StatusInProgress, store.StatusSucceeded, store.StatusFailed, store.StatusRejected:
	default:
		return r, "status should be IN_PROGRESS, SUCCEEDED, FAILED or REJECTED, not " + clip(string(r.status))
	}
	r.progress = -1
	if v := params.Get("progress"); v.Exists() && v.Kind() != devjson.Null {
		n, err := strconv.Atoi(textOf(v))
		if err != nil || n < 0 || n > 100 {
			return r, "progress should be 0 to 100"
		}
		r.progress = n
	}
	if v := params.Get("statusDetails"); v.Exists() && v.Kind() != devjson.Null {
		if v.Kind() != devjson.Object {
			return r, "statusDetails should be an object"
		}
		if r.details = string(v.AppendJSON(nil)); len(r.details) > maxTaskDetails {
			return r, fmt.Sprintf("statusDetails should have at most %d bytes", maxTaskDetails)
		}
	}
	return r, ""
}

// updateTask takes a device's report. It is on disk when it is answered.
func (p *Platform) updateTask(d *device, id string, params devjson.Value) (answer, error) {
	refused := func(code alink.Code, message string) (answer, error) {
		return answer{code: code, data: taskData(id), message: message}, nil
	}
	report, problem := parseTaskReport(params)
	if problem != "" {
		return refused(alink.CodeParameter, problem)
	}
	for range 3 { // the scheduler may have changed it meanwhile
		k, err := p.store.DeviceTask(p.ctx, d.id, id)
		if errors.Is(err, store.ErrNotFound) {
			return refused(alink.CodeNotFound, "the device has no such task")
		}
		if err != nil {
			return answer{}, err
		}
		if k.Status.Final() && k.Status != report.status {
			return refused(alink.CodeParameter, "the task is "+string(k.Status)+" already")
		}
		to, same := p.reported(k, report)
		if same {
			return answer{code: alink.CodeSuccess, data: taskData(id)}, nil
		}
		changed, err := p.store.UpdateDeviceTask(p.ctx, k, to)
		if err != nil {
			return answer{}, err
		}
		if !changed {
			continue
		}
		if to.Status.Final() {
			p.logger.Info("a task ended", "productKey", d.pk, "deviceName", d.dn, "job", k.Job.ID, "task", id, "status", string(to.Status))
		}
		p.jobs.poke() // it may be tried again at once
		return answer{code: alink.CodeSuccess, data: taskData(id)}, nil
	}
	return refused(alink.CodeBusy, "the task changes all the time")
}

// reported is a task after a report. It is the same if the report was sent twice.
func (p *Platform) reported(k store.DeviceTask, r taskReport) (to store.DeviceTask, same bool) {
	if k.Status == r.status && k.Status.Final() || r.status == store.StatusFailed && k.Status == store.StatusQueued && k.Failures > 0 {
		return k, true // what failed waits to be tried again
	}
	to = k
	to.Status, to.DueAt, to.Reason = r.status, time.Time{}, ""
	if r.progress >= 0 {
		to.Progress = r.progress
	}
	if r.details != "" {
		to.Details = r.details
	}
	switch r.status {
	case store.StatusInProgress:
		if k.Status != store.StatusInProgress && k.Job.Timeout > 0 {
			to.TimeoutAt = p.now().Add(k.Job.Timeout)
		}
		return to, false
	case store.StatusSucceeded:
		to.Progress = 100
	case store.StatusFailed:
		to.Failures++
		to.Reason = "the device says that it failed"
	case store.StatusRejected:
		to.Reason = "the device rejects it"
	}
	to.TimeoutAt = time.Time{}
	if r.status == store.StatusFailed && to.Failures <= k.Job.Retries {
		p.tryAgain(&to)
	}
	return to, false
}

// tryAgain queues a task that failed once more.
func (p *Platform) tryAgain(k *store.DeviceTask) {
	k.Status, k.TimeoutAt, k.Progress = store.StatusQueued, time.Time{}, 0
	k.DueAt = p.now().Add(max(k.Job.RetryAfter, time.Millisecond))
}

// jobNoticed takes a device's reply to a notice.
func (p *Platform) jobNoticed(w *worker, d *device, t alink.Topic, x *broker.Exchange) {
	if err := w.decoder.Reply(x.Payload, &w.reply); err == nil && w.reply.Code != alink.CodeSuccess {
		p.remark(d, t, w.reply.Code, "the device refuses a notice of a task: "+w.reply.Message)
	}
}

// noticeTask publishes a task to its device.
func (p *Platform) noticeTask(k *store.DeviceTask, status store.TaskStatus) {
	params := append(appendTask([]byte(`{"task":`), k, status), '}')
	p.notice(alink.SysTopic(k.ProductKey, k.DeviceName, "thing/job/notify"), alink.AppendRequest(nil, "thing.job.notify", p.calls.id(), params, true))
}

// tellTask tells a device that is online of its task. It is written down first.
func (p *Platform) tellTask(k store.DeviceTask) error {
	online := p.broker.Online(DeviceKey(k.ProductKey, k.DeviceName))
	to := k
	to.DueAt, to.TellOver = time.Time{}, false
	switch {
	case k.Status == store.StatusCancelled:
		to.TellOver = !online
	case online:
		to.Status, to.Sends = store.StatusSent, k.Sends+1
	}
	changed, err := p.store.UpdateDeviceTask(p.ctx, k, to)
	if err == nil && changed && online {
		p.noticeTask(&to, to.Status)
	}
	return err
}

// greetJobs tells a device that has just connected of its tasks.
func (p *Platform) greetJobs(d *device) error {
	tasks, err := p.store.UntoldDeviceTasks(p.ctx, d.id, p.now(), scheduleBatch)
	for _, k := range tasks {
		if err == nil {
			err = p.tellTask(k)
		}
	}
	return err
}

// scheduleJobs tells devices of tasks whose time has come, and ends what takes too
// long.
func (p *Platform) scheduleJobs() error {
	now := p.now()
	if n, err := p.store.EndDeviceJobs(p.ctx, now); err != nil {
		return err
	} else if n > 0 {
		p.logger.Info("tasks ended because the time of their job was over", "devices", n)
	}
	overdue, err := p.store.OverdueDeviceTasks(p.ctx, now, scheduleBatch)
	if err != nil {
		return err
	}
	for _, k := range overdue {
		to := k
		to.Failures++
		to.Reason = "the device took longer than " + k.Job.Timeout.String()
		to.Status, to.TimeoutAt = store.StatusTimedOut, time.Time{}
		if to.Failures <= k.Job.Retries {
			p.tryAgain(&to)
		}
		if _, err := p.store.UpdateDeviceTask(p.ctx, k, to); err != nil {
			return err
		}
	}
	for {
		due, err := p.store.DueDeviceTasks(p.ctx, now, scheduleBatch)
		if err != nil {
			return err
		}
		for _, k := range due {
			if err := p.tellTask(k); err != nil {
				return err
			}
		}
		if len(due) < scheduleBatch {
			return nil
		}
	}
}
