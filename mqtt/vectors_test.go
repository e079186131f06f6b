package mqtt

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the expected results in testdata/*.txt")

// A vector file is a list of blocks separated by blank lines:
//
//	# comment
//	3.1.1 tolerant name of the case
//	10 0D 00 04 "MQTT" 04 …
//	----
//	expected result
//
// The bytes are hex, text in double quotes stands for its bytes, and xN after
// a token repeats it. "tolerant", which is optional, decodes with
// TolerateDevices.
type vector struct {
	head     []string // comments, title and bytes as written
	title    string
	version  Version
	tol      Tolerance
	bytes    []byte
	expected string
}

func readVectors(path string) (vectors []vector, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for _, block := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		head, expected, _ := strings.Cut(block+"\n", "----\n")
		v := vector{head: strings.Split(strings.TrimSpace(head), "\n"), expected: strings.TrimSpace(expected)}
		var data []string
		for _, line := range v.head {
			switch {
			case strings.HasPrefix(line, "#"):
			case v.title == "":
				v.title = line
			default:
				data = append(data, line)
			}
		}
		if v.title == "" { // a comment on its own
			vectors = append(vectors, v)
			continue
		}
		word, name, _ := strings.Cut(v.title, " ")
		if v.version = map[string]Version{"3.1": V31, "3.1.1": V311, "5.0": V5}[word]; v.version == 0 {
			return nil, fmt.Errorf("%s: %q starts with no version", path, v.title)
		}
		if strings.HasPrefix(name, "tolerant ") {
			v.tol = TolerateDevices
		}
		if v.bytes, err = vectorBytes(strings.Join(data, " ")); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, v.title, err)
		}
		vectors = append(vectors, v)
	}
	return vectors, nil
}

// vectorBytes reads the byte notation of a vector.
func vectorBytes(s string) ([]byte, error) {
	var out, last []byte
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] == '"' {
			end := strings.IndexByte(s[1:], '"')
			if end < 0 {
				return nil, errors.New("text without closing quote")
			}
			last, s = []byte(s[1:1+end]), s[end+2:]
			out = append(out, last...)
			continue
		}
		token, rest, _ := strings.Cut(s, " ")
		s = rest
		var n int
		if _, err := fmt.Sscanf(token, "x%d", &n); err == nil {
			out = append(out, bytes.Repeat(last, n-1)...)
			continue
		}
		b, err := hex.DecodeString(token)
		if err != nil {
			return nil, err
		}
		last = b
		out = append(out, b...)
	}
	return out, nil
}

// result decodes the bytes of a vector as a stream of packets and describes
// what comes of it.
func (v *vector) result(t *testing.T) string {
	t.Helper()
	var lines []string
	for b := v.bytes; len(b) > 0; {
		p, n, err := decodeFirst(b, v.version, v.tol)
		if err != nil {
			lines = append(lines, describeError(t, err, b))
			break
		}
		if n == 0 {
			lines = append(lines, "incomplete")
			break
		}
		lines = append(lines, p.describe())
		if again := p.encode(nil, v.version); !bytes.Equal(again, b[:n]) {
			lines = append(lines, fmt.Sprintf("written % X", again))
		}
		b = b[n:]
	}
	return strings.Join(lines, "\n")
}

func describeError(t *testing.T, err error, b []byte) string {
	t.Helper()
	checkError(t, err, b)
	e := err.(*MalformedError)
	return fmt.Sprintf("%s\n%s", e, hexByte(byte(e.Code))+" "+e.Code.String())
}

// TestVectors runs every file of testdata: each block says which bytes come
// in and what they mean, or which byte is wrong and by which clause.
func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			vectors, err := readVectors(path)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for i := range vectors {
				v := &vectors[i]
				fmt.Fprintln(&out, strings.Join(v.head, "\n"))
				if v.title == "" {
					fmt.Fprintln(&out)
					continue
				}
				got := v.result(t)
				fmt.Fprintf(&out, "----\n%s\n\n", got)
				if !*rewrite {
					if diff := cmp.Diff(v.expected, got); diff != "" {
						t.Errorf("%s (-expected +got):\n%s", v.title, diff)
					}
				}
			}
			if *rewrite {
				if err := os.WriteFile(path, []byte(strings.TrimSpace(out.String())+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
