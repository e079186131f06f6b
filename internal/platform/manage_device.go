package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/internal/topics"
)

// Device is one device as it is managed. Times are Unix milliseconds, 0 if never.
type Device struct {
	ProductKey    string `json:"productKey"`
	DeviceName    string `json:"deviceName"`
	IotID         string `json:"iotId"`
	Nickname      string `json:"nickname"`
	Enabled       bool   `json:"enabled"`
	Online        bool   `json:"online"`
	CreatedAt     int64  `json:"createdAt"`
	ActivatedAt   int64  `json:"activatedAt"`
	LastOnlineAt  int64  `json:"lastOnlineAt"`
	LastOfflineAt int64  `json:"lastOfflineAt"`
	LastAddr      string `json:"lastAddr"`
	// DeviceSecret is set on the result of CreateDevice only.
	DeviceSecret string `json:"deviceSecret,omitempty"`
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func (p *Platform) deviceView(r store.Device) Device {
	return Device{
		ProductKey: r.ProductKey, DeviceName: r.Name, IotID: r.IotID, Nickname: r.Nickname, Enabled: r.Enabled,
		Online: p.broker.Online(DeviceKey(r.ProductKey, r.Name)), CreatedAt: millis(r.CreatedAt), ActivatedAt: millis(r.ActivatedAt),
		LastOnlineAt: millis(r.LastOnlineAt), LastOfflineAt: millis(r.LastOfflineAt), LastAddr: r.LastAddr,
	}
}

// NewDevice describes a device to be created or taken over. Name and secret are
// made up if empty.
type NewDevice struct {
	ProductKey   string `json:"productKey"`
	DeviceName   string `json:"deviceName"`
	DeviceSecret string `json:"deviceSecret,omitempty"`
	Nickname     string `json:"nickname,omitempty"`
}

// CreateDevice registers a device. The result carries its secret, this once.
func (p *Platform) CreateDevice(ctx context.Context, who string, in NewDevice) (Device, error) {
	r, err := p.store.CreateDevice(ctx, store.NewDevice{ProductKey: in.ProductKey, Name: in.DeviceName, Secret: store.Secret(in.DeviceSecret), Nickname: in.Nickname})
	if err != nil {
		return Device{}, err
	}
	p.changed(r.Device.ProductKey, r.Device.Name)
	p.audit(ctx, who, "device.create", r.Device.ProductKey+"/"+r.Device.Name, "")
	d := p.deviceView(r.Device)
	d.DeviceSecret = r.Secret.Reveal()
	return d, nil
}

// Imported is the outcome of one row of ImportDevices.
type Imported struct {
	ProductKey string `json:"productKey"`
	DeviceName string `json:"deviceName"`
	Error      string `json:"error,omitempty"`
}

// ImportDevices registers up to 10,000 devices with the secrets they have, and
// reports on each.
func (p *Platform) ImportDevices(ctx context.Context, who string, in []NewDevice) ([]Imported, error) {
	rows := make([]store.NewDevice, len(in))
	for i, d := range in {
		rows[i] = store.NewDevice{ProductKey: d.ProductKey, Name: d.DeviceName, Secret: store.Secret(d.DeviceSecret), Nickname: d.Nickname}
	}
	res, err := p.store.CreateDevices(ctx, rows)
	if err != nil {
		return nil, err
	}
	out := make([]Imported, len(res))
	good := 0
	for i, r := range res {
		out[i] = Imported{ProductKey: in[i].ProductKey, DeviceName: in[i].DeviceName}
		if r.Err != nil {
			out[i].Error = r.Err.Error()
			continue
		}
		out[i].DeviceName = r.Device.Name
		p.changed(r.Device.ProductKey, r.Device.Name)
		good++
	}
	p.audit(ctx, who, "device.import", "", fmt.Sprintf("%d of %d devices", good, len(in)))
	return out, nil
}

// Device returns one device.
func (p *Platform) Device(ctx context.Context, pk, dn string) (Device, error) {
	r, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return Device{}, err
	}
	return p.deviceView(r), nil
}

