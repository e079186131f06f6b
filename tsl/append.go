package tsl

import (
	"strconv"

	"github.com/linkstead/linkstead/devjson"
)

// AppendValue appends v to dst as compact JSON in the canonical spelling of the
// type: an int written 6.0 becomes 6, true and false become 1 and 0, a date
// written as a number becomes a string, and struct members come in the model's
// order, those it does not know at the end. A value that does not fit is
// appended as it is. The result is always valid JSON.
func (t *DataType) AppendValue(dst []byte, v devjson.Value) []byte {
	switch t.Kind {
	case Int, Enum:
		if n, ok := v.Int64(); ok {
			return strconv.AppendInt(dst, n, 10)
		}
	case Bool:
		if v.Kind() == devjson.Bool {
			if v.Bool() {
				return append(dst, '1')
			}
			return append(dst, '0')
		}
		if n, ok := v.Int64(); ok {
			return strconv.AppendInt(dst, n, 10)
		}
	case Date:
		if n, ok := v.Int64(); ok && n >= 0 {
			dst = append(dst, '"')
			dst = strconv.AppendInt(dst, n, 10)
			return append(dst, '"')
		}
	case Struct:
		if v.Kind() == devjson.Object {
			return t.appendStruct(dst, v)
		}
	case Array:
		if v.Kind() == devjson.Array {
			dst = append(dst, '[')
			for i := range v.Len() {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = t.Item.AppendValue(dst, v.Index(i))
			}
			return append(dst, ']')
		}
	}
	return v.AppendJSON(dst)
}

func (t *DataType) appendStruct(dst []byte, v devjson.Value) []byte {
	dst = append(dst, '{')
	first := len(dst)
	found := 0
	for i := range t.Fields {
		f := &t.Fields[i]
		member := v.Get(f.Identifier)
		if !member.Exists() {
			continue
		}
		found++
		dst = appendKey(dst, first, f.Identifier)
		dst = f.Type.AppendValue(dst, member)
	}
	if v.Len() > found {
		v.Each(func(key string, member devjson.Value) bool {
			if field(t.Fields, key) == nil {
				dst = appendKey(dst, first, key)
				dst = member.AppendJSON(dst)
			}
			return true
		})
	}
	return append(dst, '}')
}

// appendKey appends a member's key, and a comma before it unless the object that
// starts at first is still empty.
func appendKey(dst []byte, first int, key string) []byte {
	if len(dst) > first {
		dst = append(dst, ',')
	}
	dst = devjson.AppendString(dst, key)
	return append(dst, ':')
}
