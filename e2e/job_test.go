package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
)

func (h *home) createJob(in platform.NewJob, devices int) int64 {
	h.t.Helper()
	if in.Name == "" {
		in.Name = "job"
	}
	if in.Document == nil {
		in.Document = json.RawMessage(`{ "do": "<blink>" }`)
	}
	id, n, err := h.Platform.CreateJob(h.t.Context(), who, in)
	if err != nil || n != devices {
		h.t.Fatalf("a job of %d devices, %v; want %d", n, err, devices)
	}
	return id
}

// jobTask returns a device's task of a job.
func (h *home) jobTask(job int64, d alink.Triple) platform.JobTask {
	h.t.Helper()
	list, err := h.Platform.JobTasks(h.t.Context(), job, 0, "", 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, k := range list {
		if k.DeviceName == d.DeviceName {
			return k
		}
	}
	h.t.Fatalf("job %d has no task of %s", job, d.DeviceName)
	return platform.JobTask{}
}

func (h *home) awaitJobTask(job int64, d alink.Triple, status string) platform.JobTask {
	h.t.Helper()
	var k platform.JobTask
	eventually(h.t, "the task of "+d.DeviceName+" is "+status, func() bool { k = h.jobTask(job, d); return k.Status == status })
	return k
}

var jobNotice = regexp.MustCompile(`^\{"id":"(\d{1,10})","version":"1\.0","params":\{"task":(\{"taskId":"([0-9A-Za-z]{17})","status":"([A-Z_]+)","jobDocument":\{"do":"<blink>"\}(?:,"jobFile":\{.*\})?\})\},"method":"thing\.job\.notify"\}$`)

// notice reads a notice of a task with a status, answers it and returns the task's id.
func (w *wire) notice(d alink.Triple, status string) (taskID string) {
	w.t.Helper()
	p := w.publication()
	m := jobNotice.FindStringSubmatch(string(p.Payload))
	if m == nil || string(p.Topic) != sysOf(d, "thing/job/notify") || m[4] != status {
		w.t.Fatalf("noticed %s %s, want status %s", p.Topic, p.Payload, status)
	}
	w.send(publish(sysOf(d, "thing/job/notify_reply"), `{"id":"`+m[1]+`","code":200,"data":{}}`, 0))
	return m[3]
}

const (
	getJob    = "thing.job.get"
	updateJob = "thing.job.update"
)

// reports sends a report of a task and fails unless it is taken.
func (w *wire) reports(d alink.Triple, taskID, report string) {
	w.t.Helper()
	w.asks(d, request{report, "thing/job/update", `{"id":"9","version":"1.0.0","params":{"taskId":"` + taskID + `",` + report + `}}`, replyTo(200, `{"taskId":"`+taskID+`"}`, "9", "success", updateJob)})
}

// TestJob is a job from its notice to its end, with every question and answer byte by byte; what a device may not
// report is refused with a reason.
func TestJob(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d)
	ask := func(name, id, data string) {
		t.Helper()
		w.asks(d, request{name, "thing/job/get", `{"id":"1","version":"1.0","params":{"taskId":"` + id + `"},"method":"thing.job.get"}`, replyTo(200, data, "1", "success", getJob)})
	}
	ask("nothing to do", "$next", `{"taskId":"$next"}`)
	ask("nothing in the list", "$list", `{"taskId":"$list","tasks":[]}`)
	ask("no such task", "x", `{"taskId":"x"}`)

	job := h.createJob(platform.NewJob{Devices: []string{d.ProductKey + "/" + d.DeviceName}, FileURL: "http://nas/x.bin", FileSign: "wssxff56"}, 1)
	id := w.notice(d, "SENT")
	const file = `,"jobFile":{"signMethod":"Md5","sign":"wssxff56","fileUrl":"http://nas/x.bin"}`
	task := func(status string) string {
		return `{"taskId":"` + id + `","task":{"taskId":"` + id + `","status":"` + status + `","jobDocument":{"do":"<blink>"}` + file + `}}`
	}
	ask("the next", "$next", task("SENT"))
	ask("by its id", id, task("SENT"))
	second := h.createJob(platform.NewJob{ProductKey: d.ProductKey}, 1)
	id2 := w.notice(d, "SENT")
	ask("the list", "$list", `{"taskId":"$list","tasks":[{"taskId":"`+id+`","status":"SENT"},{"taskId":"`+id2+`","status":"SENT"}]}`)
	w.reports(d, id, `"status":"IN_PROGRESS","progress":40,"statusDetails":{"k":"v"}`)
	if k := h.jobTask(job, d); k.Status != "IN_PROGRESS" || k.Progress != 40 || string(k.Details) != `{"k":"v"}` || k.Sends != 1 {
		t.Errorf("the task is %+v", k)
	}
	ask("while it goes on", "$next", task("IN_PROGRESS"))
	for report, why := range map[string]string{
		`"status":"QUEUED"`:                          "status should be IN_PROGRESS, SUCCEEDED, FAILED or REJECTED, not QUEUED",
		`"progress":5`:                               "status should be IN_PROGRESS, SUCCEEDED, FAILED or REJECTED, not ",
		`"status":"IN_PROGRESS","progress":101`:      "progress should be 0 to 100",
		`"status":"IN_PROGRESS","progress":-1`:       "progress should be 0 to 100",
		`"status":"FAILED","statusDetails":"broken"`: "statusDetails should be an object",
		`"status":"FAILED","statusDetails":{"k":"` + strings.Repeat("x", 5000) + `"}`: "statusDetails should have at most 4096 bytes",
	} {
		w.asks(d, request{report, "thing/job/update", `{"id":"2","params":{"taskId":"` + id + `",` + report + `}}`, replyTo(460, `{"taskId":"`+id+`"}`, "2", why, updateJob)})
	}
	w.asks(d,
		request{"no task", "thing/job/update", `{"id":"2","params":{"status":"FAILED"}}`, replyTo(460, "{}", "2", "params should have a taskId", updateJob)},
		request{"no params", "thing/job/get", `{"id":"2"}`, replyTo(460, "{}", "2", "params should have a taskId", getJob)},
		request{"no JSON", "thing/job/get", `{`, replyTo(6207, "{}", "", "message is not JSON", getJob)},
		request{"not its own", "thing/job/update", `{"id":"2","params":{"taskId":"x","status":"FAILED"}}`, replyTo(404, `{"taskId":"x"}`, "2", "the device has no such task", updateJob)})
	other := h.addDevice(alink.Triple{ProductKey: d.ProductKey, DeviceName: "other"})
	w2 := h.login(other)
	w2.asks(other, request{"another device's", "thing/job/update", `{"id":"2","params":{"taskId":"` + id + `","status":"FAILED"}}`, replyTo(404, `{"taskId":"`+id+`"}`, "2", "the device has no such task", updateJob)},
		request{"another device's", "thing/job/get", `{"id":"2","params":{"taskId":"` + id + `"}}`, replyTo(200, `{"taskId":"`+id+`"}`, "2", "success", getJob)})
	w.reports(d, id, `"status":"SUCCEEDED","progress":99`)
	w.reports(d, id, `"status":"SUCCEEDED","progress":99`) // its answer was lost
	if k := h.jobTask(job, d); k.Status != "SUCCEEDED" || k.Progress != 100 {
		t.Errorf("the task is %+v", k)
	}
	w.asks(d, request{"after its end", "thing/job/update", `{"id":"2","params":{"taskId":"` + id + `","status":"IN_PROGRESS"}}`, replyTo(460, `{"taskId":"`+id+`"}`, "2", "the task is SUCCEEDED already", updateJob)})
	w.reports(d, id2, `"status":"REJECTED"`)
	ask("after both", "$next", `{"taskId":"$next"}`)
	ask("how it ended", id, task("SUCCEEDED"))
	if k := h.jobTask(second, d); k.Status != "REJECTED" || k.Reason == "" {
		t.Errorf("the task is %+v", k)
	}
	list, err := h.Platform.Jobs(t.Context(), 0, 0)
	if err != nil || len(list) != 2 || list[0].ID != second || fmt.Sprint(list[0].Statuses, list[1].Statuses) != "map[REJECTED:1] map[SUCCEEDED:1]" {
		t.Errorf("the jobs are %+v, %v", list, err)
	}
	for _, code := range []string{"460", "404"} {
		h.awaitLog(d, code)
	}
	w.send(publish(sysOf(d, "thing/job/notify_reply"), `{"id":"1","code":500,"data":{}}`, 0))
	h.awaitLog(d, "500")
}

