package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/pelletier/go-toml/v2"
)

// EnvPrefix starts the names of environment variables.
const EnvPrefix = "LINKSTEAD_"

// Sources tells for every key, in the order of Keys, where its value came from:
// "default", "file …", "environment …" or "flag".
type Sources map[string]string

// Load reads the configuration: defaults, then the file (none if path is ""),
// then the environment given as "NAME=value" lines. Flags are the caller's; it
// calls Validate when they are in.
func Load(path string, environ []string) (Config, Sources, error) {
	c := Default()
	sources := Sources{}
	before := c.flat()
	for k := range before {
		sources[k] = "default"
	}
	if path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return c, nil, fmt.Errorf("the configuration file cannot be read: %w", err)
		}
		d := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			return c, nil, explain(path, err)
		}
		set, err := keysIn(b)
		if err != nil {
			return c, nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, k := range set {
			if _, known := sources[k]; known {
				sources[k] = "file " + path
			}
		}
	}
	vars := map[string]string{}
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, EnvPrefix) {
			vars[name] = value
		}
	}
	known := map[string]string{} // variable to key
	for k := range sources {
		known[EnvName(k)] = k
	}
	for name := range vars {
		key, ok := known[name]
		if !ok {
			if name == "LINKSTEAD_CONFIG" || name == "LINKSTEAD_TOKEN" || name == "LINKSTEAD_SERVER" {
				continue // of the command line, not of the server
			}
			why := fmt.Sprintf("environment variable %s is not known; linkstead config lists the keys", name)
			if meant := similar(strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, EnvPrefix), "_", ".")), keyNames()); meant != "" {
				why += "; did you mean " + EnvName(meant) + "?"
			}
			return c, nil, errors.New(why)
		}
		if vars[name] != "" { // an empty one sets nothing
			sources[key] = "environment " + name
		}
	}
	if err := env.ParseWithOptions(&c, env.Options{Environment: vars, Prefix: EnvPrefix}); err != nil {
		return c, nil, fmt.Errorf("the environment is wrong: %w", err)
	}
	return c, sources, nil
}

// EnvName is the environment variable of a key: "tls.min_version" is
// LINKSTEAD_TLS_MIN_VERSION.
func EnvName(key string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// explain says where a mistake is in the file, and what.
func explain(path string, err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		wrong := &InvalidError{}
		for _, e := range strict.Errors {
			row, col := e.Position()
			key := strings.Join(e.Key(), ".")
			p := Problem{Where: fmt.Sprintf("%s: line %d, column %d", path, row, col), Message: "unknown key " + key}
			if meant := similar(key, keyNames()); meant != "" {
				p.Message += "; did you mean " + meant + "?"
			}
			wrong.Problems = append(wrong.Problems, p)
		}
		return wrong
	}
	var d *toml.DecodeError
	if errors.As(err, &d) {
		row, col := d.Position()
		return &InvalidError{[]Problem{{
			Where: fmt.Sprintf("%s: line %d, column %d", path, row, col), Key: strings.Join(d.Key(), "."),
			Message: plain(strings.TrimPrefix(d.Error(), "toml: ")),
		}}}
	}
	return fmt.Errorf("%s: %w", path, err)
}

// typeNames are Go's names of the types of settings, in words.
var typeNames = map[string]string{
	"string": "a text in quotes", "[]string": "a list of texts", "bool": "true or false", "int": "a whole number", "int64": "a whole number",
}

// plain says a mistake in the type of a value in the words of its writer.
func plain(message string) string {
	is, should, found := strings.Cut(message, " into struct field ")
	is, decoding := strings.CutPrefix(is, "cannot decode TOML ")
	if !found || !decoding {
		return message
	}
	_, goType, _ := strings.Cut(should, " of type ")
	name := typeNames[goType]
	if name == "" {
		return "a TOML " + is + " does not fit here"
	}
	return "must be " + name + ", and is a TOML " + is
}

// keysIn lists the keys that a TOML document sets.
func keysIn(b []byte) ([]string, error) {
	var tree map[string]any
	if err := toml.Unmarshal(b, &tree); err != nil {
		return nil, err
	}
	var keys []string
	var walk func(prefix string, m map[string]any)
	walk = func(prefix string, m map[string]any) {
		for k, v := range m {
			if sub, ok := v.(map[string]any); ok {
				walk(prefix+k+".", sub)
				continue
			}
			keys = append(keys, prefix+k)
		}
	}
	walk("", tree)
	return keys, nil
}

// Entry is one value of the effective configuration.
type Entry struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Source string `json:"source"`
}

// Entries lists the effective configuration in the order of keys.
func (c *Config) Entries(s Sources) []Entry {
	flat := c.flat()
	keys := make([]string, 0, len(flat))
	for k := range flat {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	out := make([]Entry, 0, len(keys))
	for _, k := range keys {
		out = append(out, Entry{k, flat[k], s[k]})
	}
	return out
}

// flat gives every value by key.
func (c *Config) flat() map[string]any {
	out := map[string]any{}
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		t := v.Type()
		for i := range t.NumField() {
			key := prefix + t.Field(i).Tag.Get("toml")
			f := v.Field(i)
			if f.Kind() == reflect.Struct {
				walk(key+".", f)
				continue
			}
			if d, ok := f.Interface().(Duration); ok {
				out[key] = d.String()
				continue
			}
			out[key] = f.Interface()
		}
	}
	walk("", reflect.ValueOf(c).Elem())
	return out
}