// Devices returns a product's devices whose names begin with prefix, behind name
// after, at most limit (100 if 0).
func (p *Platform) Devices(ctx context.Context, pk, after, prefix string, limit int) ([]Device, error) {
	recs, err := p.store.Devices(ctx, store.DeviceQuery{ProductKey: pk, After: after, Prefix: prefix, Limit: limit})
	if err != nil {
		return nil, err
	}
	out := make([]Device, 0, len(recs))
	for _, r := range recs {
		out = append(out, p.deviceView(r))
	}
	return out, nil
}

// CountDevices counts a product's devices, or all if pk is empty.
func (p *Platform) CountDevices(ctx context.Context, pk string) (total, activated int64, err error) {
	c, err := p.store.CountDevices(ctx, pk)
	return c.Total, c.Activated, err
}

// SetEnabled allows or forbids a device to log in; a disabled one is disconnected.
func (p *Platform) SetEnabled(ctx context.Context, who, pk, dn string, enabled bool) error {
	dev, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return err
	}
	if err := p.store.SetEnabled(ctx, pk, dn, enabled); err != nil {
		return err
	}
	p.changed(pk, dn)
	action, kind, status := "device.enable", alink.ThingEnable, 2
	if !enabled {
		action, kind, status = "device.disable", alink.ThingDisable, 8
	}
	if dev.Enabled != enabled {
		p.noticeSub(p.gatewayKeyOf(ctx, dev.ID), kind, status, pk, dn)
	}
	if !enabled {
		p.endSub(DeviceKey(pk, dn), alink.CodeDeviceForbidden)
		p.broker.Disconnect(DeviceKey(pk, dn))
	}
	p.audit(ctx, who, action, pk+"/"+dn, "")
	return nil
}

// DeleteDevice removes a device with its data; its connection is closed.
func (p *Platform) DeleteDevice(ctx context.Context, who, pk, dn string) error {
	dev, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return err
	}
	gateway := p.gatewayKeyOf(ctx, dev.ID)
	if err := p.store.DeleteDevice(ctx, pk, dn); err != nil {
		return err
	}
	p.changed(pk, dn)
	p.noticeSub(gateway, alink.ThingDelete, 1, pk, dn)
	p.endSub(DeviceKey(pk, dn), alink.CodeDeviceDeleted)
	p.broker.Forget(DeviceKey(pk, dn))
	p.audit(ctx, who, "device.delete", pk+"/"+dn, "")
	return nil
}

// ResetDevice lets a device that has been online register once more: it counts as
// never activated, and its tokens are void. Its connection is closed.
func (p *Platform) ResetDevice(ctx context.Context, who, pk, dn string) error {
	p.broker.Disconnect(DeviceKey(pk, dn))
	p.endSub(DeviceKey(pk, dn), alink.CodeNoSession)
	if err := p.store.ResetDevice(ctx, pk, dn); err != nil {
		return err
	}
	p.broker.ForgetUnits(DeviceKey(pk, dn))
	p.changed(pk, dn)
	p.audit(ctx, who, "device.reset", pk+"/"+dn, "")
	return nil
}

// RevealSecret shows a DeviceSecret to who; why is written to the audit log.
func (p *Platform) RevealSecret(ctx context.Context, who, pk, dn, why string) (string, error) {
	return p.store.RevealSecret(ctx, pk, dn, who, why)
}

// Value is a stored value with its time in Unix milliseconds.
type Value struct {
	Identifier string          `json:"identifier,omitempty"`
	Time       int64           `json:"time"`
	Value      json.RawMessage `json:"value"`
}

