package platform

import (
	"context"

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
		p.remark(d, t, alink.CodeParameter, "params should be an array of 1 to 200 tags")
		w.answer(t, x, alink.CodeParameter, nil, "")
		return true
	}
	return p.later(p.records, w, d, t, x, func(params devjson.Value) (answer, error) {
		if t.Kind == alink.DeviceInfoDelete {
			return p.tagsDelete(d, params)
		}
		return p.tagsUpdate(d, params)
	})
}

func (p *Platform) tagsUpdate(d *device, params devjson.Value) (answer, error) {
	put, ok := tagsIn(params)
	if !ok {
		return refuse(alink.CodeParameter, ""), nil
	}
	return success, p.store.PutTags(p.ctx, d.id, put)
}

// maxTagKey is the longest name of a tag in bytes.
const maxTagKey = 128

// tagsIn reads the tags of an update.
func tagsIn(params devjson.Value) (put []store.Tag, ok bool) {
	for i := range params.Len() {
		item := params.Index(i)
		key, ok := item.Get("attrKey").Str()
		if !ok || key == "" || len(key) > maxTagKey {
			return nil, false
		}
		value, ok := item.Get("attrValue").Str()
		if !ok {
			value = string(item.Get("attrValue").AppendJSON(nil))
		}
		domain, _ := item.Get("domain").Str()
		if domain != store.DomainSystem {
			domain = ""
		}
		put = append(put, store.Tag{Key: key, Value: value, Domain: domain})
	}
	return put, true
}

func (p *Platform) tagsDelete(d *device, params devjson.Value) (answer, error) {
	keys, ok := tagKeysIn(params)
	if !ok {
		return refuse(alink.CodeParameter, ""), nil
	}
	return success, p.store.DeleteTags(p.ctx, d.id, keys)
}

// tagKeysIn reads the names of a deletion.
func tagKeysIn(params devjson.Value) (keys []string, ok bool) {
	for i := range params.Len() {
		key, ok := params.Index(i).Get("attrKey").Str()
		if !ok || key == "" || len(key) > maxTagKey {
			return nil, false
		}
		keys = append(keys, key)
	}
	return keys, true
}

// tagsGet answers with the tags that are named, or with all if none is; tags that
// the device's software keeps for itself only if they are named.
func (p *Platform) tagsGet(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	if !w.read(t, x) {
		return true
	}
	return p.later(p.records, w, d, t, x, func(params devjson.Value) (answer, error) {
		asked, ok := tagsAsked(params)
		if !ok {
			return refuse(alink.CodeParameter, ""), nil
		}
		all, err := p.store.Tags(p.ctx, d.id)
		if err != nil {
			return answer{}, err
		}
		b := []byte{'['}
		for _, tag := range all {
			if !asked[tag.Key] && (len(asked) > 0 || tag.Domain != "") {
				continue
			}
			if len(b) > 1 {
				b = append(b, ',')
			}
			b = devjson.AppendString(append(b, `{"attrKey":`...), tag.Key)
			b = devjson.AppendString(append(b, `,"attrValue":`...), tag.Value)
			b = append(b, '}')
		}
		return answer{code: alink.CodeSuccess, data: append(b, ']')}, nil
	})
}

// tagsAsked reads the names of a question, none for all tags.
func tagsAsked(params devjson.Value) (asked map[string]bool, ok bool) {
	asked = map[string]bool{}
	switch {
	case params.Kind() == devjson.Array && params.Len() <= maxTagsInMessage:
		for i := range params.Len() {
			key, ok := params.Index(i).Str()
			if !ok {
				if key, ok = params.Index(i).Get("attrKey").Str(); !ok {
					return nil, false
				}
			}
			asked[key] = true
		}
	case params.Len() > 0, params.Kind() == devjson.Array:
		return nil, false
	}
	return asked, true
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
