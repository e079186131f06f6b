package platform

import (
	"errors"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

// answer is what a service replies to a request: a code, the data as raw JSON ({}
// if nil) and a text for the device's owner ("" for the code's own).
type answer struct {
	code    alink.Code
	data    []byte
	message string
}

var success = answer{code: alink.CodeSuccess}

// refuse is an answer with no data.
func refuse(code alink.Code, message string) answer { return answer{code: code, message: message} }

// later answers the request in w on a worker of the queue jobs, where serve may
// read and write the store. An error of serve is a failure of the store that the
// message must not be acknowledged for; what is wrong with the request is an
// answer. The parameters that serve gets are its own.
func (p *Platform) later(jobs chan func(), w *worker, d *device, t alink.Topic, x *broker.Exchange, serve func(params devjson.Value) (answer, error)) (done bool) {
	var raw []byte
	if w.request.Params.Exists() {
		raw = w.request.Params.AppendJSON(nil)
	}
	id, ack := string([]byte(w.request.ID)), w.request.Ack
	queued := later(jobs, func() {
		var params devjson.Value
		if raw != nil {
			var parser devjson.Parser
			params, _ = parser.ParseStrict(raw)
		}
		a, err := serve(params)
		if err != nil {
			a, err = p.classify(err)
		}
		if a.code != alink.CodeSuccess && err == nil {
			p.remark(d, t, a.code, a.message)
		}
		if ack && err == nil {
			topic, out := []byte(t.ReplyTopic()), alink.AppendReply(nil, a.code, a.data, id, a.message, t.Method(), "")
			if d.raw && later(p.scripts.of(d), func() { p.reply(d, x, topic, out); x.Done(nil) }) {
				return
			}
			if !d.raw {
				x.Reply(topic, out)
			}
		}
		x.Done(err)
	})
	if !queued {
		w.answer(t, x, alink.CodeBusy, nil, "")
		return true
	}
	return false
}

// classify turns an error of the store into an answer, or into one that keeps the
// message from being acknowledged.
func (p *Platform) classify(err error) (answer, error) {
	switch {
	case errors.Is(err, store.ErrLimit), errors.Is(err, store.ErrInvalid):
		return refuse(alink.CodeParameter, ""), nil
	case errors.Is(err, store.ErrNotFound):
		return refuse(alink.CodeDeviceNotFound, ""), nil
	}
	p.storeFailed(err)
	return answer{}, err
}

// notice publishes a message of the platform to a device's topic.
func (p *Platform) notice(topic string, payload []byte) {
	p.broker.Publish(broker.Message{Topic: topic, Payload: payload, Publisher: "platform"}, nil)
}
