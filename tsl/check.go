package tsl

import (
	"math"
	"strconv"

	"github.com/linkstead/linkstead/devjson"
)

// Check tells whether v fits the type: nil when it does, without allocating.
// The [Problem] has no Identifier, as a type does not know whose it is. With
// [None] everything fits.
func (t *DataType) Check(v devjson.Value, mode Mode) *Problem {
	if mode == None {
		return nil
	}
	switch t.Kind {
	case Int:
		return t.checkInt(v, mode)
	case Float:
		return t.checkNumber(v, mode, CodeFloat, textFloatType, textFloatRange)
	case Double:
		return t.checkNumber(v, mode, CodeDouble, textDoubleType, textDoubleRange)
	case Bool:
		return checkBool(v, mode)
	case Enum:
		return t.checkEnum(v, mode)
	case Text:
		return t.checkText(v, mode)
	case Date:
		return checkDate(v, mode)
	case Struct:
		return t.checkStruct(v, mode)
	case Array:
		return t.checkArray(v, mode)
	}
	return nil
}

// mismatch is the problem of a value that has another JSON type than its own.
func mismatch(code int, message string, v devjson.Value, want string) *Problem {
	return &Problem{Code: code, Message: message, Detail: shown(v) + " is not " + want, mismatch: true}
}

func (t *DataType) checkInt(v devjson.Value, mode Mode) *Problem {
	n, ok := v.Int64()
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		return mismatch(CodeInt, textIntType, v, "an integer of 32 bits")
	}
	if mode == Strong {
		return t.checkRange(float64(n), v, 0, CodeInt, textIntRange)
	}
	return nil
}

func (t *DataType) checkNumber(v devjson.Value, mode Mode, code int, typeText, rangeText string) *Problem {
	f, ok := v.Float64()
	if !ok || math.IsInf(f, 0) || (t.Kind == Float && math.Abs(f) > math.MaxFloat32) {
		return mismatch(code, typeText, v, "a "+t.Kind.String()+" number")
	}
	if mode != Strong {
		return nil
	}
	precision := 0x1p-50
	if t.Kind == Float {
		// Firmware prints its float32 with %f: 23.6 arrives as 23.600000381.
		precision = 0x1p-22
	}
	return t.checkRange(f, v, precision, code, rangeText)
}

// checkRange compares f with min, max and step. precision is the relative error
// that the step forgives, steps being counted from min (or 0).
func (t *DataType) checkRange(f float64, v devjson.Value, precision float64, code int, message string) *Problem {
	switch {
	case t.Min.Set && f < t.Min.Value:
		return &Problem{Code: code, Message: message, Detail: shown(v) + " is below the minimum " + t.Min.Text}
	case t.Max.Set && f > t.Max.Value:
		return &Problem{Code: code, Message: message, Detail: shown(v) + " is above the maximum " + t.Max.Text}
	case t.Step.Set:
		base, from := 0.0, "0"
		if t.Min.Set {
			base, from = t.Min.Value, t.Min.Text
		}
		steps := (f - base) / t.Step.Value
		off := math.Abs(steps - math.Round(steps))
		tolerance := 1e-9 + (math.Abs(f)+math.Abs(base))*precision/t.Step.Value
		if off > tolerance {
			return &Problem{Code: code, Message: message,
				Detail: shown(v) + " is not a multiple of the step " + t.Step.Text + " from " + from}
		}
	}
	return nil
}

func checkBool(v devjson.Value, mode Mode) *Problem {
	if v.Kind() == devjson.Bool && mode == Weak {
		return nil
	}
	if n, ok := v.Int64(); ok && (n == 0 || n == 1) {
		return nil
	}
	return mismatch(CodeBool, textBool, v, "0 or 1")
}

func (t *DataType) checkEnum(v devjson.Value, mode Mode) *Problem {
	n, ok := v.Int64()
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		return mismatch(CodeEnum, textEnumType, v, "an integer of 32 bits")
	}
	if mode == Strong {
		if _, member := t.label(n); !member {
			return &Problem{Code: CodeEnum, Message: textEnum, Detail: shown(v) + " is none of " + t.labelList()}
		}
	}
	return nil
}

func (t *DataType) checkText(v devjson.Value, mode Mode) *Problem {
	s, ok := v.Str()
	if !ok {
		return mismatch(CodeText, textTextType, v, "a string")
	}
	if mode == Strong && len(s) > t.maxLength() {
		return &Problem{Code: CodeText, Message: textTextLength,
			Detail: strconv.Itoa(len(s)) + " bytes are more than the " + strconv.Itoa(t.maxLength()) + " allowed"}
	}
	return nil
}

// maxLength is the longest text in bytes.
func (t *DataType) maxLength() int {
	if t.Length == 0 {
		return MaxText
	}
	return t.Length
}

func checkDate(v devjson.Value, mode Mode) *Problem {
	if s, ok := v.Str(); ok {
		if _, ok := millis(s); ok {
			return nil
		}
	} else if n, ok := v.Int64(); ok && n >= 0 && mode == Weak {
		return nil
	}
	return mismatch(CodeDate, textDate, v, `a string of UTC milliseconds such as "1524448722000"`)
}

// millis reads 1 to 18 decimal digits, which cannot overflow.
func millis(s string) (int64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// checkStruct walks the model's members, not the device's: only when the
// device's are more than those found is there something unknown to look for.
func (t *DataType) checkStruct(v devjson.Value, mode Mode) *Problem {
	if v.Kind() != devjson.Object {
		return mismatch(CodeStruct, textStructType, v, "an object")
	}
	found := 0
	for i := range t.Fields {
		f := &t.Fields[i]
		member := v.Get(f.Identifier)
		if !member.Exists() {
			if mode == Strong {
				return &Problem{Code: CodeStruct, Message: textStruct, Member: "." + f.Identifier, Detail: "the member is missing"}
			}
			continue
		}
		found++
		if p := f.Type.Check(member, mode); p != nil {
			p.Member = "." + f.Identifier + p.Member
			return p
		}
	}
	if v.Len() > found {
		return unknownIn(t.Fields, v)
	}
	return nil
}

// unknownIn returns the problem of the first member of v that params do not
// name, nil when v only repeats known ones.
func unknownIn(params []Param, v devjson.Value) *Problem {
	var problem *Problem
	v.Each(func(key string, _ devjson.Value) bool {
		if field(params, key) == nil {
			problem = &Problem{Code: CodeUnknownParam, Message: textUnknown,
				Member: "." + clip(key, maxIdentifierShown), Detail: "the struct has no such member"}
		}
		return problem == nil
	})
	return problem
}

func (t *DataType) checkArray(v devjson.Value, mode Mode) *Problem {
	if v.Kind() != devjson.Array {
		return mismatch(CodeNotArray, textArrayType, v, "an array")
	}
	n := v.Len()
	if mode == Strong && n > t.Size {
		return &Problem{Code: CodeArray, Message: textArrayLength,
			Detail: strconv.Itoa(n) + " elements are more than the " + strconv.Itoa(t.Size) + " allowed"}
	}
	for i := range n {
		if p := t.Item.Check(v.Index(i), mode); p != nil {
			if p.mismatch && p.Member == "" {
				p.Code, p.Message = CodeArrayItem, textArrayItem
			}
			p.Member = "[" + strconv.Itoa(i) + "]" + p.Member
			return p
		}
	}
	return nil
}
