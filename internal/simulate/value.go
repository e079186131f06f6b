package simulate

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/tsl"
)

// values makes the values of one device, as JSON that fits the model.
type values struct {
	rand   *rand.Rand
	shapes map[string]Shape
	series map[string]*series
	held   map[string][]byte // what the server has set, until it sets it again
	begun  time.Time
}

// append appends the next value of a property or parameter. name tells apart
// what has the same type.
func (v *values) append(dst []byte, name string, t *tsl.DataType, now time.Time) []byte {
	switch t.Kind {
	case tsl.Int, tsl.Float, tsl.Double:
		return v.number(dst, name, t, now)
	case tsl.Bool:
		if sh, ok := v.shapes[name]; ok && sh.kind == "constant" {
			return strconv.AppendInt(dst, int64(min(max(sh.a, 0), 1)), 10)
		}
		return strconv.AppendInt(dst, int64(v.rand.IntN(2)), 10)
	case tsl.Enum:
		if len(t.Labels) == 0 {
			return append(dst, '0')
		}
		return strconv.AppendInt(dst, int64(t.Labels[v.rand.IntN(len(t.Labels))].Value), 10)
	case tsl.Text:
		text := "simulated " + strconv.FormatUint(uint64(v.rand.Uint32()), 36)
		if t.Length > 0 && t.Length < len(text) {
			text = text[:t.Length]
		}
		return devjson.AppendString(dst, text)
	case tsl.Date:
		dst = append(dst, '"')
		dst = strconv.AppendInt(dst, now.UnixMilli(), 10)
		return append(dst, '"')
	case tsl.Struct:
		return v.object(dst, name, t.Fields, now)
	case tsl.Array:
		dst = append(dst, '[')
		for i := range 1 + v.rand.IntN(min(max(t.Size, 1), 4)) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = v.append(dst, name, t.Item, now)
		}
		return append(dst, ']')
	}
	return append(dst, "null"...)
}

// object appends values for all of params.
func (v *values) object(dst []byte, name string, params []tsl.Param, now time.Time) []byte {
	dst = append(dst, '{')
	for i := range params {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(devjson.AppendString(dst, params[i].Identifier), ':')
		dst = v.append(dst, name+"."+params[i].Identifier, params[i].Type, now)
	}
	return append(dst, '}')
}

func (v *values) number(dst []byte, name string, t *tsl.DataType, now time.Time) []byte {
	b := bounds{min: 0, max: 100}
	if t.Min.Set {
		b.min = t.Min.Value
	}
	if t.Max.Set {
		b.max = t.Max.Value
	}
	if b.max < b.min {
		b.max = b.min
	}
	if t.Step.Set {
		b.step = t.Step.Value
	}
	if t.Kind == tsl.Int && b.step < 1 {
		b.step = 1
	}
	s := v.series[name]
	if s == nil {
		s = new(series)
		v.series[name] = s
	}
	n := s.next(v.shapes[name], b, now.Sub(v.begun), v.rand)
	if t.Kind == tsl.Int {
		return strconv.AppendInt(dst, int64(math.Round(n)), 10)
	}
	bits := 64
	if t.Kind == tsl.Float {
		bits = 32
	}
	return strconv.AppendFloat(dst, math.Round(n*1e4)/1e4, 'f', -1, bits)
}

// params appends all of the properties, those that the server has set with the
// value it gave them.
func (v *values) params(dst []byte, properties []*tsl.Property, now time.Time) []byte {
	return v.report(dst, properties, now, 0)
}

// report is params with the time of the values, in Unix milliseconds, unless it is 0.
func (v *values) report(dst []byte, properties []*tsl.Property, now time.Time, atMS int64) []byte {
	dst = append(dst, '{')
	for i, p := range properties {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(devjson.AppendString(dst, p.Identifier), ':')
		if atMS > 0 {
			dst = append(dst, `{"value":`...)
		}
		if held, ok := v.held[p.Identifier]; ok {
			dst = append(dst, held...)
		} else {
			dst = v.append(dst, p.Identifier, p.Type, now)
		}
		if atMS > 0 {
			dst = append(dst, `,"time":`...)
			dst = append(strconv.AppendInt(dst, atMS, 10), '}')
		}
	}
	return append(dst, '}')
}