// LatestProperties returns the present values of a device's properties.
func (p *Platform) LatestProperties(ctx context.Context, pk, dn string) ([]Value, error) {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	recs, err := p.store.Latest(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	out := make([]Value, 0, len(recs))
	for _, r := range recs {
		out = append(out, Value{r.Identifier, r.TimeMS, r.Value.AppendJSON(nil)})
	}
	return out, nil
}

// HistoryQuery selects stored values. From and To are Unix milliseconds, both
// included; To 0 is now.
type HistoryQuery struct {
	From, To   int64
	Limit      int
	Descending bool
}

// PropertyHistory returns the stored values of a property.
func (p *Platform) PropertyHistory(ctx context.Context, pk, dn, id string, q HistoryQuery) ([]Value, error) {
	return p.history(ctx, pk, dn, store.Property, id, q)
}

// EventHistory returns the stored outputs of an event.
func (p *Platform) EventHistory(ctx context.Context, pk, dn, id string, q HistoryQuery) ([]Value, error) {
	return p.history(ctx, pk, dn, store.Event, id, q)
}

// ServiceHistory returns the answered calls of a service: id, code, input and
// output of each.
func (p *Platform) ServiceHistory(ctx context.Context, pk, dn, id string, q HistoryQuery) ([]Value, error) {
	return p.history(ctx, pk, dn, store.Service, id, q)
}

func (p *Platform) history(ctx context.Context, pk, dn string, kind store.Kind, id string, q HistoryQuery) ([]Value, error) {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	recs, err := p.store.Range(ctx, store.SeriesKey{DeviceID: d.ID, Kind: kind, Identifier: id},
		store.RangeQuery{From: q.From, To: q.To, Limit: q.Limit, Descending: q.Descending})
	if err != nil {
		return nil, err
	}
	out := make([]Value, 0, len(recs))
	for _, r := range recs {
		out = append(out, Value{Time: r.TimeMS, Value: r.Value.AppendJSON(nil)})
	}
	return out, nil
}

// ChartQuery selects stored values and how they are summed up. From and To are
// Unix milliseconds, both included; To 0 is now.
type ChartQuery struct {
	From, To int64
	EveryMS  int64 // the span of a bucket, at least 1
	Limit    int   // of buckets
}

// Bucket sums up the values of one span of time. Min, Max and Avg are of the
// numbers among them and absent without one.
type Bucket struct {
	Time  int64           `json:"time"` // Unix milliseconds, where the span begins
	Count int             `json:"count"`
	Min   *float64        `json:"min,omitempty"`
	Max   *float64        `json:"max,omitempty"`
	Avg   *float64        `json:"avg,omitempty"`
	First json.RawMessage `json:"first"`
	Last  json.RawMessage `json:"last"`
}

// PropertyChart returns the stored values of a property summed up by spans of
// time, oldest first; spans without a value are left out.
func (p *Platform) PropertyChart(ctx context.Context, pk, dn, id string, q ChartQuery) ([]Bucket, error) {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	sums, err := p.store.Buckets(ctx, store.SeriesKey{DeviceID: d.ID, Kind: store.Property, Identifier: id},
		store.BucketQuery{From: q.From, To: q.To, EveryMS: q.EveryMS, Limit: q.Limit})
	if err != nil {
		return nil, err
	}
	out := make([]Bucket, len(sums))
	for i := range sums {
		b := &sums[i]
		out[i] = Bucket{Time: b.FromMS, Count: b.Count, First: b.First.Value.AppendJSON(nil), Last: b.Last.Value.AppendJSON(nil)}
		if b.Numbers > 0 {
			out[i].Min, out[i].Max, out[i].Avg = &b.Min, &b.Max, &b.Avg
		}
	}
	return out, nil
}

// AuditLog returns the latest actions, newest first, older than id before (0 for
// all).
func (p *Platform) AuditLog(ctx context.Context, before int64, limit int) ([]store.AuditEntry, error) {
	return p.store.AuditLog(ctx, store.AuditQuery{Before: before, Limit: limit})
}

// ParseDevice splits "productKey/deviceName".
func ParseDevice(s string) (pk, dn string, err error) {
	pk, dn, ok := strings.Cut(s, "/")
	if !ok || !alink.ValidProductKey(pk) || dn == "" {
		return "", "", &Error{Kind: KindInvalid, Message: fmt.Sprintf("%q does not name a device", clip(s)), Hint: "write ProductKey/DeviceName"}
	}
	return pk, dn, nil
}

func validTopic(topic string) error {
	if err := topics.ValidTopic(topic); err != nil {
		return &Error{Kind: KindInvalid, Message: err.Error()}
	}
	if strings.HasPrefix(topic, "$") {
		return &Error{Kind: KindInvalid, Message: "topics that begin with $ belong to the server"}
	}
	return nil
}
