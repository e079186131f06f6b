package tsl

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/linkstead/linkstead/devjson"
)

// Parse reads a TSL document as the cloud exports it: strict JSON of at most
// 256 KB, the numbers in specs written as strings or as numbers, with or without
// the generated entries (event "post", services "set" and "get"), which are
// neither checked nor counted. A document of one custom module (functionBlockId
// at the top) and a list of modules under functionBlocks are understood too.
//
// The error is a [*ParseError] with every mistake found.
func Parse(doc []byte) (*Model, error) {
	r := &reader{model: &Model{}, seen: make(map[string]string)}
	r.document(doc)
	if len(r.issues) > 0 {
		return nil, &ParseError{Issues: r.issues, More: r.more}
	}
	r.model.index()
	return r.model, nil
}

// index builds the maps that the hot path looks identifiers up in.
func (m *Model) index() {
	m.propertyByID = make(map[string]*Property, len(m.properties))
	for _, p := range m.properties {
		m.propertyByID[p.Identifier] = p
	}
	m.eventByID = make(map[string]*Event, len(m.events))
	for _, e := range m.events {
		m.eventByID[e.Identifier] = e
	}
	m.serviceByID = make(map[string]*Service, len(m.services))
	for _, s := range m.services {
		m.serviceByID[s.Identifier] = s
	}
}

// reader walks one document and collects its mistakes.
type reader struct {
	model  *Model
	seen   map[string]string // qualified identifier → path of its first use
	issues []Issue
	more   int
}

func (r *reader) report(path, wrong, want string) {
	if len(r.issues) == maxIssues {
		r.more++
		return
	}
	r.issues = append(r.issues, Issue{Path: path, Wrong: wrong, Want: want})
}

func (r *reader) document(doc []byte) {
	if len(doc) > MaxDocument {
		r.report("", fmt.Sprintf("has %d bytes", len(doc)), "at most 262144 (256 KB)")
		return
	}
	// Editors on Windows put a byte order mark in front.
	doc = bytes.TrimPrefix(doc, []byte("\xef\xbb\xbf"))
	var parser devjson.Parser
	v, err := parser.ParseStrict(doc)
	if err != nil {
		r.report("", notJSON(doc, err), "one JSON object with properties, events and services")
		return
	}
	if !r.is(v, devjson.Object, "") {
		return
	}
	m := r.model
	m.schema = r.text(v, "", "schema", 0)
	if profile := v.Get("profile"); profile.Exists() && r.is(profile, devjson.Object, "profile") {
		m.version = r.text(profile, "profile", "version", 64)
	}
	lists := v.Get("properties").Exists() || v.Get("events").Exists() || v.Get("services").Exists()
	blocks := v.Get("functionBlocks")
	if !lists && !blocks.Exists() {
		r.report("", "has none of properties, events and services", "a TSL with at least one of these lists")
		return
	}
	r.section(v, "")
	if r.list(blocks, "functionBlocks") {
		for i := range blocks.Len() {
			if block := blocks.Index(i); r.is(block, devjson.Object, at("functionBlocks", i)) {
				if !block.Get("functionBlockId").Exists() {
					r.report(sub(at("functionBlocks", i), "functionBlockId"), "is missing", "the module's identifier")
					continue
				}
				r.section(block, at("functionBlocks", i))
			}
		}
	}
	r.counts()
}

// notJSON says where a document stops being JSON in the terms of an editor: a
// byte offset is no help in a file of 3000 lines.
func notJSON(doc []byte, err error) string {
	var syntax *devjson.SyntaxError
	if !errors.As(err, &syntax) {
		return "is not JSON: " + err.Error()
	}
	before := doc[:min(max(syntax.Offset, 0), len(doc))]
	line := 1 + bytes.Count(before, []byte{'\n'})
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return fmt.Sprintf("is not JSON: line %d, column %d: found %s, expected %s", line, column, syntax.Found, syntax.Expected)
}

