package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/store"
)

// ModelConfigPushed is a configuration that a gateway was told of.
type ModelConfigPushed struct {
	SHA256 string `json:"sha256"`
	Bytes  int    `json:"bytes"`
	URL    string `json:"url"` // where the gateway fetches it, for 24 hours
}

// PushModelConfig tells a gateway that is online to fetch the configuration of its
// channels (Modbus, OPC UA), a JSON document (spec/gateway.md §10). What is in it is
// the application's business. No answer of the gateway is known to exist.
func (p *Platform) PushModelConfig(ctx context.Context, who, pk, dn string, content []byte) (ModelConfigPushed, error) {
	dev, err := p.gatewayRecord(ctx, pk, dn)
	if err != nil {
		return ModelConfigPushed{}, err
	}
	if !json.Valid(content) {
		return ModelConfigPushed{}, &Error{Kind: KindInvalid, Message: "the configuration of channels is not JSON"}
	}
	d := &device{id: dev.ID, pk: pk, dn: dn, key: DeviceKey(pk, dn)}
	if !p.broker.Online(d.key) {
		return ModelConfigPushed{}, &Error{Kind: KindOffline, Code: alink.CodeOffline, Message: "gateway " + pk + "/" + dn + " is offline", Hint: "push it when it is online: it is not told later"}
	}
	if err := p.auditFirst(ctx, who, "gateway.configure", pk+"/"+dn, fmt.Sprint(len(content), " bytes")); err != nil {
		return ModelConfigPushed{}, err
	}
	sum, err := p.store.PutModelConfig(ctx, dev.ID, content)
	if err != nil {
		return ModelConfigPushed{}, err
	}
	url, err := p.fileURL(d, modelConfigPath(dev.ID, sum))
	if err != nil {
		return ModelConfigPushed{}, &Error{Kind: KindConflict, Message: err.Error()}
	}
	b := append(append([]byte(`{"id":`), p.calls.id()...), `,"version":"1.0","method":"thing.model.config.push","data":{"digest":"`...)
	b = append(append(b, sum...), `","digestMethod":"sha256","url":`...)
	b = append(devjson.AppendString(b, url), "}}"...)
	return ModelConfigPushed{sum, len(content), url}, p.publish(ctx, alink.SysTopic(pk, dn, "thing/model/config/push"), b)
}

func modelConfigPath(deviceID int64, sum string) string {
	return "/files/model/" + strconv.FormatInt(deviceID, 10) + "/" + sum[:16]
}

// modelConfig is the document at the rest of such a path, as it is now.
func (p *Platform) modelConfig(ctx context.Context, device, sum string) ([]byte, error) {
	id, err := strconv.ParseInt(device, 10, 64)
	if err != nil {
		return nil, store.ErrNotFound
	}
	content, have, err := p.store.ModelConfig(ctx, id)
	if err == nil && have[:16] != sum {
		err = store.ErrNotFound
	}
	return content, err
}
