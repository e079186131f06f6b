package script

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

func mustNew(t testing.TB, source string, l Limits) *Script {
	t.Helper()
	s, err := New(source, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func kindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}

// The conversions that the protocol publishes.
func TestSample(t *testing.T) {
	s := mustNew(t, sample, Limits{})
	for in, want := range map[string]string{
		"00002233441232013fa00000": `{"method":"thing.event.property.post","version":"1.0","id":"2241348","params":{"prop_int16":4658,"prop_bool":1,"prop_float":1.25}}`,
		"000000000100320100000000": `{"method":"thing.event.property.post","version":"1.0","id":"1","params":{"prop_int16":50,"prop_bool":1,"prop_float":0}}`,
		"0300223344c8":             `{"code":"200","data":{},"id":"2241348","version":"1.0"}`,
	} {
		raw, _ := hex.DecodeString(in)
		if got, err := s.RawToProtocol(raw); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v\nwant %s", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		`{"code":200,"data":{},"id":"12345","message":"success","method":"thing.event.property.post","version":"1.0"}`:                          "0200003039c8",
		`{"method":"thing.service.property.set","id":"12345","params":{"prop_int16":333,"prop_bool":1,"prop_float":123.452},"version":"1.0.0"}`: "0100003039014d0142f6e76d",
	} {
		if got, err := s.ProtocolToRaw([]byte(in)); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, %v\nwant %s", in, got, err, want)
		}
	}
	if got, err := s.Transform("/a/b/user/update", []byte{1, 2, 0xFF}); err != nil || string(got) != `{"topic":"/a/b/user/update","sum":258}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestOtherNames(t *testing.T) {
	s := mustNew(t, `const raw_data_to_protocol = (b) => ({n: b.length}); let protocol_to_raw_data = (m) => new Uint8Array([m.a, 255]); function transform_payload(t, b) { return {t} }`, Limits{})
	if got, err := s.RawToProtocol([]byte{1, 2}); err != nil || string(got) != `{"n":2}` {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := s.ProtocolToRaw([]byte(`{"a":7}`)); err != nil || string(got) != "\x07\xff" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := s.Transform("x", nil); err != nil || string(got) != `{"t":"x"}` {
		t.Errorf("%s, %v", got, err)
	}
}

// patient is a limit of time that only a script without end reaches, however busy the machine is.
func patient(want Kind) Limits {
	l := Limits{Memory: 16 << 20, Stack: 256 << 10, Time: time.Minute}
	if want == Exceeded {
		l.Time = 200 * time.Millisecond
	}
	return l
}

func TestWrongScripts(t *testing.T) {
	for source, want := range map[string]Kind{
		"":                      Empty,
		" \n":                   Empty,
		"function (":            Failed,
		"throw new Error('no')": Failed,
		"while (true) {}":       Exceeded,
		"/*" + strings.Repeat("x", 128<<10) + "*/": Failed,
		"var a = 1\x00": Failed,
	} {
		if _, err := New(source, patient(want)); kindOf(err) != want {
			t.Errorf("%.20q: %v, want kind %d", source, err, want)
		}
	}
}

func TestWrongResults(t *testing.T) {
	limits := patient(Failed)
	for body, want := range map[string]Kind{
		"throw new Error('boo')": Failed,
		"return undefinedName":   Failed,
		"for (;;) {}":            Exceeded,
		"try { for (;;) {} } catch (e) { return {a: 1} }":                                    Exceeded,
		"var a = []; for (;;) a.push('xxxxxxxxxxxxxxxxx' + a.length)":                        Exceeded,
		"var s = 'x'; for (;;) s += s":                                                       Exceeded,
		"return (function f() { return f() })()":                                             Exceeded,
		"return /(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')": Exceeded,
		"return":                          Nothing,
		"return null":                     Nothing,
		"return {}":                       Nothing,
		"return 'text'":                   Format,
		"return 7":                        Format,
		"return [1]":                      Format,
		"return function () {}":           Format,
		"return {a: 'x'.repeat(2 << 20)}": Format,
		"var a = {}; a.a = a; return a":   Failed,
		"return {toJSON: function () { throw 1 }}": Failed,
	} {
		s := mustNew(t, "function rawDataToProtocol(b) {"+body+"}", limits)
		s.limits = patient(want)
		if got, err := s.RawToProtocol([]byte{1}); kindOf(err) != want {
			t.Errorf("%s: %.80s, %v (kind %d), want kind %d", body, got, err, kindOf(err), want)
		}
		// It goes on for the next call.
		s.limits = limits
		if _, err := s.ProtocolToRaw([]byte(`{}`)); kindOf(err) != Missing {
			t.Errorf("%s, then: %v", body, err)
		}
		s.Close()
	}
	for result, want := range map[string]Kind{"[256]": Format, "[-129]": Format, "[1.5]": Format, "['x']": Format, "[]": Nothing, "{}": Format, "[null]": Format, "[-1, 255]": 0} {
		s := mustNew(t, "function protocolToRawData(m) { return "+result+" }", limits)
		if got, err := s.ProtocolToRaw([]byte(`{}`)); kindOf(err) != want {
			t.Errorf("%s: %x, %v, want kind %d", result, got, err, want)
		}
	}
	// Nothing of the outside is there.
	s := mustNew(t, "function rawDataToProtocol(b) { return {std: typeof std, os: typeof os, require: typeof require, process: typeof process, load: typeof load, print: typeof print} }", limits)
	if got, err := s.RawToProtocol(nil); err != nil || strings.Count(string(got), `"undefined"`) != 6 {
		t.Errorf("%s, %v", got, err)
	}
	// A script that takes the language away hurts only itself.
	s = mustNew(t, "JSON.parse = JSON.stringify = Array.isArray = null; Object.prototype.x = 1; function rawDataToProtocol(b) { return {n: b[0]} }", limits)
	if got, err := s.RawToProtocol([]byte{9}); err != nil || string(got) != `{"n":9}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := mustNew(t, sample, Limits{Time: time.Minute})
	raw, _ := hex.DecodeString("00002233441232013fa00000")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if got, err := s.RawToProtocol(raw); err != nil || !json.Valid(got) {
					t.Errorf("%s, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	s.Close()
	if _, err := s.RawToProtocol(raw); err != nil {
		t.Errorf("a call that comes late: %v", err)
	}
}

func FuzzScriptInput(f *testing.F) {
	raw, _ := hex.DecodeString("00002233441232013fa00000")
	f.Add(raw, `{"method":"thing.service.property.set","id":"1","params":{}}`, "/a/b/c")
	f.Add([]byte{}, `{"code":200}`, "")
	s, err := New(sample, Limits{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte, message, topic string) {
		if got, err := s.RawToProtocol(raw); err == nil && !json.Valid(got) || err != nil && kindOf(err) == 0 {
			t.Errorf("%x: %s, %v", raw, got, err)
		}
		if _, err := s.ProtocolToRaw([]byte(message)); err != nil && kindOf(err) == 0 {
			t.Errorf("%s: %v", message, err)
		}
		if got, err := s.Transform(topic, raw); err == nil && !json.Valid(got) || err != nil && kindOf(err) == 0 {
			t.Errorf("%q: %s, %v", topic, got, err)
		}
	})
}

func BenchmarkRawToProtocol(b *testing.B) {
	s := mustNew(b, sample, Limits{})
	raw, _ := hex.DecodeString("00002233441232013fa00000")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.RawToProtocol(raw); err != nil {
			b.Fatal(err)
		}
	}
}
