package tsl

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/linkstead/linkstead/devjson"
)

// place says where a dataType stands, which decides what it may be. Types nest
// at most array → struct → array → simple, so reading them needs no depth limit.
type place struct {
	inStruct bool // somewhere below a struct: no second struct
	isItem   bool // the item of an array: only int, float, double, text, struct
}

func (r *reader) dataType(v devjson.Value, path string, in place) *DataType {
	if !r.is(v, devjson.Object, path) {
		return nil
	}
	t := &DataType{Kind: r.kind(v, path, in)}
	specs, where := v.Get("specs"), sub(path, "specs")
	if specs.Exists() && specs.Kind() == devjson.Null {
		specs = devjson.Value{}
	}
	switch t.Kind {
	case Struct:
		if r.is(specs, devjson.Array, where) {
			if specs.Len() == 0 {
				r.report(where, "is empty", "a list of 1 to 50 members")
			}
			t.Fields = r.params(specs, where, MaxFields, place{inStruct: true})
		}
		return t
	case 0, Date:
		return t
	case Enum, Array:
		if !r.is(specs, devjson.Object, where) {
			return t
		}
	default:
		// Simple types are complete without specs.
		if !specs.Exists() || !r.is(specs, devjson.Object, where) {
			return t
		}
	}
	switch t.Kind {
	case Int, Float, Double:
		r.bounds(t, specs, where)
	case Bool:
		r.labels(t, specs, where, "0 or 1", 2)
	case Enum:
		r.labels(t, specs, where, "an integer of 32 bits such as 0 or -3", MaxEnum)
		if specs.Len() == 0 {
			r.report(where, "is empty", "1 to 100 integers with their labels")
		}
	case Text:
		if length := specs.Get("length"); present(length) {
			t.Length = r.count(length, sub(where, "length"), MaxText)
		}
	case Array:
		t.Size = r.count(specs.Get("size"), sub(where, "size"), MaxArray)
		t.Item = r.dataType(specs.Get("item"), sub(where, "item"), place{inStruct: in.inStruct, isItem: true})
	}
	return t
}

// kind reads the type's name, 0 when it is not one that may stand here.
func (r *reader) kind(v devjson.Value, path string, in place) Kind {
	allowed := []string{"int", "float", "double", "text"}
	if !in.isItem {
		allowed = []string{"int", "float", "double", "bool", "enum", "text", "date", "array"}
	}
	if !in.inStruct {
		allowed = append(allowed, "struct")
	}
	word := r.word(v, path, "type", allowed...)
	if word == "" {
		return 0
	}
	return Kind(slices.Index(kindNames[:], word))
}

// bounds reads min, max, step and the unit of a number.
func (r *reader) bounds(t *DataType, specs devjson.Value, path string) {
	t.Min = r.limit(t.Kind, specs.Get("min"), sub(path, "min"))
	t.Max = r.limit(t.Kind, specs.Get("max"), sub(path, "max"))
	t.Step = r.limit(t.Kind, specs.Get("step"), sub(path, "step"))
	if t.Min.Set && t.Max.Set && t.Min.Value > t.Max.Value {
		r.report(sub(path, "min"), "is "+t.Min.Text, "at most max, which is "+t.Max.Text)
	}
	if t.Step.Set && t.Step.Value <= 0 {
		r.report(sub(path, "step"), "is "+t.Step.Text, "greater than 0")
	}
	t.Unit = r.text(specs, path, "unit", 64)
	t.UnitName = r.text(specs, path, "unitName", 64)
}

// limit reads a bound written as a number or as a string of one; an absent,
// null or empty one is not set.
func (r *reader) limit(kind Kind, v devjson.Value, path string) Limit {
	if !present(v) {
		return Limit{}
	}
	want := "a decimal number"
	if kind == Int {
		want = "an integer of 32 bits"
	}
	text, ok := decimal(v)
	if !ok {
		r.report(path, "is "+shown(v), want)
		return Limit{}
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(value, 0) || (kind == Int && !isInt32(value)) {
		r.report(path, "is "+shown(v), want)
		return Limit{}
	}
	return Limit{Set: true, Value: value, Text: strings.Clone(text)}
}

// labels reads a map from integers to labels, ascending.
func (r *reader) labels(t *DataType, specs devjson.Value, path, wantKey string, most int) {
	if specs.Len() > most {
		r.report(path, fmt.Sprintf("has %d entries", specs.Len()), fmt.Sprintf("at most %d", most))
		return
	}
	specs.Each(func(key string, v devjson.Value) bool {
		where := sub(path, clip(key, maxValueShown))
		n, err := strconv.ParseInt(key, 10, 32)
		if err != nil || strconv.FormatInt(n, 10) != key || (t.Kind == Bool && n != 0 && n != 1) {
			r.report(where, "has the key "+quoted(key), wantKey)
			return true
		}
		text, ok := v.Str()
		if !ok {
			r.report(where, "is "+shown(v), "a label (string)")
			return true
		}
		label := Label{Value: int32(n), Text: strings.Clone(text)}
		i, found := slices.BinarySearchFunc(t.Labels, label, func(a, b Label) int { return cmp.Compare(a.Value, b.Value) })
		if found {
			r.report(where, "occurs twice", "unique in its list")
			return true
		}
		t.Labels = slices.Insert(t.Labels, i, label)
		return true
	})
}

// count reads a whole number from 1 to most, written as a number or a string.
func (r *reader) count(v devjson.Value, path string, most int) int {
	want := fmt.Sprintf("a whole number from 1 to %d", most)
	if !v.Exists() {
		r.report(path, "is missing", want)
		return 0
	}
	if text, ok := decimal(v); ok {
		if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= most {
			return n
		}
	}
	r.report(path, "is "+shown(v), want)
	return 0
}

// present reports whether an optional spec is there: exports write "" for
// bounds that nobody filled in.
func present(v devjson.Value) bool {
	if !v.Exists() || v.Kind() == devjson.Null {
		return false
	}
	s, isText := v.Str()
	return !isText || s != ""
}

// decimal returns the text of a number written as a number or as a string. Only
// characters of decimal notation pass: strconv alone would take "0x10" and "inf".
func decimal(v devjson.Value) (string, bool) {
	text, ok := v.Str()
	if !ok {
		if v.Kind() != devjson.Number {
			return "", false
		}
		text = v.NumberText()
	}
	if text == "" || len(text) > 40 || strings.Trim(text, "0123456789+-.eE") != "" {
		return "", false
	}
	return text, true
}

// isInt32 reports whether f is a whole number of 32 bits, signed.
func isInt32(f float64) bool {
	return f == math.Trunc(f) && f >= math.MinInt32 && f <= math.MaxInt32
}