// counts checks the quotas, which are per product: all modules together.
func (r *reader) counts() {
	m := r.model
	total := 0
	for _, list := range []struct {
		path string
		n    int
	}{{"properties", len(m.properties)}, {"events", len(m.events)}, {"services", len(m.services)}} {
		if list.n > MaxPerList {
			r.report(list.path, fmt.Sprintf("has %d entries", list.n), "at most 256")
		}
		total += list.n
	}
	if total > MaxFeatures {
		r.report("", fmt.Sprintf("has %d properties, events and services together", total), "at most 300")
	}
}

// section reads the three lists of the document or of one module.
func (r *reader) section(v devjson.Value, path string) {
	module := r.module(v, path)
	properties := v.Get("properties")
	if where := sub(path, "properties"); r.list(properties, where) {
		for i := range properties.Len() {
			r.property(properties.Index(i), at(where, i), module)
		}
	}
	events := v.Get("events")
	if where := sub(path, "events"); r.list(events, where) {
		for i := range events.Len() {
			r.event(events.Index(i), at(where, i), module)
		}
	}
	services := v.Get("services")
	if where := sub(path, "services"); r.list(services, where) {
		for i := range services.Len() {
			r.service(services.Index(i), at(where, i), module)
		}
	}
}

// module reads functionBlockId and functionBlockName and returns the module, ""
// for the default one.
func (r *reader) module(v devjson.Value, path string) string {
	if !v.Get("functionBlockId").Exists() {
		return ""
	}
	id := r.text(v, path, "functionBlockId", MaxIdentifier)
	if id == "default" {
		return ""
	}
	where := sub(path, "functionBlockId")
	if wrong := identifierWrong(id); wrong != "" {
		r.report(where, wrong, wantIdentifier)
		return ""
	}
	for _, m := range r.model.modules {
		if m.ID == id {
			r.report(where, "is "+quoted(id)+", used before", "unique in the product")
			return id
		}
	}
	r.model.modules = append(r.model.modules, Module{ID: id, Name: r.text(v, path, "functionBlockName", MaxName)})
	return id
}

const wantIdentifier = "1 to 50 letters, digits or underscores and not set, get, post, time or value"

// feature reads what properties, events and services have in common. generated
// tells whether the entry is one that exports add by themselves.
func (r *reader) feature(v devjson.Value, path, module string, generated ...string) (identifier, name, desc string, required, ok bool) {
	if !r.is(v, devjson.Object, path) {
		return "", "", "", false, false
	}
	if id, isText := v.Get("identifier").Str(); isText {
		for _, g := range generated {
			if id == g {
				return "", "", "", false, false
			}
		}
	}
	identifier = r.identifier(v, path)
	if identifier != "" {
		if module != "" {
			identifier = module + ":" + identifier
		}
		if first, used := r.seen[identifier]; used {
			r.report(sub(path, "identifier"), "is "+quoted(identifier)+", used before by "+first, "unique in the product")
		} else {
			r.seen[identifier] = path
		}
	}
	name = r.text(v, path, "name", MaxName)
	desc = r.text(v, path, "desc", MaxDesc)
	switch flag := v.Get("required"); {
	case !flag.Exists():
	case flag.Kind() == devjson.Bool:
		required = flag.Bool()
	default:
		r.report(sub(path, "required"), "is "+shown(flag), "true or false")
	}
	return identifier, name, desc, required, true
}

func (r *reader) property(v devjson.Value, path, module string) {
	identifier, name, desc, required, ok := r.feature(v, path, module)
	if !ok {
		return
	}
	p := &Property{Identifier: identifier, Name: name, Desc: desc, Required: required}
	p.AccessMode = AccessMode(r.word(v, path, "accessMode", "r", "rw", "w"))
	p.Type = r.dataType(v.Get("dataType"), sub(path, "dataType"), place{})
	r.model.properties = append(r.model.properties, p)
}

func (r *reader) event(v devjson.Value, path, module string) {
	identifier, name, desc, required, ok := r.feature(v, path, module, "post")
	if !ok {
		return
	}
	e := &Event{Identifier: identifier, Name: name, Desc: desc, Required: required}
	e.Kind = EventKind(r.word(v, path, "type", "info", "alert", "error"))
	e.Output = r.params(v.Get("outputData"), sub(path, "outputData"), MaxEventOutput, place{})
	r.model.events = append(r.model.events, e)
}