// TestJobOver: failures and retries, time-outs of a device and of the job, cancelling and deleting, each with what
// the device is told, at once or when it connects again.
func TestJobOver(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	device := []string{d.ProductKey + "/" + d.DeviceName}
	w := h.login(d)

	job := h.createJob(platform.NewJob{Devices: device, Retries: 1}, 1)
	id := w.notice(d, "SENT")
	w.reports(d, id, `"status":"FAILED","statusDetails":{"why":"cold"}`)
	if again := w.notice(d, "SENT"); again != id {
		t.Errorf("tried again as %s, was %s", again, id)
	}
	w.reports(d, id, `"status":"FAILED"`)
	if k := h.jobTask(job, d); k.Status != "FAILED" || k.Failures != 2 || k.Sends != 2 || string(k.Details) != `{"why":"cold"}` {
		t.Errorf("the task is %+v", k)
	}
	// What failed and waits to be tried again has not failed twice if the report comes twice.
	job = h.createJob(platform.NewJob{Devices: device, Retries: 1, RetryAfterMS: time.Hour.Milliseconds()}, 1)
	id = w.notice(d, "SENT")
	w.reports(d, id, `"status":"FAILED"`)
	w.reports(d, id, `"status":"FAILED"`)
	if k := h.jobTask(job, d); k.Status != "QUEUED" || k.Failures != 1 {
		t.Errorf("the task is %+v", k)
	}
	w.asks(d, request{"it waits", "thing/job/get", `{"id":"1","params":{"taskId":"$next"}}`, replyTo(200, `{"taskId":"$next"}`, "1", "success", getJob)})

	// Time-outs: of a device that has begun, and of the whole job.
	job = h.createJob(platform.NewJob{Devices: device, TimeoutMS: 1}, 1)
	id = w.notice(d, "SENT")
	w.reports(d, id, `"status":"IN_PROGRESS"`)
	if k := h.awaitJobTask(job, d, "TIMED_OUT"); !strings.Contains(k.Reason, "longer than 1ms") {
		t.Errorf("the task is %+v", k)
	}
	job = h.createJob(platform.NewJob{Devices: device, StartAt: time.Now().Add(-time.Hour).UnixMilli(), LastsMS: 1}, 1)
	if k := h.awaitJobTask(job, d, "TIMED_OUT"); !strings.Contains(k.Reason, "the time of the job is over") {
		t.Errorf("the task is %+v", k)
	}

	// Cancelling: one that has begun is cancelled only with all.
	job = h.createJob(platform.NewJob{Devices: device}, 1)
	id = w.notice(d, "SENT")
	w.reports(d, id, `"status":"IN_PROGRESS"`)
	if n, err := h.Platform.CancelJob(t.Context(), who, job, false); n != 0 || err != nil {
		t.Errorf("cancelled %d, %v", n, err)
	}
	if n, err := h.Platform.CancelJob(t.Context(), who, job, true); n != 1 || err != nil {
		t.Errorf("cancelled %d, %v", n, err)
	}
	if got := w.notice(d, "CANCELLED"); got != id {
		t.Errorf("told that %s is cancelled, not %s", got, id)
	}
	w.asks(d, request{"of a cancelled one", "thing/job/update", `{"id":"2","params":{"taskId":"` + id + `","status":"SUCCEEDED"}}`, replyTo(460, `{"taskId":"`+id+`"}`, "2", "the task is CANCELLED already", updateJob)})

	// Cancelled while the device is away: it is told when it is back, once. A new one waits for it as well.
	job = h.createJob(platform.NewJob{Devices: device}, 1)
	id = w.notice(d, "SENT")
	w.send([]byte{0xE0, 0})
	w.wantClosed()
	key := platform.DeviceKey(d.ProductKey, d.DeviceName)
	eventually(t, "the device is offline", func() bool { return !h.Broker.Online(key) })
	if n, err := h.Platform.CancelJob(t.Context(), who, job, false); n != 1 || err != nil {
		t.Errorf("cancelled %d, %v", n, err)
	}
	waits := h.createJob(platform.NewJob{Devices: device}, 1)
	h = h.restart() // all of it is on disk
	if k := h.jobTask(waits, d); k.Status != "QUEUED" || k.Sends != 0 {
		t.Errorf("the task is %+v", k)
	}
	w = h.login(d)
	if got := w.notice(d, "CANCELLED"); got != id {
		t.Errorf("told that %s is cancelled, not %s", got, id)
	}
	id = w.notice(d, "SENT")
	w = h.login(d)
	if again := w.notice(d, "SENT"); again != id { // it has not begun: it may not have heard
		t.Errorf("told of %s, not %s", again, id)
	}
	if err := h.Platform.DeleteJob(t.Context(), who, waits); err != nil {
		t.Fatal(err)
	}
	if got := w.notice(d, "REMOVED"); got != id {
		t.Errorf("told that %s is removed, not %s", got, id)
	}
	w.asks(d, request{"of a removed one", "thing/job/get", `{"id":"2","params":{"taskId":"` + id + `"}}`, replyTo(200, `{"taskId":"`+id+`"}`, "2", "success", getJob)})
	if err := h.Platform.DeleteJob(t.Context(), who, waits); platform.KindOf(err) != platform.KindNotFound {
		t.Errorf("removed twice: %v", err)
	}
}

