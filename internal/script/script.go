// Package script runs the JavaScript that products have for devices which do not
// speak Alink: bytes become messages and messages bytes (spec/thing-model.md §14).
//
// A script runs in a sandbox: it has ECMAScript and nothing else, and its memory,
// its stack and the time of each call are bounded. It may find global variables as
// an earlier call left them, or not: nothing should depend on them.
package script

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"modernc.org/quickjs"
)

// MaxSource is the length of a script in bytes.
const MaxSource = 128 << 10

// maxResult is the length of what a call returns, in bytes of JSON.
const maxResult = 1 << 20

// Limits bound a script. The zero value has the defaults given with the fields.
type Limits struct {
	Memory uintptr       // bytes of one virtual machine: 16 MiB
	Stack  uintptr       // bytes: 256 KiB
	Time   time.Duration // of one call: 1 s
}

// Kind says what is wrong with a script.
type Kind uint8

// The kinds of errors.
const (
	// Empty: the script has no text.
	Empty Kind = iota + 1
	// Failed: it cannot be read, or threw an exception.
	Failed
	// Missing: it has not the function that is needed.
	Missing
	// Nothing: the function returned nothing.
	Nothing
	// Format: the function returned something else than it should.
	Format
	// Exceeded: it took too much time, memory or stack.
	Exceeded
)

// Error says what is wrong with a script, for its author.
type Error struct {
	Kind    Kind
	Message string
}

func (e *Error) Error() string { return e.Message }

// Script is a product's script. Its methods may be called from any goroutine; each
// call has a virtual machine for itself.
type Script struct {
	source string
	limits Limits

	mu     sync.Mutex
	idle   []*quickjs.VM
	closed bool
}

// maxIdle is how many virtual machines, some 190 KB each, are kept for later calls.
const maxIdle = 4

// driver is put in front of every script: it keeps what it needs of the language,
// so that the script cannot take it away.
const driver = `var console = {log: function () {}, info: function () {}, warn: function () {}, error: function () {}};
var __linkstead = (function () {
  var parse = JSON.parse, stringify = JSON.stringify, isArray = Array.isArray, isView = ArrayBuffer.isView;
  return function (find, input, topic) {
    var f = find();
    if (typeof f !== 'function') return 'M';
    var v = topic === null ? f(parse(input)) : f(topic, parse(input));
    if (v === undefined || v === null) return 'N';
    if (isView(v)) { var a = []; for (var i = 0; i < v.length; i++) a.push(v[i]); v = a; }
    var s = stringify(v);
    if (s === undefined) return 'T' + typeof v;
    return (isArray(v) ? 'A' : typeof v === 'object' ? 'O' : 'T') + s;
  };
})();
`

// finders look for each function by its names.
const finders = `
function __linkstead_up(input) { return __linkstead(function () {
  return typeof rawDataToProtocol !== 'undefined' ? rawDataToProtocol : typeof raw_data_to_protocol !== 'undefined' ? raw_data_to_protocol : undefined; }, input, null); }
function __linkstead_down(input) { return __linkstead(function () {
  return typeof protocolToRawData !== 'undefined' ? protocolToRawData : typeof protocol_to_raw_data !== 'undefined' ? protocol_to_raw_data : undefined; }, input, null); }
function __linkstead_topic(input, topic) { return __linkstead(function () {
  return typeof transformPayload !== 'undefined' ? transformPayload : typeof transform_payload !== 'undefined' ? transform_payload : undefined; }, input, topic); }
`

// New makes a script of its source, after running it once. The error is an *Error.
func New(source string, limits Limits) (*Script, error) {
	if limits.Memory == 0 {
		limits.Memory = 16 << 20
	}
	if limits.Stack == 0 {
		limits.Stack = 256 << 10
	}
	if limits.Time == 0 {
		limits.Time = time.Second
	}
	switch {
	case strings.TrimSpace(source) == "":
		return nil, &Error{Empty, "the script is empty"}
	case len(source) > MaxSource:
		return nil, &Error{Failed, fmt.Sprintf("the script has %d bytes, allowed are %d", len(source), MaxSource)}
	case strings.ContainsRune(source, 0):
		return nil, &Error{Failed, "the script has a zero byte"}
	}
	s := &Script{source: source, limits: limits}
	vm, err := s.machine()
	if err != nil {
		return nil, err
	}
	s.put(vm)
	return s, nil
}

// machine makes a virtual machine that has run the script.
func (s *Script) machine() (*quickjs.VM, error) {
	vm, err := quickjs.NewVM()
	if err != nil {
		return nil, &Error{Exceeded, "there is no memory for the script: " + err.Error()}
	}
	vm.SetMemoryLimit(s.limits.Memory)
	vm.SetMaxStackSize(s.limits.Stack)
	err = vm.SetEvalTimeout(s.limits.Time)
	if err == nil {
		_, err = vm.Eval(driver+finders, quickjs.EvalGlobal)
	}
	if err == nil {
		_, err = vm.Eval(s.source, quickjs.EvalGlobal)
	}
	if err != nil {
		_ = vm.Close()
		return nil, classify(err, s.limits)
	}
	return vm, nil
}

func (s *Script) get() (*quickjs.VM, error) {
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		vm := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return vm, nil
	}
	s.mu.Unlock()
	return s.machine()
}

