package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
)

// doorFlags choose a door other than MQTT.
type doorFlags struct {
	http, coap, dtls bool
	seq              string
}

func (d *doorFlags) add(f *pflag.FlagSet) {
	f.BoolVar(&d.http, "http", false, "for the HTTPS door: the body of POST /auth")
	f.BoolVar(&d.coap, "coap", false, "for the CoAP door: the body of POST /auth")
	f.BoolVar(&d.dtls, "dtls", false, "for CoAP over DTLS: the body of POST /auth, and the pre-shared key")
	f.StringVar(&d.seq, "seq", "1", "with --coap, the number that is signed, any")
}

// doorResult is what sign prints for another door than MQTT.
type doorResult struct {
	Body     string `json:"body"`    // of POST /auth
	Content  string `json:"content"` // text under the HMAC
	Method   string `json:"method"`
	Identity string `json:"pskIdentity,omitempty"`
	Key      string `json:"psk,omitempty"`
}

// chosen reports whether a door is asked for; more than one is an error.
func (d *doorFlags) chosen() (bool, error) {
	n := 0
	for _, b := range []bool{d.http, d.coap, d.dtls} {
		if b {
			n++
		}
	}
	if n > 1 {
		return false, usageError("--http, --coap and --dtls exclude each other")
	}
	if d.coap && (d.seq == "" || strings.Trim(d.seq, "0123456789") != "" || len(d.seq) > 18) {
		return false, usageError("--seq %q is not a decimal number", d.seq)
	}
	return n == 1, nil
}

// sign computes the body of /auth. o is that of a login over MQTT.
func (d *doorFlags) sign(t alink.Triple, o alink.LoginOptions) doorResult {
	r := doorResult{Method: o.Method.String()}
	withTime := o.Timestamp != ""
	if d.coap {
		r.Content = alink.CoAPAuthContent(o.Prefix, t.DeviceName, t.ProductKey, d.seq)
		if withTime {
			r.Content += "timestamp" + o.Timestamp
		}
	} else {
		r.Content = alink.SignContent(o.Prefix, t.DeviceName, t.ProductKey, o.Timestamp, withTime)
	}
	sign := alink.Sign(o.Method, t.DeviceSecret, r.Content)
	if o.UpperCase {
		sign = strings.ToUpper(sign)
	}
	b := []byte{'{'}
	add := func(key, value string) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = devjson.AppendString(append(devjson.AppendString(b, key), ':'), value)
	}
	add("productKey", t.ProductKey)
	add("deviceName", t.DeviceName)
	add("clientId", o.Prefix)
	add("signmethod", r.Method)
	if withTime {
		add("timestamp", o.Timestamp)
	}
	if d.coap {
		add("seq", d.seq)
	}
	add("sign", sign)
	r.Body = string(append(b, '}'))
	if d.dtls {
		stamp := o.Timestamp
		if stamp == "" {
			stamp = "2524608000000" // what SDKs send
		}
		r.Identity = alink.PSKIdentity(o.Method, t.DeviceName, t.ProductKey, stamp)
		r.Key = string(alink.PSK{ProductKey: t.ProductKey, DeviceName: t.DeviceName, Method: o.Method, Timestamp: stamp}.Key(t.DeviceSecret, true))
	}
	return r
}

func (d *doorFlags) print(cmd *cobra.Command, r doorResult) error {
	return output(cmd, r, func(w io.Writer) error {
		fields := [][2]string{{"body", r.Body}, {"signed text", r.Content}}
		if r.Identity != "" {
			fields = append(fields, [2]string{"PSK identity", r.Identity}, [2]string{"PSK", r.Key})
		}
		return printFields(w, fields...)
	})
}
