package tsl

import "fmt"

// Kind is the type of a value, the "type" of spec/thing-model.md §2.
type Kind uint8

// The nine kinds. The zero Kind is none of them.
const (
	Int    Kind = iota + 1 // JSON number, 32-bit signed
	Float                  // JSON number, single precision
	Double                 // JSON number, double precision
	Bool                   // JSON number 0 or 1
	Enum                   // JSON number, one of the labels
	Text                   // JSON string
	Date                   // JSON string of UTC milliseconds
	Struct                 // JSON object of fields
	Array                  // JSON array of one kind of item
)

var kindNames = [...]string{"", "int", "float", "double", "bool", "enum", "text", "date", "struct", "array"}

// String returns the name used in the TSL: "int", "float" and so on.
func (k Kind) String() string {
	if k >= 1 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Limits of spec/thing-model.md §1–2 and the cloud's quota list.
const (
	MaxDocument      = 256 << 10 // bytes of a TSL document
	MaxFeatures      = 300       // properties, events and services together
	MaxPerList       = 256       // properties, events or services
	MaxFields        = 50        // members of a struct
	MaxEnum          = 100       // labels of an enum
	MaxText          = 10240     // bytes (UTF-8) of a text
	MaxArray         = 512       // elements of an array
	MaxEventOutput   = 50        // parameters of an event
	MaxServiceParams = 20        // parameters of a service, each direction
	MaxName          = 30        // characters of a name
	MaxDesc          = 100       // characters of a description
)

// DataType is the type of a property or parameter with its specs.
type DataType struct {
	Kind Kind

	// Min, Max and Step bound Int, Float and Double; each may be absent.
	Min, Max, Step Limit
	// Unit and UnitName belong to Int, Float and Double: "°C", "degree Celsius".
	Unit, UnitName string

	// Labels names the values of Bool (0 and 1, or none) and Enum (at least
	// one), in ascending order of value.
	Labels []Label

	// Length is the longest Text in bytes of UTF-8; 0 when the model does not
	// say, which means [MaxText].
	Length int

	// Size is the largest number of elements of an Array, 1 to 512.
	Size int
	// Item is the type of every element of an Array: Int, Float, Double, Text or
	// Struct.
	Item *DataType

	// Fields are the members of a Struct, 1 to 50, in the model's order.
	Fields []Param
}

// Limit is a bound that may be absent.
type Limit struct {
	// Set tells whether the model gives the bound at all.
	Set bool
	// Value is the bound.
	Value float64
	// Text is the bound as the model spells it, so that "0.10" survives an
	// export.
	Text string
}

// Label names one value of a bool or enum.
type Label struct {
	Value int32
	Text  string
}

// Param is a parameter of an event or service, or a member of a struct.
type Param struct {
	Identifier string
	Name       string // what people call it; may be empty
	Type       *DataType
}

// label finds the label of value by binary search.
func (t *DataType) label(value int64) (string, bool) {
	lo, hi := 0, len(t.Labels)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch got := int64(t.Labels[mid].Value); {
		case got == value:
			return t.Labels[mid].Text, true
		case got < value:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return "", false
}

// Label returns the label of a Bool or Enum value, "on" for 1; false when the
// model gives none.
func (t *DataType) Label(value int64) (string, bool) { return t.label(value) }

// field finds a parameter by identifier. Lists are at most 50 long and usually
// under ten, where walking beats hashing.
func field(params []Param, identifier string) *Param {
	for i := range params {
		if params[i].Identifier == identifier {
			return &params[i]
		}
	}
	return nil
}
