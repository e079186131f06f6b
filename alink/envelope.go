package alink

import (
	"fmt"
	"strconv"

	"github.com/linkstead/linkstead/devjson"
)

// Request is a message that asks for something, in either direction (spec/thing-model.md §3).
type Request struct {
	// ID is the id as text, to be echoed: a string verbatim, a number as it was written, "" if absent.
	ID string
	// Version and Method are what the sender wrote, "" if absent. The topic decides, not the method.
	Version string
	Method  string
	// Ack tells whether a reply is wanted: false only for sys.ack 0.
	Ack bool
	// Params is whatever stands under params, possibly absent.
	Params devjson.Value
}

// Reply is an answer to a request.
type Reply struct {
	// ID is the id of the request as text.
	ID string
	// Code is the result; devices send it as a number or as a string of digits.
	Code Code
	// Data is whatever stands under data, possibly absent.
	Data devjson.Value
	// Message is the text beside the code, often "".
	Message string
}

// EnvelopeError says why a payload is not a message of this protocol and which code answers it.
type EnvelopeError struct {
	Code   Code
	Reason string
	// Err is the *devjson.SyntaxError if the payload is not JSON at all.
	Err error
}

// Error names the cause, with the byte offset if the JSON is broken.
func (e *EnvelopeError) Error() string {
	if e.Err != nil {
		return e.Reason + ": " + e.Err.Error()
	}
	return e.Reason
}

// Unwrap returns Err.
func (e *EnvelopeError) Unwrap() error { return e.Err }

// Decoder reads messages. The zero value is ready; keep one for each worker, it is not safe for concurrent
// use. Everything a call returns, strings included, lives until the next call.
type Decoder struct {
	json devjson.Parser
}

// Relaxed tells whether the last payload was not quite JSON.
func (d *Decoder) Relaxed() bool { return d.json.Relaxed() }

func (d *Decoder) object(payload []byte) (devjson.Value, error) {
	v, err := d.json.Parse(payload)
	if err != nil {
		return v, &EnvelopeError{Code: CodeNotJSON, Reason: "the payload is not JSON", Err: err}
	}
	if v.Kind() != devjson.Object {
		return v, &EnvelopeError{Code: CodeNotAlink, Reason: "the payload must be a JSON object, this is of type " + v.Kind().String()}
	}
	return v, nil
}

// Request reads a request into r. Nothing but a JSON object is required: devices leave out every key, and
// of keys with a wrong type the value counts as absent. The error is an *EnvelopeError.
func (d *Decoder) Request(payload []byte, r *Request) error {
	*r = Request{Ack: true}
	v, err := d.object(payload)
	if err != nil {
		return err
	}
	v.Each(func(key string, v devjson.Value) bool {
		switch key {
		case "id":
			r.ID = text(v)
		case "version":
			r.Version = text(v)
		case "method":
			r.Method, _ = v.Str()
		case "params":
			r.Params = v
		case "sys":
			r.Ack = text(v.Get("ack")) != "0"
		}
		return true
	})
	return nil
}

// Reply reads an answer into r. A message without a numeric code is not one. The error is an
// *EnvelopeError.
func (d *Decoder) Reply(payload []byte, r *Reply) error {
	*r = Reply{}
	v, err := d.object(payload)
	if err != nil {
		return err
	}
	var code devjson.Value
	v.Each(func(key string, v devjson.Value) bool {
		switch key {
		case "id":
			r.ID = text(v)
		case "code":
			code = v
		case "data":
			r.Data = v
		case "message":
			r.Message, _ = v.Str()
		}
		return true
	})
	if n, ok := code.Int64(); ok && n == int64(int32(n)) {
		r.Code = Code(n)
		return nil
	}
	if s, ok := code.Str(); ok {
		if n, err := strconv.ParseInt(s, 10, 32); err == nil {
			r.Code = Code(n)
			return nil
		}
	}
	if !code.Exists() {
		return &EnvelopeError{Code: CodeParameter, Reason: "the reply has no code"}
	}
	return &EnvelopeError{Code: CodeParameter, Reason: fmt.Sprintf("the reply's code must be an integer, this is of type %s", code.Kind())}
}