func (s *Script) put(vm *quickjs.VM) {
	s.mu.Lock()
	if !s.closed && len(s.idle) < maxIdle {
		s.idle = append(s.idle, vm)
		vm = nil
	}
	s.mu.Unlock()
	if vm != nil {
		_ = vm.Close()
	}
}

// Close frees the script's memory; calls that run end first.
func (s *Script) Close() {
	s.mu.Lock()
	idle := s.idle
	s.idle, s.closed = nil, true
	s.mu.Unlock()
	for _, vm := range idle {
		_ = vm.Close()
	}
}

// classify turns an error of the engine into one for the script's author.
func classify(err error, limits Limits) *Error {
	text := strings.TrimSpace(err.Error())
	var js *quickjs.Error
	if errors.As(err, &js) {
		text = strings.TrimSpace(js.Error())
	}
	switch {
	case strings.Contains(text, "InternalError: interrupted"):
		return &Error{Exceeded, fmt.Sprintf("the script took more than %v", limits.Time)}
	case strings.Contains(text, "InternalError: out of memory"), strings.Contains(text, "InternalError: string too long"), text == "null":
		return &Error{Exceeded, fmt.Sprintf("the script needs more than %d bytes of memory", limits.Memory)}
	case strings.Contains(text, "InternalError: stack overflow"):
		return &Error{Exceeded, "the script calls itself too deeply"}
	}
	if len(text) > 500 {
		text = text[:500] + "…"
	}
	return &Error{Failed, "the script failed: " + strings.ToValidUTF8(text, "\uFFFD")}
}

// call runs one function and returns the kind and the JSON of its result.
func (s *Script) call(function, name string, args ...any) (kind byte, result string, err error) {
	vm, err := s.get()
	if err != nil {
		return 0, "", err
	}
	// What a failure left of the machine is not used again.
	defer func() {
		if vm != nil {
			_ = vm.Close()
		}
	}()
	if err := vm.SetEvalTimeout(s.limits.Time); err != nil {
		return 0, "", classify(err, s.limits)
	}
	v, err := vm.Call(function, args...)
	if err != nil {
		return 0, "", classify(err, s.limits)
	}
	text, _ := v.(string)
	switch {
	case text == "":
		return 0, "", &Error{Failed, "the script changed what it must not change"}
	case len(text) > maxResult:
		return 0, "", &Error{Format, fmt.Sprintf("%s returned more than %d bytes", name, maxResult)}
	}
	s.put(vm)
	vm = nil
	switch text[0] {
	case 'M':
		return 0, "", &Error{Missing, "the script has no function " + name}
	case 'N':
		return 0, "", &Error{Nothing, name + " returned nothing"}
	}
	return text[0], text[1:], nil
}

// appendBytes appends bytes as a JSON array of numbers.
func appendBytes(b []byte) string {
	var out strings.Builder
	out.Grow(4*len(b) + 2)
	out.WriteByte('[')
	for i, v := range b {
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprint(&out, v)
	}
	out.WriteByte(']')
	return out.String()
}

// RawToProtocol is rawDataToProtocol: the message that a device's bytes stand for,
// as a JSON object. The error is an *Error.
func (s *Script) RawToProtocol(raw []byte) ([]byte, error) {
	const name = "rawDataToProtocol"
	kind, result, err := s.call("__linkstead_up", name, appendBytes(raw))
	return object(name, kind, result, err)
}

// Transform is transformPayload: the JSON that bytes on a custom topic stand for.
// The error is an *Error.
func (s *Script) Transform(topic string, raw []byte) ([]byte, error) {
	const name = "transformPayload"
	kind, result, err := s.call("__linkstead_topic", name, appendBytes(raw), topic)
	return object(name, kind, result, err)
}

func object(name string, kind byte, result string, err error) ([]byte, error) {
	switch {
	case err != nil:
		return nil, err
	case kind != 'O':
		return nil, &Error{Format, name + " should return an object, not " + shorten(result)}
	case result == "{}":
		return nil, &Error{Nothing, name + " returned an empty object"}
	}
	return []byte(result), nil
}

// ProtocolToRaw is protocolToRawData: the bytes that a message for a device, as
// JSON, stands for. Negative numbers down to -128 are bytes too. The error is an
// *Error.
func (s *Script) ProtocolToRaw(message []byte) ([]byte, error) {
	const name = "protocolToRawData"
	kind, result, err := s.call("__linkstead_down", name, string(message))
	if err != nil {
		return nil, err
	}
	var numbers []*float64
	if kind != 'A' || json.Unmarshal([]byte(result), &numbers) != nil {
		return nil, &Error{Format, name + " should return an array of bytes, not " + shorten(result)}
	}
	if len(numbers) == 0 {
		return nil, &Error{Nothing, name + " returned no bytes"}
	}
	out := make([]byte, len(numbers))
	for i, n := range numbers {
		if n == nil || *n < -128 || *n > 255 || *n != float64(int(*n)) {
			return nil, &Error{Format, fmt.Sprintf("%s returned at position %d what is no byte: %s", name, i, shorten(result))}
		}
		out[i] = byte(int(*n))
	}
	return out, nil
}

func shorten(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
