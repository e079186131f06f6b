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

// DefaultModule is the module that firmware itself belongs to; messages leave it
// out.
const DefaultModule = "default"

// maxPushes is how often a device is told of one task before it is given up: a
// device that starts anew with its old version would be told for ever.
const maxPushes = 20

// maxModuleText bounds the names of modules and versions, in bytes.
const maxModuleText = 64

// upgrade takes what devices say about their firmware (spec/services.md §2).
func (p *Platform) upgrade(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	if t.Kind == alink.OTAFirmwareGet {
		if !w.read(t, x) {
			return true
		}
		return p.later(p.records, w, d, t, x, func(params devjson.Value) (answer, error) {
			module, _, ok := moduleOf(params)
			if !ok {
				return refuse(alink.CodeParameter, ""), nil
			}
			data, err := p.firmwareFor(d, module)
			return answer{code: alink.CodeSuccess, data: data}, err
		})
	}
	// The others have no _reply; what is wrong with them is in the device's log.
	if err := w.decoder.Request(x.Payload, &w.request); err != nil {
		p.remark(d, t, alink.CodeNotJSON, err.Error())
		return true
	}
	id := string([]byte(w.request.ID))
	var raw []byte
	if w.request.Params.Exists() {
		raw = w.request.Params.AppendJSON(nil)
	}
	queued := later(p.records, func() {
		var parser devjson.Parser
		params, _ := parser.ParseStrict(raw)
		var err error
		switch t.Kind {
		case alink.OTAInform:
			err = p.informed(d, t, params)
		case alink.OTAProgress:
			err = p.progressed(d, t, params)
		default:
			err = p.asked(d, t, x, id, params)
		}
		if err != nil {
			var a answer
			if a, err = p.classify(err); err == nil {
				p.remark(d, t, a.code, a.message)
			}
		}
		x.Done(err)
	})
	if !queued {
		p.remark(d, t, alink.CodeBusy, "")
	}
	return !queued
}

// moduleOf reads module and version of a message's parameters.
func moduleOf(params devjson.Value) (module, version string, ok bool) {
	if params.Exists() && params.Kind() != devjson.Object {
		return "", "", false
	}
	module, version = textOf(params.Get("module")), textOf(params.Get("version"))
	if module == "" {
		module = DefaultModule
	}
	return module, version, len(module) <= maxModuleText && len(version) <= maxModuleText
}

// informed takes a version report. Only it decides that an upgrade succeeded.
func (p *Platform) informed(d *device, t alink.Topic, params devjson.Value) error {
	module, version, ok := moduleOf(params)
	if !ok || version == "" {
		p.remark(d, t, alink.CodeParameter, "params should have a version of at most 64 bytes, and a module of at most 64 if any")
		return nil
	}
	p.upgrades.mu.Lock()
	defer p.upgrades.mu.Unlock()
	ended, err := p.store.ReportVersion(p.ctx, d.id, module, version)
	if err != nil {
		return err
	}
	if ended > 0 {
		p.logger.Info("upgrade ended", "productKey", d.pk, "deviceName", d.dn, "module", module, "version", version, "state", string(store.TaskSuccess))
	}
	tasks, err := p.store.OpenTasks(p.ctx, d.id, module)
	if err != nil {
		return err
	}
	for _, k := range tasks {
		if err := p.push(d, k); err != nil {
			return err
		}
	}
	return nil
}

func (p *Platform) moveTask(k store.Task, state store.TaskState, step int, reason string, due time.Time) error {
	_, err := p.store.UpdateTask(p.ctx, k, state, step, reason, k.Pushes, k.Failures, due)
	if err == nil && state.Final() {
		p.logger.Info("upgrade ended", "productKey", k.ProductKey, "deviceName", k.DeviceName, "module", k.Module,
			"version", k.Package.Version, "state", string(state), "reason", reason)
	}
	return err
}