// text returns a string or a number's digits.
func text(v devjson.Value) string {
	if s, ok := v.Str(); ok {
		return s
	}
	return v.NumberText()
}

// AppendReply appends the platform's answer to a request: exactly six keys in alphabetical order without
// white space, because small clients search the text (spec/thing-model.md §3, §4). data is raw JSON, {} if
// nil; message is the code's own if empty; version is "1.0" if empty.
func AppendReply(dst []byte, code Code, data []byte, id, message, method, version string) []byte {
	dst = append(dst, `{"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"data":`...)
	dst = appendRaw(dst, data)
	dst = append(dst, `,"id":`...)
	dst = devjson.AppendString(dst, id)
	dst = append(dst, `,"message":`...)
	if message == "" {
		message = code.Message()
	}
	dst = devjson.AppendString(dst, message)
	dst = append(dst, `,"method":`...)
	dst = devjson.AppendString(dst, method)
	dst = append(dst, `,"version":`...)
	if version == "" {
		version = "1.0"
	}
	dst = devjson.AppendString(dst, version)
	return append(dst, '}')
}

// AppendSessionReply appends the answer on /ext/session topics and, with id "0", the push on /ext/error:
// id, code, message, data in that order, no method and no version (spec/gateway.md §6, §7).
func AppendSessionReply(dst []byte, code Code, data []byte, id, message string) []byte {
	dst = append(dst, `{"id":`...)
	dst = devjson.AppendString(dst, id)
	dst = append(dst, `,"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"message":`...)
	if message == "" {
		message = code.Message()
	}
	dst = devjson.AppendString(dst, message)
	dst = append(dst, `,"data":`...)
	dst = appendRaw(dst, data)
	return append(dst, '}')
}

// AppendCommand appends a request of the platform in the key order the cloud uses, which clients with
// strstr and sscanf depend on. params is raw JSON, {} if nil; version is "1.0.0" if empty. Keep id a
// decimal number of at most ten digits: older SDKs have room for no more.
func AppendCommand(dst []byte, method, id string, params []byte, version string) []byte {
	dst = append(dst, `{"method":`...)
	dst = devjson.AppendString(dst, method)
	dst = append(dst, `,"id":`...)
	dst = devjson.AppendString(dst, id)
	dst = append(dst, `,"params":`...)
	dst = appendRaw(dst, params)
	dst = append(dst, `,"version":`...)
	if version == "" {
		version = "1.0.0"
	}
	dst = devjson.AppendString(dst, version)
	return append(dst, '}')
}

// AppendRequest appends a device's request: id, version, params, method, and sys.ack 0 if no reply is
// wanted. params is raw JSON, {} if nil.
func AppendRequest(dst []byte, method, id string, params []byte, ack bool) []byte {
	dst = append(dst, `{"id":`...)
	dst = devjson.AppendString(dst, id)
	dst = append(dst, `,"version":"1.0"`...)
	if !ack {
		dst = append(dst, `,"sys":{"ack":0}`...)
	}
	dst = append(dst, `,"params":`...)
	dst = appendRaw(dst, params)
	dst = append(dst, `,"method":`...)
	dst = devjson.AppendString(dst, method)
	return append(dst, '}')
}

// AppendDeviceReply appends a device's answer to a command: id, code, data. data is raw JSON, {} if nil.
func AppendDeviceReply(dst []byte, code Code, data []byte, id string) []byte {
	dst = append(dst, `{"id":`...)
	dst = devjson.AppendString(dst, id)
	dst = append(dst, `,"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"data":`...)
	dst = appendRaw(dst, data)
	return append(dst, '}')
}

func appendRaw(dst, json []byte) []byte {
	if len(json) == 0 {
		return append(dst, '{', '}')
	}
	return append(dst, json...)
}
