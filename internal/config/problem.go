package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// Where is "FILE: line N", "environment NAME" or "flag --name" as far as it is known.
	Where   string `json:"where,omitempty"`
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
}

// String is the problem in one line.
func (p Problem) String() string {
	s := p.Message
	if p.Key != "" {
		s = p.Key + ": " + s
	}
	if p.Where != "" {
		s = p.Where + ": " + s
	}
	return s
}

// InvalidError says everything that is wrong with a configuration.
type InvalidError struct{ Problems []Problem }

// Error lists the problems, one a line.
func (e *InvalidError) Error() string {
	lines := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	return "the configuration is wrong:\n  " + strings.Join(lines, "\n  ")
}

// Locate notes where each problem comes from. lines are those of the keys in the
// file at path.
func (e *InvalidError) Locate(sources Sources, path string, lines map[string]int) {
	for i := range e.Problems {
		p := &e.Problems[i]
		switch source := sources[p.Key]; {
		case p.Where != "" || source == "default":
		case source == "file "+path && lines[p.Key] > 0:
			p.Where = fmt.Sprintf("%s: line %d", path, lines[p.Key])
		case source != "":
			p.Where = source
		case lines[p.Key] > 0: // of a whole table
			p.Where = fmt.Sprintf("%s: line %d", path, lines[p.Key])
		}
	}
}

// Lines gives the line of every key and table in a TOML document, as far as it can
// be read.
func Lines(b []byte) map[string]int {
	out := map[string]int{}
	p := unstable.Parser{}
	p.Reset(b)
	table := ""
	for p.NextExpression() {
		n := p.Expression()
		if n.Kind != unstable.KeyValue && n.Kind != unstable.Table && n.Kind != unstable.ArrayTable {
			continue
		}
		var words []string
		line := 0
		for key := n.Key(); key.Next(); {
			if line == 0 {
				line = p.Shape(key.Node().Raw).Start.Line
			}
			words = append(words, string(key.Node().Data))
		}
		key := strings.Join(words, ".")
		if n.Kind == unstable.KeyValue {
			if table != "" {
				key = table + "." + key
			}
		} else {
			table = key
		}
		if out[key] == 0 {
			out[key] = line
		}
	}
	return out
}

// similar returns the key that was probably meant, or "".
func similar(key string, keys []string) string {
	best, least := "", 3 // more mistakes than that are another word
	for _, k := range keys {
		if d := distance(key, k); d < least {
			best, least = k, d
		}
	}
	if best == "" { // the right word in the wrong table
		last := key[strings.LastIndexByte(key, '.')+1:]
		for _, k := range keys {
			if strings.HasSuffix("."+k, "."+last) {
				return k
			}
		}
	}
	return best
}

// distance counts the letters that have to be inserted, removed or changed to make
// b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// keyNames are all keys, in order.
func keyNames() []string {
	c := Default()
	flat := c.flat()
	out := make([]string, 0, len(flat))
	for k := range flat {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