// TestJobDevices: who is selected, when they are told, and what is no job.
func TestJobDevices(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d)
	h.addProduct("a1jobjobjob", "")
	var others []alink.Triple
	for i := range 20 {
		others = append(others, h.addDevice(alink.Triple{ProductKey: "a1jobjobjob", DeviceName: fmt.Sprint("d", i)}))
	}
	const tag = `{"id":"1","params":[{"attrKey":"room","attrValue":"kitchen"}]}`
	tagged := replyTo(200, "{}", "1", "success", "thing.deviceinfo.update")
	w.asks(d, request{"a tag", "thing/deviceinfo/update", tag, tagged})
	for _, i := range []int{3, 4} {
		h.login(others[i]).asks(others[i], request{"a tag", "thing/deviceinfo/update", tag, tagged})
	}
	soon := time.Now().Add(time.Hour).UnixMilli()
	h.createJob(platform.NewJob{ProductKey: "a1jobjobjob", StartAt: soon}, 20)
	h.createJob(platform.NewJob{TagKey: "room", TagValue: "kitchen", StartAt: soon}, 3)
	h.createJob(platform.NewJob{TagKey: "room", TagValue: "kitchen", ProductKey: "a1jobjobjob", StartAt: soon}, 2)
	h.createJob(platform.NewJob{Devices: []string{"a1jobjobjob/d1", "a1jobjobjob/d3", d.ProductKey + "/" + d.DeviceName}, TagKey: "room", TagValue: "kitchen", StartAt: soon}, 2)
	if _, n, err := h.Platform.CreateJob(t.Context(), who, platform.NewJob{Name: "half", Document: json.RawMessage("{}"), ProductKey: "a1jobjobjob", Percent: 50, StartAt: soon}); err != nil || n == 0 || n == 20 {
		t.Errorf("half of them are %d, %v", n, err)
	}
	ok := platform.NewJob{Name: "x", Document: json.RawMessage(`{}`), ProductKey: d.ProductKey}
	for what, in := range map[string]func(*platform.NewJob){
		"no name":           func(j *platform.NewJob) { j.Name = "" },
		"no document":       func(j *platform.NewJob) { j.Document = nil },
		"a list":            func(j *platform.NewJob) { j.Document = json.RawMessage(`[1]`) },
		"null":              func(j *platform.NewJob) { j.Document = json.RawMessage(`null`) },
		"a large document":  func(j *platform.NewJob) { j.Document = json.RawMessage(`{"a":"` + strings.Repeat("x", 65536) + `"}`) },
		"nobody":            func(j *platform.NewJob) { j.ProductKey = "" },
		"no device":         func(j *platform.NewJob) { j.Devices = []string{"x"} },
		"six retries":       func(j *platform.NewJob) { j.Retries = 6 },
		"101 percent":       func(j *platform.NewJob) { j.Percent = 101 },
		"a file unsigned":   func(j *platform.NewJob) { j.FileURL = "http://nas/x" },
		"a local file":      func(j *platform.NewJob) { j.FileURL, j.FileSign = "file:///etc/passwd", "1" },
		"a sign of nothing": func(j *platform.NewJob) { j.FileSign = "1" },
		"another sign":      func(j *platform.NewJob) { j.FileURL, j.FileSign, j.SignMethod = "http://nas/x", "1", "crc" },
	} {
		j := ok
		in(&j)
		if _, _, err := h.Platform.CreateJob(t.Context(), who, j); platform.KindOf(err) != platform.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, j := range map[string]platform.NewJob{
		"no such product": {Name: "x", Document: ok.Document, ProductKey: "a1nothing000"},
		"no such device":  {Name: "x", Document: ok.Document, Devices: []string{d.ProductKey + "/nobody"}},
		"no such tag":     {Name: "x", Document: ok.Document, TagKey: "room", TagValue: "cellar"},
	} {
		if _, _, err := h.Platform.CreateJob(t.Context(), who, j); platform.KindOf(err) != platform.KindNotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	// One a minute: the first device is told now, the second later, even if it asks.
	second := h.addDevice(alink.Triple{ProductKey: d.ProductKey, DeviceName: "second"})
	slow := h.createJob(platform.NewJob{ProductKey: d.ProductKey, PerMinute: 1}, 2)
	w.notice(d, "SENT")
	w2 := h.login(second)
	w2.asks(second, request{"not yet", "thing/job/get", `{"id":"2","params":{"taskId":"$next"}}`, replyTo(200, `{"taskId":"$next"}`, "2", "success", getJob)})
	if k := h.jobTask(slow, second); k.Status != "QUEUED" || k.Sends != 0 {
		t.Errorf("the task is %+v", k)
	}
}
