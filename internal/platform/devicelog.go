package platform

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

// maxLogPost is how many lines one message may carry (spec/services.md §5).
const maxLogPost = 40

// logSwitch is the name of the setting that holds a device's log mode.
const logSwitch = "log.mode"

// deviceLogs answers a device that asks whether to report its log, and keeps the
// lines it reports.
func (p *Platform) deviceLogs(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	if !w.read(t, x) {
		return true
	}
	if t.Kind == alink.LogConfigGet {
		return p.later(p.records, w, d, t, x, func(params devjson.Value) (answer, error) { return p.logConfig(d, params) })
	}
	return p.later(p.records, w, d, t, x, func(params devjson.Value) (answer, error) {
		lines, ok := logLines(params)
		if !ok {
			return refuse(alink.CodeParameter, ""), nil
		}
		return success, p.store.AddDeviceLog(p.ctx, d.id, lines)
	})
}

func (p *Platform) logConfig(d *device, params devjson.Value) (answer, error) {
	if params.Kind() != devjson.Object {
		return refuse(alink.CodeParameter, ""), nil
	}
	if scope, _ := params.Get("configScope").Str(); scope != "device" {
		return refuse(alink.CodeConfigScope, ""), nil
	}
	if kind, _ := params.Get("getType").Str(); kind != "content" {
		return refuse(alink.CodeConfigGetType, ""), nil
	}
	mode, err := p.store.DeviceSetting(p.ctx, d.id, logSwitch)
	return answer{code: alink.CodeSuccess, data: appendLogMode(nil, mode == "1")}, err
}

func appendLogMode(dst []byte, on bool) []byte {
	mode := byte('0')
	if on {
		mode = '1'
	}
	return append(append(append(dst, `{"getType":"content","content":{"mode":`...), mode), '}', '}')
}

func logLines(params devjson.Value) ([]store.LogLine, bool) {
	if params.Kind() != devjson.Array || params.Len() == 0 || params.Len() > maxLogPost {
		return nil, false
	}
	lines := make([]store.LogLine, params.Len())
	for i := range lines {
		item := params.Index(i)
		if item.Kind() != devjson.Object {
			return nil, false
		}
		lines[i] = store.LogLine{
			Source: "device", UTCTime: textOf(item.Get("utcTime")), Level: textOf(item.Get("logLevel")), Module: textOf(item.Get("module")),
			Code: textOf(item.Get("code")), Trace: textOf(item.Get("traceContext")), Content: textOf(item.Get("logContent")),
		}
	}
	return lines, true
}

// textOf is a string as it is and anything else as JSON.
func textOf(v devjson.Value) string {
	if s, ok := v.Str(); ok || !v.Exists() {
		return s
	}
	return string(v.AppendJSON(nil))
}

// LogLine is one line of a device's log. Source is "device" for what it reported
// itself and "server" for what the server found wrong with its messages.
type LogLine struct {
	ID      int64  `json:"id"`
	Time    int64  `json:"time"` // Unix milliseconds of its arrival
	Source  string `json:"source"`
	UTCTime string `json:"utcTime,omitempty"` // the device's own time
	Level   string `json:"level,omitempty"`
	Module  string `json:"module,omitempty"`
	Code    string `json:"code,omitempty"`
	Trace   string `json:"trace,omitempty"`
	Content string `json:"content"`
}

// DeviceLog returns the newest lines of a device's log with ids smaller than
// before (0: all), newest first.
func (p *Platform) DeviceLog(ctx context.Context, pk, dn string, before int64, limit int) ([]LogLine, error) {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	recs, err := p.store.DeviceLog(ctx, d.ID, before, limit)
	if err != nil {
		return nil, err
	}
	out := make([]LogLine, 0, len(recs))
	for _, l := range recs {
		out = append(out, LogLine{l.ID, l.At.UnixMilli(), l.Source, l.UTCTime, l.Level, l.Module, l.Code, l.Trace, l.Content})
	}
	return out, nil
}

// SwitchLog tells a device to report its log, or not to. One that is away learns
// it when it asks.
func (p *Platform) SwitchLog(ctx context.Context, who, pk, dn string, on bool) error {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return err
	}
	mode := "0"
	if on {
		mode = "1"
	}
	if err := p.store.PutDeviceSetting(ctx, d.ID, logSwitch, mode); err != nil {
		return err
	}
	p.audit(ctx, who, "device.log", pk+"/"+dn, "mode "+mode)
	if p.broker.Online(DeviceKey(pk, dn)) {
		p.notice("/sys/"+pk+"/"+dn+"/thing/config/log/push", appendPush(nil, p.calls.id(), appendLogMode(nil, on), ""))
	}
	return nil
}

// appendPush appends a request of the platform in the order of keys that pushes
// have (spec/services.md §4, §5); without a method if it is "".
func appendPush(dst []byte, id string, params []byte, method string) []byte {
	dst = devjson.AppendString(append(dst, `{"id":`...), id)
	dst = append(append(dst, `,"version":"1.0","params":`...), params...)
	if method != "" {
		dst = devjson.AppendString(append(dst, `,"method":`...), method)
	}
	return append(dst, '}')
}

// remarks keep the server's own lines in devices' logs from becoming a flood: one
// of a kind in ten seconds.
type remarks struct {
	mu   sync.Mutex
	last map[remarkKey]time.Time
}

type remarkKey struct {
	device int64
	kind   alink.TopicKind
	code   alink.Code
	door   string // that it came by, if the door turned it away
}

const (
	remarkEvery = 10 * time.Second
	maxRemarks  = 10_000
)

func (r *remarks) due(key remarkKey, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.last[key]; ok && now.Sub(last) < remarkEvery {
		return false
	}
	if r.last == nil || len(r.last) >= maxRemarks {
		r.last = make(map[remarkKey]time.Time)
	}
	r.last[key] = now
	return true
}

// remark writes into a device's log why a message of it was refused. It does not
// block.
func (p *Platform) remark(d *device, t alink.Topic, code alink.Code, message string) {
	if message == "" {
		message = code.Message()
	}
	p.note(d, remarkKey{device: d.id, kind: t.Kind, code: code}, t.Kind.String(), strconv.Itoa(int(code)), message)
}

// note is remark for lines of any module, of which key tells the kind.
func (p *Platform) note(d *device, key remarkKey, module, code, message string) {
	if !p.remarks.due(key, p.now()) {
		return
	}
	line := store.LogLine{Source: "server", Level: "WARN", Module: module, Code: code, Content: clip(message)}
	later(p.records, func() {
		if err := p.store.AddDeviceLog(p.ctx, d.id, []store.LogLine{line}); err != nil {
			p.logger.Debug("a line of a device's log could not be kept", "productKey", d.pk, "deviceName", d.dn, "error", err)
		}
	})
}