// ready reports whether a device may be told of a task now.
func (p *Platform) ready(k *store.Task) bool {
	switch {
	case k.Job.StartAt.After(p.now()), k.DueAt.After(p.now()): // scheduled, or waiting to be tried again
		return false
	case k.Package.SourceVersion != "" && k.Package.SourceVersion != k.Reported:
		return false
	}
	return true
}

// pushTask tells a device that is online of its upgrade. Meanwhile no report of the
// device is taken: what it has reported it is not told again.
func (p *Platform) pushTask(d *device, k store.Task) error {
	p.upgrades.mu.Lock()
	defer p.upgrades.mu.Unlock()
	return p.push(d, k)
}

// push is pushTask for who holds the mutex. The push is written down first.
func (p *Platform) push(d *device, k store.Task) error {
	if k.Reported == k.Package.Version { // a job that was made while the device reported it
		return p.moveTask(k, store.TaskSuccess, 100, "", time.Time{})
	}
	if !p.ready(&k) || !p.broker.Online(d.key) {
		return nil
	}
	if k.Pushes >= maxPushes {
		return p.moveTask(k, store.TaskFailure, k.Step, fmt.Sprintf("the device was told %d times and never reported version %s", k.Pushes, k.Package.Version), time.Time{})
	}
	payload, err := p.appendUpgrade(nil, d, &k, strconv.FormatInt(p.now().UnixMilli(), 10))
	if errors.Is(err, errNoFiles) {
		return p.moveTask(k, store.TaskFailure, 0, err.Error(), time.Time{})
	} else if err != nil {
		return err
	}
	state := k.State
	if state == store.TaskPending {
		state = store.TaskPushed
	}
	changed, err := p.store.UpdateTask(p.ctx, k, state, k.Step, k.Reason, k.Pushes+1, k.Failures, time.Time{})
	if err != nil || !changed {
		return err
	}
	p.notice("/ota/device/upgrade/"+d.pk+"/"+d.dn, payload)
	return nil
}

// appendUpgrade appends a push in the order of keys that clients with sscanf
// depend on.
func (p *Platform) appendUpgrade(dst []byte, d *device, k *store.Task, id string) ([]byte, error) {
	dst = append(dst, `{"code":"1000","data":`...)
	dst, err := p.appendFirmware(dst, d, k)
	if err != nil {
		return nil, err
	}
	return append(append(append(dst, `,"id":`...), id...), `,"message":"success"}`...), nil
}

func (p *Platform) appendFirmware(dst []byte, d *device, k *store.Task) ([]byte, error) {
	f := &k.Package
	sign := f.MD5
	if f.SignMethod != "Md5" {
		sign = f.SHA256
	}
	dst = strconv.AppendInt(append(dst, `{"size":`...), f.Size, 10)
	overMQTT := k.Job.Protocol == "mqtt"
	if overMQTT {
		dst = strconv.AppendInt(append(dst, `,"streamId":`...), k.ID, 10)
	}
	dst = append(append(append(dst, `,"sign":"`...), sign...), '"')
	if overMQTT {
		dst = append(dst, `,"dProtocol":"mqtt"`...)
	}
	dst = devjson.AppendString(append(dst, `,"version":`...), f.Version)
	if !overMQTT {
		url, err := p.fileURL(d, "/files/firmware/"+strconv.FormatInt(f.ID, 10))
		if err != nil {
			return nil, err
		}
		dst = devjson.AppendString(append(dst, `,"url":`...), url)
	}
	dst = append(append(append(dst, `,"signMethod":"`...), f.SignMethod...), '"')
	if overMQTT {
		dst = append(dst, `,"streamFileId":1`...)
	}
	if f.SignMethod == "Md5" {
		dst = append(append(append(dst, `,"md5":"`...), f.MD5...), '"')
	}
	if f.SourceVersion != "" {
		dst = append(dst, `,"isDiff":1`...)
	}
	if f.Module != DefaultModule {
		dst = devjson.AppendString(append(dst, `,"module":`...), f.Module)
	}
	if f.UDI != "" {
		dst = append(devjson.AppendString(append(dst, `,"extData":{"_package_udi":`...), f.UDI), '}')
	}
	return append(dst, '}'), nil
}

