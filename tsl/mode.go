package tsl

import "fmt"

// Mode says how much of a value is checked. The zero value is [Weak], the
// default of products created since 2020-10-14 (spec/thing-model.md §15).
type Mode uint8

const (
	// Weak checks identifiers and data types. Ranges, lengths, steps, enum
	// members and missing struct members are not looked at; true/false is taken
	// for a bool and a number for a date.
	Weak Mode = iota
	// Strong checks everything the model says.
	Strong
	// None checks nothing.
	None
)

// String returns "weak", "strong" or "none".
func (m Mode) String() string {
	switch m {
	case Weak:
		return "weak"
	case Strong:
		return "strong"
	case None:
		return "none"
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// ParseMode is the inverse of [Mode.String]. The empty string is [Weak].
func ParseMode(s string) (Mode, error) {
	switch s {
	case "", "weak":
		return Weak, nil
	case "strong":
		return Strong, nil
	case "none":
		return None, nil
	}
	return Weak, fmt.Errorf("validation mode %q: should be weak, strong or none", s)
}

// MarshalText writes the mode as [Mode.String] does.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what [ParseMode] reads.
func (m *Mode) UnmarshalText(text []byte) error {
	parsed, err := ParseMode(string(text))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}
