package platform

import (
	"strconv"

	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
)

// ntp answers a device's question for the time (spec/services.md §6). What it
// sends as deviceSendTime comes back as it was, and the server's times are of the
// same JSON type.
func (p *Platform) ntp(w *worker, d *device, x *broker.Exchange) (done bool) {
	var parser devjson.Parser
	v, err := parser.Parse(x.Payload)
	sent := v.Get("deviceSendTime")
	number := err == nil && sent.Kind() == devjson.Number
	w.data = append(w.data[:0], `{"deviceSendTime":`...)
	if err == nil && sent.Exists() {
		w.data = sent.AppendJSON(w.data)
	} else {
		w.data = append(w.data, `"0"`...)
	}
	w.data = appendTime(append(w.data, `,"serverSendTime":`...), p.now().UnixMilli(), number)
	w.data = appendTime(append(w.data, `,"serverRecvTime":`...), x.Time.UnixMilli(), number)
	w.data = append(w.data, '}')
	w.topic = append(w.topic[:0], "/ext/ntp/"...)
	w.topic = append(append(append(w.topic, d.pk...), '/'), d.dn...)
	w.topic = append(w.topic, "/response"...)
	x.Reply(w.topic, w.data)
	return true
}

func appendTime(dst []byte, ms int64, number bool) []byte {
	if number {
		return strconv.AppendInt(dst, ms, 10)
	}
	return append(strconv.AppendInt(append(dst, '"'), ms, 10), '"')
}
