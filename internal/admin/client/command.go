package client

import (
	"context"
	"strconv"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/platform"
)

type values struct {
	Values []platform.Value `json:"values"`
}

// LatestProperties returns what a device reported last.
func (c *Client) LatestProperties(ctx context.Context, pk, dn string) ([]platform.Value, error) {
	var out values
	err := c.call(ctx, "GET", path("devices", pk, dn, "properties"), nil, &out)
	return out.Values, err
}

// PropertyHistory returns the stored values of a property.
func (c *Client) PropertyHistory(ctx context.Context, pk, dn, id string, q platform.HistoryQuery) ([]platform.Value, error) {
	return c.history(ctx, pk, dn, "properties", id, q)
}

// EventHistory returns the stored outputs of an event.
func (c *Client) EventHistory(ctx context.Context, pk, dn, id string, q platform.HistoryQuery) ([]platform.Value, error) {
	return c.history(ctx, pk, dn, "events", id, q)
}

func (c *Client) history(ctx context.Context, pk, dn, kind, id string, q platform.HistoryQuery) ([]platform.Value, error) {
	order := ""
	if q.Descending {
		order = "desc"
	}
	ms := func(n int64) string {
		if n <= 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	var out values
	err := c.call(ctx, "GET", query(path("devices", pk, dn, kind, id, "history"),
		"from", ms(q.From), "to", ms(q.To), "limit", positive(q.Limit), "order", order), nil, &out)
	return out.Values, err
}

// PropertyChart returns the values of a property summed up by spans of time.
func (c *Client) PropertyChart(ctx context.Context, pk, dn, id string, q platform.ChartQuery) ([]platform.Bucket, error) {
	number := func(n int64) string {
		if n <= 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	var out struct {
		Buckets []platform.Bucket `json:"buckets"`
	}
	err := c.call(ctx, "GET", query(path("devices", pk, dn, "properties", id, "chart"),
		"every", number(q.EveryMS), "from", number(q.From), "to", number(q.To), "limit", positive(q.Limit)), nil, &out)
	return out.Buckets, err
}

// SetProperties tells a device to change properties.
func (c *Client) SetProperties(ctx context.Context, pk, dn string, in admin.SetRequest) (out platform.CallResult, err error) {
	err = c.call(ctx, "POST", path("devices", pk, dn, "properties", "set"), in, &out)
	return out, err
}

// GetProperties asks a device itself for properties and waits for its reply.
func (c *Client) GetProperties(ctx context.Context, pk, dn string, in admin.GetRequest) (out platform.CallResult, err error) {
	err = c.call(ctx, "POST", path("devices", pk, dn, "properties", "get"), in, &out)
	return out, err
}

// CallService calls a service of a device.
func (c *Client) CallService(ctx context.Context, pk, dn, service string, in admin.ServiceRequest) (out platform.CallResult, err error) {
	err = c.call(ctx, "POST", path("devices", pk, dn, "services", service, "call"), in, &out)
	return out, err
}

// Publish publishes a message.
func (c *Client) Publish(ctx context.Context, in admin.PublishRequest) error {
	return c.call(ctx, "POST", path("publish"), in, nil)
}
