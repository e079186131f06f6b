package tsl

import "strings"

// MaxIdentifier is the longest identifier, in characters (all of them ASCII).
const MaxIdentifier = 50

// reserved are the words that the protocol itself uses in the places where
// identifiers stand: set, get and post in topics, value and time in wrappers.
// Keeping them free is what makes {"value":…} always the timestamped form.
var reserved = [...]string{"set", "get", "post", "time", "value"}

// ValidIdentifier reports whether s may name a property, event, service or
// parameter: 1 to 50 letters, digits or underscores, and not one of the
// reserved words set, get, post, time, value (spec/thing-model.md §1).
func ValidIdentifier(s string) bool { return identifierWrong(s) == "" }

// identifierWrong says what is wrong with s, or "".
func identifierWrong(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > MaxIdentifier:
		return "is " + quoted(s) + ", longer than 50 characters"
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return "is " + quoted(s)
		}
	}
	for _, word := range reserved {
		if s == word {
			return "is the reserved word " + quoted(s)
		}
	}
	return ""
}

// SplitModule splits a qualified identifier such as "roomA:Temp" into the
// module and the identifier within it. The module is empty when there is none.
func SplitModule(identifier string) (module, local string) {
	if module, local, ok := strings.Cut(identifier, ":"); ok {
		return module, local
	}
	return "", identifier
}
