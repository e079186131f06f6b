package simulate

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/tsl"
)

// Options say what a fleet is and does.
type Options struct {
	// Address is the server's MQTT address, host:port.
	Address string
	// TLS, if not nil, is what devices connect with.
	TLS *tls.Config
	// Devices are the triples, one device for each, all of the product that has
	// Model.
	Devices []alink.Triple
	Model   *tsl.Model
	// Gateways are gateways with their sub-devices, which post and are commanded as
	// Devices are: their product has Model too. A gateway itself posts nothing.
	Gateways []Gateway
	// Shapes are the shapes of properties by identifier; see [ParseShape].
	Shapes map[string]Shape
	// Properties are posted together, those of the model that can be read if
	// empty.
	Properties []string
	// Interval is the time between two property posts of a device, EventInterval
	// between two events; 0 for none.
	Interval, EventInterval time.Duration
	// QoS of posts, 0 or 1.
	QoS byte
	// Persistent keeps the session over connections (Clean Session 0).
	Persistent bool
	// LoginRate is how many devices log in a second at the beginning.
	LoginRate int
	// Churn is how long a device stays on average until it drops out, half of
	// them without a DISCONNECT, and Offline for how long; 0 for never. A sub-device
	// is logged out, half of them without awaiting the answers to what they posted.
	Churn, Offline time.Duration
	// GatewayChurn is Churn of the connections of gateways; their sub-devices go
	// with them.
	GatewayChurn time.Duration
	// KeepAlive is the keep-alive of the connections, at least 1 s.
	KeepAlive time.Duration
	// Timeout is how long the answer to anything is awaited.
	Timeout time.Duration
	// CommandRate is how many properties a second are set through Commander, on
	// one device each; 0 for none.
	CommandRate float64
	Commander   Commander
	// Seed makes values, drops and choices the same in each run.
	Seed uint64
}

// Commander sets properties of a device as a server application does, and
// returns the code of its reply.
type Commander interface {
	SetProperties(ctx context.Context, productKey, deviceName string, params json.RawMessage) (code int, err error)
}

// posted finds the properties to post.
func (o *Options) posted() ([]*tsl.Property, error) {
	var out []*tsl.Property
	for _, id := range o.Properties {
		p, ok := o.Model.Property(id)
		if !ok {
			return nil, fmt.Errorf("the thing model has no property %q", id)
		}
		out = append(out, p)
	}
	if len(o.Properties) == 0 {
		for _, p := range o.Model.Properties() {
			if p.AccessMode != tsl.WriteOnly && len(out) < tsl.MaxPost {
				out = append(out, p)
			}
		}
	}
	if len(out) == 0 && o.Interval > 0 {
		return nil, errors.New("the thing model has no property to post")
	}
	for id := range o.Shapes {
		p, ok := o.Model.Property(id)
		switch {
		case !ok:
			return nil, fmt.Errorf("there is a shape for %q, which the thing model does not have", id)
		case p.Type.Kind > tsl.Bool:
			return nil, fmt.Errorf("there is a shape for %s, which is of type %s: only numbers have one", id, p.Type.Kind)
		}
	}
	return out, nil
}

func (o *Options) check() error {
	switch {
	case len(o.Devices)+len(o.Gateways) == 0:
		return errors.New("a fleet needs at least one device or gateway")
	case o.QoS > 1:
		return errors.New("posts have QoS 0 or 1: devices of this protocol know no other")
	case o.KeepAlive < time.Second || o.KeepAlive > 65535*time.Second:
		return fmt.Errorf("the keep-alive %v is not between 1s and 65535s", o.KeepAlive)
	case o.Timeout <= 0 || o.LoginRate <= 0:
		return errors.New("the time-out and the login rate have to be above 0")
	case o.Interval < 0 || o.EventInterval < 0 || o.Churn < 0 || o.GatewayChurn < 0 || o.Offline < 0 || o.CommandRate < 0:
		return errors.New("times and rates cannot be negative")
	case o.CommandRate > 0 && o.Commander == nil:
		return errors.New("commands need the management API of the server")
	case o.EventInterval > 0 && len(o.Model.Events()) == 0:
		return errors.New("the thing model has no events")
	}
	return nil
}
