package config

import (
	"reflect"
	"slices"
	"strings"
)

// live are the keys whose values a running server takes over without a restart.
// Whatever is not here needs one, and a reload says so.
var live = []string{
	"drain_timeout", "drain_server", "drain_moved",
	"tls.cert", "tls.key", "tls.hosts", "tls.min_version",
	"log.level",
	"limits.connections", "limits.opening", "limits.opening_timeout", "limits.opening_bytes",
	"limits.packet", "limits.queued", "limits.queued_bytes", "limits.message_expiry", "limits.session_expiry",
	"device.strict", "device.packet", "device.subscriptions", "device.queued", "device.call_timeout", "device.sub_devices", "device.sub_logins", "device.shadow_rate", "device.broadcast_every", "device.pace", "device.settle",
	"history.retention", "auth.scram", "files.upload_bytes", "files.upload_device_bytes",
	"observe.sys_interval", "observe.metrics_token_file",
}

// Live reports whether a running server takes a new value of the key over.
func Live(key string) bool { return slices.Contains(live, key) }

// Change is a key with a new value.
type Change struct {
	Key string `json:"key"`
	Old any    `json:"old"`
	New any    `json:"new"`
	// Live: the new value is in use. Otherwise the server uses the old one until it
	// is started again.
	Live bool `json:"live"`
}

// Adopt compares c, which is in use, with next. It returns the configuration to
// use from now on (that of c with the values of next that can be taken over live)
// and every key that differs, in order.
func (c *Config) Adopt(next *Config) (merged Config, changes []Change) {
	merged = *c
	was, will := c.flat(), next.flat()
	from := next.fields()
	for key, to := range merged.fields() {
		if reflect.DeepEqual(was[key], will[key]) {
			continue
		}
		if Live(key) {
			to.Set(from[key])
		}
		changes = append(changes, Change{Key: key, Old: was[key], New: will[key], Live: Live(key)})
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Key, b.Key) })
	return merged, changes
}

// fields gives the fields by key.
func (c *Config) fields() map[string]reflect.Value {
	out := map[string]reflect.Value{}
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			key, f := prefix+v.Type().Field(i).Tag.Get("toml"), v.Field(i)
			if f.Kind() == reflect.Struct {
				walk(key+".", f)
				continue
			}
			out[key] = f
		}
	}
	walk("", reflect.ValueOf(c).Elem())
	return out
}
