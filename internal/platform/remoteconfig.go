package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

// remoteConfig answers a device that asks for its product's configuration file
// (spec/services.md §4).
func (p *Platform) remoteConfig(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	if !w.read(t, x) {
		return true
	}
	return p.later(p.records, w, d, t, x, func(params devjson.Value) (answer, error) {
		scope, _ := params.Get("configScope").Str()
		kind, _ := params.Get("getType").Str()
		if params.Kind() != devjson.Object || scope != "product" || kind != "file" {
			return refuse(alink.CodeParameter, ""), nil
		}
		c, err := p.store.RemoteConfig(p.ctx, d.pk)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return refuse(alink.CodeNoConfig, ""), nil
		case err != nil:
			return answer{}, err
		case !c.Enabled:
			return refuse(alink.CodeConfigOff, ""), nil
		}
		data, err := p.appendConfig(nil, d, c)
		if err != nil {
			p.remark(d, t, alink.CodeConfigOff, err.Error())
			return refuse(alink.CodeConfigOff, ""), nil
		}
		return answer{code: alink.CodeSuccess, data: data}, nil
	})
}

func (p *Platform) appendConfig(dst []byte, d *device, c store.RemoteConfig) ([]byte, error) {
	url, err := p.fileURL(d, "/files/config/"+d.pk+"/"+c.ConfigID)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(dst, `{"configId":"%s","configSize":%d,"sign":"%s","signMethod":"Sha256","url":"%s","getType":"file"}`,
		c.ConfigID, len(c.Content), c.SHA256, url), nil
}

// RemoteConfig is the configuration file of a product.
type RemoteConfig struct {
	ConfigID  string          `json:"configId"`
	Content   json.RawMessage `json:"content"`
	SHA256    string          `json:"sha256"`
	Enabled   bool            `json:"enabled"`
	ChangedAt int64           `json:"changedAt"` // Unix milliseconds
}

// PutRemoteConfig makes a JSON document of at most 64 KB the configuration file of
// a product and switches the service on. Devices learn of it when they ask, or by
// PushRemoteConfig.
func (p *Platform) PutRemoteConfig(ctx context.Context, who, pk string, content []byte) (RemoteConfig, error) {
	if !json.Valid(content) {
		return RemoteConfig{}, &Error{Kind: KindInvalid, Code: alink.CodeParameter, Message: "the configuration file is not JSON"}
	}
	c, err := p.store.PutRemoteConfig(ctx, pk, content)
	if err != nil {
		return RemoteConfig{}, err
	}
	p.audit(ctx, who, "config.put", pk, c.ConfigID)
	return RemoteConfig{c.ConfigID, c.Content, c.SHA256, c.Enabled, c.ChangedAt.UnixMilli()}, nil
}

// RemoteConfigOf returns the configuration file of a product.
func (p *Platform) RemoteConfigOf(ctx context.Context, pk string) (RemoteConfig, error) {
	c, err := p.store.RemoteConfig(ctx, pk)
	if err != nil {
		return RemoteConfig{}, err
	}
	return RemoteConfig{c.ConfigID, c.Content, c.SHA256, c.Enabled, c.ChangedAt.UnixMilli()}, nil
}

// EnableRemoteConfig switches remote configuration of a product on or off.
func (p *Platform) EnableRemoteConfig(ctx context.Context, who, pk string, on bool) error {
	if err := p.store.EnableRemoteConfig(ctx, pk, on); err != nil {
		return err
	}
	p.audit(ctx, who, "config.switch", pk, fmt.Sprint(on))
	return nil
}

// PushRemoteConfig tells a device of its product's configuration file, or all that
// are online if dn is "". It returns to how many it was sent.
func (p *Platform) PushRemoteConfig(ctx context.Context, who, pk, dn string) (int, error) {
	c, err := p.store.RemoteConfig(ctx, pk)
	if err != nil {
		return 0, err
	}
	if !c.Enabled {
		return 0, &Error{Kind: KindConflict, Code: alink.CodeConfigOff, Message: "remote configuration of product " + pk + " is off", Hint: "switch it on first"}
	}
	names := []string{dn}
	if dn == "" {
		names = p.onlineOf(pk)
	} else if _, err := p.store.Device(ctx, pk, dn); err != nil {
		return 0, err
	} else if !p.broker.Online(DeviceKey(pk, dn)) {
		return 0, &Error{Kind: KindOffline, Code: alink.CodeOffline, Message: "device " + pk + "/" + dn + " is offline", Hint: "it gets the file when it asks"}
	}
	if err := p.auditFirst(ctx, who, "config.push", pk+"/"+dn, c.ConfigID); err != nil {
		return 0, err
	}
	for _, name := range names {
		params, err := p.appendConfig(nil, &device{pk: pk, dn: name, key: DeviceKey(pk, name)}, c)
		if err != nil {
			return 0, &Error{Kind: KindConflict, Code: alink.CodeConfigOff, Message: err.Error()}
		}
		p.notice(alink.SysTopic(pk, name, "thing/config/push"), appendPush(nil, p.calls.id(), params, "thing.config.push"))
	}
	return len(names), nil
}