func (r *reader) service(v devjson.Value, path, module string) {
	identifier, name, desc, required, ok := r.feature(v, path, module, "set", "get")
	if !ok {
		return
	}
	s := &Service{Identifier: identifier, Name: name, Desc: desc, Required: required}
	s.CallType = CallType(r.word(v, path, "callType", "async", "sync"))
	s.Input = r.params(v.Get("inputData"), sub(path, "inputData"), MaxServiceParams, place{})
	s.Output = r.params(v.Get("outputData"), sub(path, "outputData"), MaxServiceParams, place{})
	r.model.services = append(r.model.services, s)
}

// params reads a list of parameters or struct members, at most most of them.
func (r *reader) params(v devjson.Value, path string, most int, in place) []Param {
	if !r.list(v, path) {
		return nil
	}
	if v.Len() > most {
		r.report(path, fmt.Sprintf("has %d entries", v.Len()), fmt.Sprintf("at most %d", most))
		return nil
	}
	var params []Param
	for i := range v.Len() {
		entry, where := v.Index(i), at(path, i)
		if !r.is(entry, devjson.Object, where) {
			continue
		}
		p := Param{Identifier: r.identifier(entry, where), Name: r.text(entry, where, "name", MaxName)}
		if p.Identifier != "" && field(params, p.Identifier) != nil {
			r.report(sub(where, "identifier"), "is "+quoted(p.Identifier)+", used before", "unique in its list")
		}
		p.Type = r.dataType(entry.Get("dataType"), sub(where, "dataType"), in)
		params = append(params, p)
	}
	return params
}

// identifier reads and checks the identifier of v, "" when it is wrong.
func (r *reader) identifier(v devjson.Value, path string) string {
	where := sub(path, "identifier")
	id := v.Get("identifier")
	if !id.Exists() {
		r.report(where, "is missing", wantIdentifier)
		return ""
	}
	s, ok := id.Str()
	if !ok {
		r.report(where, "is "+shown(id), wantIdentifier)
		return ""
	}
	if wrong := identifierWrong(s); wrong != "" {
		r.report(where, wrong, wantIdentifier)
		return ""
	}
	return strings.Clone(s)
}

// text reads an optional string of at most most characters (0: no limit of its
// own). null counts as absent.
func (r *reader) text(v devjson.Value, path, key string, most int) string {
	value := v.Get(key)
	if !value.Exists() || value.Kind() == devjson.Null {
		return ""
	}
	s, ok := value.Str()
	if !ok {
		r.report(sub(path, key), "is "+shown(value), "a string")
		return ""
	}
	if n := utf8.RuneCountInString(s); most > 0 && n > most {
		r.report(sub(path, key), fmt.Sprintf("has %d characters", n), fmt.Sprintf("at most %d", most))
		return ""
	}
	return strings.Clone(s)
}

// word reads a string that must be one of a few.
func (r *reader) word(v devjson.Value, path, key string, words ...string) string {
	value := v.Get(key)
	s, ok := value.Str()
	if ok {
		for _, word := range words {
			if s == word {
				return word
			}
		}
	}
	wrong := "is missing"
	if value.Exists() {
		wrong = "is " + shown(value)
	}
	last := len(words) - 1
	r.report(sub(path, key), wrong, strings.Join(words[:last], ", ")+" or "+words[last])
	return ""
}

// is reports whether v is of kind, and an issue when it is not.
func (r *reader) is(v devjson.Value, kind devjson.Kind, path string) bool {
	if v.Exists() && v.Kind() == kind {
		return true
	}
	want := "an object"
	if kind == devjson.Array {
		want = "a list"
	}
	wrong := "is missing"
	if v.Exists() {
		wrong = "is " + shown(v)
	}
	r.report(path, wrong, want)
	return false
}

// list reports whether v is a list; an absent one (or null) is simply empty.
func (r *reader) list(v devjson.Value, path string) bool {
	if !v.Exists() || v.Kind() == devjson.Null {
		return false
	}
	return r.is(v, devjson.Array, path)
}