// openTask is the task of a device's module that is under way or waiting.
func (p *Platform) openTask(d *device, module string) (*store.Task, error) {
	tasks, err := p.store.OpenTasks(p.ctx, d.id, module)
	if err != nil {
		return nil, err
	}
	for i := range tasks {
		if p.ready(&tasks[i]) {
			return &tasks[i], nil
		}
	}
	return nil, nil
}

// told notes that a device asked for its task and was told.
func (p *Platform) told(k *store.Task) error {
	state := k.State
	if state == store.TaskPending {
		state = store.TaskPushed
	}
	_, err := p.store.UpdateTask(p.ctx, *k, state, k.Step, k.Reason, k.Pushes, k.Failures, time.Time{})
	return err
}

// firmwareFor is the data of an answer to firmware/get, {} without an upgrade.
func (p *Platform) firmwareFor(d *device, module string) ([]byte, error) {
	k, err := p.openTask(d, module)
	if err != nil || k == nil {
		return nil, err
	}
	data, err := p.appendFirmware(nil, d, k)
	if errors.Is(err, errNoFiles) {
		return nil, p.moveTask(*k, store.TaskFailure, 0, err.Error(), time.Time{})
	} else if err != nil {
		return nil, err
	}
	return data, p.told(k)
}

// asked answers on the old request topic, in the form of a push.
func (p *Platform) asked(d *device, t alink.Topic, x *broker.Exchange, id string, params devjson.Value) error {
	module, _, ok := moduleOf(params)
	if !ok {
		p.remark(d, t, alink.CodeParameter, "")
		return nil
	}
	if !decimal(id) {
		id = strconv.FormatInt(p.now().UnixMilli(), 10)
	}
	data, err := p.firmwareFor(d, module)
	if err != nil {
		return err
	}
	if data == nil {
		data = []byte("{}")
	}
	b := append(append([]byte(nil), `{"code":"1000","data":`...), data...)
	b = append(append(append(b, `,"id":`...), id...), `,"message":"success"}`...)
	x.Reply([]byte("/ota/device/request/"+d.pk+"/"+d.dn), b)
	return nil
}

// progressed takes a progress report: 1 to 100 percent, or less than 0 for what
// failed. 100 is not success; the version report is.
func (p *Platform) progressed(d *device, t alink.Topic, params devjson.Value) error {
	module, _, ok := moduleOf(params)
	text := textOf(params.Get("step"))
	step, err := strconv.Atoi(text)
	if !ok || err != nil || step < -4 || step > 100 {
		p.remark(d, t, alink.CodeParameter, "params should have a step of -4 to 100, not "+clip(text))
		return nil
	}
	k, err := p.openTask(d, module)
	if err != nil || k == nil {
		return err
	}
	reason := textOf(params.Get("desc"))
	if step >= 0 {
		if k.State == store.TaskUpgrading && k.Step == step {
			return nil
		}
		_, err := p.store.UpdateTask(p.ctx, *k, store.TaskUpgrading, step, reason, k.Pushes, k.Failures, time.Time{})
		return err
	}
	what := map[int]string{-1: "the upgrade failed", -2: "the download failed", -3: "the file does not fit its signature", -4: "writing it failed"}[step]
	if reason != "" {
		what += ": " + reason
	}
	k.Failures++
	if k.Failures <= k.Job.Retries {
		return p.moveTask(*k, store.TaskPending, step, what, p.now().Add(max(k.Job.RetryAfter, time.Millisecond)))
	}
	return p.moveTask(*k, store.TaskFailure, step, what, time.Time{})
}

// greetUpgrade tells a device that has just connected of the upgrades that wait.
func (p *Platform) greetUpgrade(d *device) error {
	tasks, err := p.store.OpenTasks(p.ctx, d.id, "")
	if err != nil {
		return err
	}
	for _, k := range tasks {
		if k.State != store.TaskUpgrading { // one that is goes on by itself or reports its version
			if err := p.pushTask(d, k); err != nil {
				return err
			}
		}
	}
	return nil
}
