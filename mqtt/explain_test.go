package mqtt

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var explainUpdate = flag.Bool("update", false, "rewrite the expected texts in testdata/explain")

// explainCase is one case of a golden file:
//
//	## title
//	options: version=5 from=client secrets     (optional)
//	30 05 …                                     (hex, as ParseHex reads it)
//	----
//	expected text
type explainCase struct {
	title, options, input, want string
}

func explainCases(t *testing.T, file string) (intro string, cases []explainCase) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split("\n"+string(b), "\n## ")
	for _, p := range parts[1:] {
		title, rest, _ := strings.Cut(p, "\n")
		c := explainCase{title: title}
		if after, ok := strings.CutPrefix(rest, "options: "); ok {
			c.options, rest, _ = strings.Cut(after, "\n")
		}
		c.input, c.want, _ = strings.Cut(rest, "----\n")
		c.want = strings.TrimRight(c.want, "\n")
		cases = append(cases, c)
	}
	return strings.TrimPrefix(parts[0], "\n"), cases
}

func (c explainCase) explain(t *testing.T) []Explanation {
	t.Helper()
	var o ExplainOptions
	for _, w := range strings.Fields(c.options) {
		switch w {
		case "version=3":
			o.Version = V31
		case "version=4":
			o.Version = V311
		case "version=5":
			o.Version = V5
		case "from=client":
			o.Direction = FromClient
		case "from=server":
			o.Direction = FromServer
		case "secrets":
			o.ShowSecrets = true
		default:
			t.Fatalf("%s: unknown option %q", c.title, w)
		}
	}
	b, err := ParseHex(c.input)
	if err != nil {
		t.Fatalf("%s: %v", c.title, err)
	}
	es := ExplainAll(b, o)
	n := 0
	for _, e := range es {
		n += len(e.Raw)
		checkCovered(t, e)
		for _, p := range e.Problems() {
			if p.Expected == "" && !strings.HasPrefix(p.Problem, "right as MQTT 5.0 only") {
				t.Errorf("%s: %q does not say what should be there", c.title, p.Problem)
			}
		}
	}
	if n != len(b) {
		t.Errorf("%s: explanations take %d of %d bytes", c.title, n, len(b))
	}
	return es
}

func (c explainCase) text(t *testing.T) string {
	var parts []string
	for _, e := range c.explain(t) {
		parts = append(parts, strings.TrimRight(e.String(), "\n"))
	}
	return strings.Join(parts, "\n\n")
}

// checkCovered fails unless the notes cover every byte exactly once, in order.
func checkCovered(t *testing.T, e Explanation) {
	t.Helper()
	at := 0
	for i, n := range e.Notes {
		if n.Offset != at || n.Length < 0 {
			t.Fatalf("note %d (%s) covers %d+%d, the one before ends at %d\n% X", i, n.Field, n.Offset, n.Length, at, e.Raw)
		}
		at += n.Length
		if (n.Problem == "") != (n.Severity == SeverityNone) {
			t.Fatalf("note %d (%s): severity %v with problem %q", i, n.Field, n.Severity, n.Problem)
		}
		if n.Severity != SeverityNone && (n.At < n.Offset || n.At > n.Offset+n.Length) {
			t.Fatalf("note %d (%s) covers %d+%d, its problem is at %d\n% X", i, n.Field, n.Offset, n.Length, n.At, e.Raw)
		}
	}
	if at != len(e.Raw) {
		t.Fatalf("notes cover %d of %d bytes: % X", at, len(e.Raw), e.Raw)
	}
}

func TestExplainGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/explain/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		intro, cases := explainCases(t, file)
		if *explainUpdate {
			var out strings.Builder
			out.WriteString(intro)
			for _, c := range cases {
				options := ""
				if c.options != "" {
					options = "options: " + c.options + "\n"
				}
				fmt.Fprintf(&out, "\n## %s\n%s%s----\n%s\n", c.title, options, c.input, c.text(t))
			}
			if err := os.WriteFile(file, []byte(strings.TrimLeft(out.String(), "\n")), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for _, c := range cases {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+c.title, func(t *testing.T) {
				if diff := cmp.Diff(c.want, c.text(t)); diff != "" {
					t.Errorf("explanation differs (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestExplainTruncated wants an error in every packet of the seed session that
// is cut off anywhere.
func TestExplainTruncated(t *testing.T) {
	_, cases := explainCases(t, "testdata/explain/seed.txt")
	for _, c := range cases {
		b, err := ParseHex(c.input)
		if err != nil {
			t.Fatal(err)
		}
		whole := Explain(b, ExplainOptions{})
		if !whole.OK() || whole.Missing != 0 || len(whole.Raw) != len(b) {
			continue
		}
		for n := range b {
			e := Explain(b[:n], ExplainOptions{})
			checkCovered(t, e)
			if e.OK() {
				t.Errorf("%s: the first %d of %d bytes are called right", c.title, n, len(b))
			}
		}
	}
}

// TestExplainSecrets looks for a password in everything an explanation prints,
// with every byte of the packet damaged in turn.
func TestExplainSecrets(t *testing.T) {
	// A digest is known by its look, a word only by its place.
	for _, password := range []string{"4756856f5bc65bbbabc7a826d73de282ff87090d", "opEn-sEsame-tHis-iS-nO-dIgest-at-aLl"} {
		t.Run(password[:4], func(t *testing.T) { testExplainSecret(t, password) })
	}
}

func testExplainSecret(t *testing.T, password string) {
	c := Connect{
		ProtocolName: []byte("MQTT"), Version: V311, CleanStart: true, KeepAlive: 100,
		ClientID:    []byte("10001|securemode=3,signmethod=hmacsha1|"),
		HasUsername: true, Username: []byte("STC15&a1ji0qFv6Jf"),
		HasPassword: true, Password: []byte(password),
	}
	good := c.Append(nil)
	at := bytes.Index(good, []byte(password))
	if at < 0 {
		t.Fatal("no password in the packet")
	}
	for i := range good[:at] {
		for _, x := range []byte{0x01, 0x04, 0x10, 0x40, 0x80, 0xff} {
			b := bytes.Clone(good)
			b[i] ^= x
			for _, e := range ExplainAll(b, ExplainOptions{}) {
				checkCovered(t, e)
				text := e.String()
				if strings.Contains(text, password[:12]) || strings.Contains(text, password[20:32]) {
					t.Fatalf("byte %d changed to %02X: the password is in the text:\n%s", i, b[i], text)
				}
				for _, n := range e.Notes {
					if s := fmt.Sprint(n); strings.Contains(s, password[:12]) {
						t.Fatalf("byte %d changed to %02X: the password is in a note: %s", i, b[i], s)
					}
				}
				if strings.Contains(text, FormatHex([]byte(password[:6]))) {
					t.Fatalf("byte %d changed to %02X: the password is in the hex column:\n%s", i, b[i], text)
				}
			}
		}
	}
	if text := Explain(good, ExplainOptions{ShowSecrets: true}).String(); !strings.Contains(text, password) {
		t.Errorf("ShowSecrets does not show the password:\n%s", text)
	}
}

func TestExplainSecretMembers(t *testing.T) {
	topic := "/sys/a1/gw/thing/sub/register_reply"
	p := Publish{Topic: []byte(topic), Payload: []byte(`{"id":"1","code":200,"data":[{"deviceName":"d","deviceSecret": "s3cr3t-of-d"}]}`)}
	e := Explain(p.Append(nil, V311), ExplainOptions{})
	if text := e.String(); !e.OK() || strings.Contains(text, "s3cr3t") || strings.Contains(text, FormatHex([]byte("s3c"))) || !strings.Contains(text, "deviceName") {
		t.Errorf("secret shown, or too much hidden:\n%s", text)
	}
	p = Publish{Topic: []byte("/ext/register"), Payload: []byte(`{"deviceName":"d","deviceSecret":"x"}`)}
	if text := Explain(p.Append(nil, V311), ExplainOptions{}).String(); strings.Contains(text, "deviceName") {
		t.Errorf("registration reply shown:\n%s", text)
	}
}

func TestExplainPayloadLines(t *testing.T) {
	p := Publish{Topic: []byte("/t"), Payload: []byte{1, 2, 3}}
	e := Explain(p.Append(nil, V311), ExplainOptions{Payload: func(topic string, payload []byte) []string {
		return []string{fmt.Sprintf("%s: %d", topic, len(payload))}
	}})
	if text := e.String(); !strings.Contains(text, "/t: 3") {
		t.Errorf("the payload's own line is not shown:\n%s", text)
	}
}

// TestExplainVersion shows which version packets are read as.
func TestExplainVersion(t *testing.T) {
	v5 := Connect{ProtocolName: []byte("MQTT"), Version: V5, ClientID: []byte("a")}
	burst := v5.Append(nil)
	burst = append(burst, 0x30, 0x06, 0x00, 0x03, 'a', '/', 'b', 0x00)
	es := ExplainAll(burst, ExplainOptions{})
	if len(es) != 2 || es[1].Version != V5 || !es[1].OK() {
		t.Fatalf("the CONNECT's version does not carry on: %v", es)
	}
	es = ExplainAll([]byte{0x30, 0x06, 0x00, 0x03, 'a', '/', 'b', 'x'}, ExplainOptions{})
	if len(es) != 1 || es[0].Version != V311 || !es[0].OK() {
		t.Fatalf("without a CONNECT: %v", es)
	}
	frames := []DumpFrame{{Direction: FromClient, Data: v5.Append(nil)}, {Direction: FromServer, Data: []byte{0x20, 0x03, 0, 0, 0}}}
	es = ExplainDump(frames, ExplainOptions{})
	if len(es) != 2 || es[1].Version != V5 || !es[1].OK() || es[1].Direction != FromServer {
		t.Fatalf("over the frames of a dump: %v", es)
	}
}

func TestExplainNothing(t *testing.T) {
	e := Explain(nil, ExplainOptions{})
	if e.OK() || len(e.Raw) != 0 || e.Name != "nothing" {
		t.Errorf("no bytes: %v", e)
	}
	if es := ExplainAll(nil, ExplainOptions{}); len(es) != 0 {
		t.Errorf("no bytes: %d explanations", len(es))
	}
}

// TestExplainAgrees runs explanation and decoder over the packets of the golden
// files: what the codec decodes has no error, what it refuses has one.
func TestExplainAgrees(t *testing.T) {
	files, _ := filepath.Glob("testdata/explain/*.txt")
	compared := 0
	for _, file := range files {
		_, cases := explainCases(t, file)
		for _, c := range cases {
			b, err := ParseHex(c.input)
			if err != nil {
				t.Fatal(err)
			}
			f, n, err := Split(b, 0)
			if err != nil || n != len(b) {
				continue // whether the length is right is for the golden texts to say
			}
			for _, v := range []Version{V31, V311, V5} {
				checkAgrees(t, f, v)
				compared++
			}
		}
	}
	if compared < 200 {
		t.Errorf("only %d comparisons", compared)
	}
}

// checkAgrees fails if the decoder accepts a packet and its explanation has an
// error, or the other way round.
func checkAgrees(t *testing.T, f Frame, v Version) {
	t.Helper()
	e := Explain(f.Raw, ExplainOptions{Version: v})
	if len(e.Raw) != len(f.Raw) {
		t.Fatalf("the explanation takes %d of %d bytes: % X", len(e.Raw), len(f.Raw), f.Raw)
	}
	if err := explainDecode(f, v); (err == nil) != e.OK() {
		t.Fatalf("version %v, % X: decoding says %v, the explanation says\n%s", v, f.Raw, err, e)
	}
}

// explainDecode decodes a packet strictly.
func explainDecode(f Frame, v Version) error {
	switch f.Type {
	case CONNECT:
		return new(Connect).Decode(f, 0)
	case CONNACK:
		return new(Connack).Decode(f, v)
	case PUBLISH:
		return new(Publish).Decode(f, v, 0)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		return new(Ack).Decode(f, v, 0)
	case SUBSCRIBE:
		return new(Subscribe).Decode(f, v, 0)
	case SUBACK:
		return new(Suback).Decode(f, v, 0)
	case UNSUBSCRIBE:
		return new(Unsubscribe).Decode(f, v, 0)
	case UNSUBACK:
		return new(Unsuback).Decode(f, v, 0)
	case DISCONNECT:
		return new(Disconnect).Decode(f, v)
	case AUTH:
		if v != V5 {
			return errors.New("AUTH before MQTT 5.0")
		}
		return new(Auth).Decode(f)
	}
	if len(f.Body) > 0 || f.Flags != 0 {
		return errors.New("a ping has neither flags nor body")
	}
	return nil
}

func FuzzExplain(f *testing.F) {
	files, _ := filepath.Glob("testdata/explain/*.txt")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, p := range strings.Split("\n"+string(b), "\n## ")[1:] {
			_, rest, _ := strings.Cut(p, "\n")
			if strings.HasPrefix(rest, "options: ") {
				_, rest, _ = strings.Cut(rest, "\n")
			}
			input, _, _ := strings.Cut(rest, "----\n")
			if b, err := ParseHex(input); err == nil {
				f.Add(b, byte(0))
				f.Add(b, byte(5))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, options byte) {
		if f, n, err := Split(b, 0); err == nil && n == len(b) && n > 0 && n < 4096 {
			for _, v := range []Version{V31, V311, V5} {
				checkAgrees(t, f, v)
			}
		}
		o := ExplainOptions{Direction: Direction(options >> 4 % 3), ShowSecrets: options&8 != 0}
		if v := Version(options & 7); v >= V31 && v <= V5 {
			o.Version = v
		}
		n := 0
		for _, e := range ExplainAll(b, o) {
			checkCovered(t, e)
			n += len(e.Raw)
			if e.String() == "" {
				t.Fatal("no text")
			}
		}
		if n != len(b) {
			t.Fatalf("explanations take %d of %d bytes", n, len(b))
		}
	})
}
