package tsl

import (
	"strconv"

	"github.com/linkstead/linkstead/devjson"
)

// appendDataType appends {"type":…,"specs":…} with the numbers of specs written
// as strings, as the cloud does.
func appendDataType(b []byte, t *DataType) []byte {
	b = append(b, `{"type":"`...)
	b = append(b, t.Kind.String()...)
	b = append(b, `","specs":`...)
	if t.Kind == Struct {
		b = appendParams(b, t.Fields)
		return append(b, '}')
	}
	b = append(b, '{')
	first := len(b)
	switch t.Kind {
	case Int, Float, Double:
		b = appendSpec(b, first, "min", t.Min.Text)
		b = appendSpec(b, first, "max", t.Max.Text)
		b = appendSpec(b, first, "step", t.Step.Text)
		b = appendSpec(b, first, "unit", t.Unit)
		b = appendSpec(b, first, "unitName", t.UnitName)
	case Bool, Enum:
		for _, label := range t.Labels {
			b = appendKey(b, first, strconv.Itoa(int(label.Value)))
			b = devjson.AppendString(b, label.Text)
		}
	case Text:
		if t.Length > 0 {
			b = appendSpec(b, first, "length", strconv.Itoa(t.Length))
		}
	case Array:
		b = appendSpec(b, first, "size", strconv.Itoa(t.Size))
		b = append(b, `,"item":`...)
		b = appendDataType(b, t.Item)
	}
	return append(b, "}}"...)
}

// appendSpec appends a spec unless it is empty, which is the same as absent.
func appendSpec(b []byte, first int, key, value string) []byte {
	if value == "" {
		return b
	}
	b = appendKey(b, first, key)
	return devjson.AppendString(b, value)
}
