package platform

import (
	"context"
	"errors"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

// maxTagsInMessage is how many tags one message may carry (spec/thing-model.md
// §12).
const maxTagsInMessage = 200

// tags takes updates and deletions of a device's tags. They are written on a
// worker, and the answer follows.
func (p *Platform) tags(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	if !w.read(t, x) {
		return true
	}
	params := w.request.Params
	if params.Kind() != devjson.Array || params.Len() == 0 || params.Len() > maxTagsInMessage {
		w.answer(t, x, alink.CodeParameter, nil, "")
		return true
	}
	remove := t.Kind == alink.DeviceInfoDelete
	var put []store.Tag
	var keys []string
	for i := range params.Len() {
		item := params.Index(i)
		key, ok := item.Get("attrKey").Str()
		if !ok || key == "" || len(key) > 128 {
			w.answer(t, x, alink.CodeParameter, nil, "")
			return true
		}
		key = string([]byte(key)) // outlives the message
		if remove {
			keys = append(keys, key)
			continue
		}
		value, ok := item.Get("attrValue").Str()
		if !ok {
			value = string(item.Get("attrValue").AppendJSON(nil))
		}
		domain, _ := item.Get("domain").Str()
		if domain != store.DomainSystem {
			domain = ""
		}
		put = append(put, store.Tag{Key: key, Value: string([]byte(value)), Domain: domain})
	}
	ack := w.request.Ack
	id := string([]byte(w.request.ID))
	queued := later(p.records, func() {
		var err error
		if remove {
			err = p.store.DeleteTags(p.ctx, d.id, keys)
		} else {
			err = p.store.PutTags(p.ctx, d.id, put)
		}
		code := alink.CodeSuccess
		switch {
		case errors.Is(err, store.ErrLimit), errors.Is(err, store.ErrInvalid):
			code, err = alink.CodeParameter, nil
		case errors.Is(err, store.ErrNotFound):
			code, err = alink.CodeDeviceNotFound, nil
		case err != nil:
			p.storeFailed(err)
		}
		if ack && err == nil {
			x.Reply([]byte(t.ReplyTopic()), alink.AppendReply(nil, code, nil, id, "", t.Method(), ""))
		}
		x.Done(err)
	})
	if !queued {
		w.answer(t, x, alink.CodeBusy, nil, "")
		return true
	}
	return false
}

// Tag is one key and value attached to a device.
type Tag struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Domain string `json:"domain,omitempty"` // SYSTEM: the device's software reported it
}

// Tags returns a device's tags.
func (p *Platform) Tags(ctx context.Context, pk, dn string) ([]Tag, error) {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	recs, err := p.store.Tags(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	out := make([]Tag, 0, len(recs))
	for _, r := range recs {
		out = append(out, Tag(r))
	}
	return out, nil
}
