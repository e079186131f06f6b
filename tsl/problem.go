package tsl

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/linkstead/linkstead/devjson"
)

// Problem says why a value or a whole message does not fit the model.
type Problem struct {
	// Code is one of the Code constants.
	Code int
	// Message is the short text devices receive, such as
	// "tsl parse: params not exist". It is the same for every occurrence of the
	// same mistake, so that a reply stays small.
	Message string
	// Identifier is the property, event parameter or service parameter the
	// problem is about, at most 128 bytes of it; empty when it is the message as
	// a whole, or when a [DataType] is checked on its own.
	Identifier string
	// Member is the way from there to the offending part: ".x" for a struct
	// member, "[3]" for an array element; empty for the value itself.
	Member string
	// Detail tells the owner of the device what was found and what would have
	// been right, such as "200 is above the maximum 125".
	Detail string

	// mismatch marks a value of the wrong JSON type, as opposed to one of the
	// right type out of range; arrays report the two with different codes.
	mismatch bool
}

// Error returns the message, the code, where it is and the detail in one line.
func (p *Problem) Error() string {
	s := p.Message + " (code " + strconv.Itoa(p.Code) + ")"
	if where := p.Identifier + p.Member; where != "" {
		s += ": " + where
	}
	if p.Detail != "" {
		s += ": " + p.Detail
	}
	return s
}

// ForwardMessage is the text a forwarded message carries in checkFailedData,
// "tsl parse: params not exist -> attr".
func (p *Problem) ForwardMessage() string {
	if p.Identifier == "" {
		return p.Message
	}
	return p.Message + " -> " + p.Identifier
}

// Message texts. "params not exist" and "params too much" are the cloud's own;
// the others are written in their manner, as clients show them to people but
// never parse them.
const (
	textUnknown      = "tsl parse: params not exist"
	textNoProperty   = "tsl parse: property not exist"
	textNoEvent      = "tsl parse: event not exist"
	textNoService    = "tsl parse: service not exist"
	textNoIdentifier = "tsl parse: identifier is empty"
	textNoInput      = "tsl parse: input params missing"
	textReadOnly     = "tsl parse: property is read only"
	textTime         = "tsl parse: time format error"
	textTimeAhead    = "tsl parse: time is in the future"
	textTooMany      = "params too much"
	textEmpty        = "params is empty"
	textShape        = "params format error"

	textIntType     = "tsl parse: int type error"
	textIntRange    = "tsl parse: int out of range"
	textFloatType   = "tsl parse: float type error"
	textFloatRange  = "tsl parse: float out of range"
	textDoubleType  = "tsl parse: double type error"
	textDoubleRange = "tsl parse: double out of range"
	textBool        = "tsl parse: bool type error"
	textEnumType    = "tsl parse: enum type error"
	textEnum        = "tsl parse: enum value not exist"
	textTextType    = "tsl parse: text type error"
	textTextLength  = "tsl parse: text too long"
	textDate        = "tsl parse: date format error"
	textStructType  = "tsl parse: struct type error"
	textStruct      = "tsl parse: struct params missing"
	textArrayType   = "tsl parse: array type error"
	textArrayLength = "tsl parse: array too long"
	textArrayItem   = "tsl parse: array item type error"
)

const (
	maxIdentifierShown = 128
	maxValueShown      = 48
)

// clip copies at most n bytes of s, cut between characters. The copy matters:
// s may be part of a parser's buffer while a Problem outlives it.
func clip(s string, n int) string {
	if len(s) <= n {
		return strings.Clone(s)
	}
	cut := n - len("…")
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// shown describes a value for a Detail: the number or string itself, clipped,
// and only the kind of anything bigger.
func shown(v devjson.Value) string {
	switch v.Kind() {
	case devjson.Number:
		return clip(v.NumberText(), maxValueShown)
	case devjson.String:
		s, _ := v.Str()
		return strconv.Quote(clip(s, maxValueShown))
	case devjson.Bool:
		return strconv.FormatBool(v.Bool())
	case devjson.Object:
		return "an object"
	case devjson.Array:
		return "an array"
	}
	return "null"
}
