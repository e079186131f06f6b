package topics

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// MaxLevels is the number of levels that [ValidFilter] and [ValidTopic]
	// accept. The standard sets no bound; without one a 64 KB packet makes a
	// tree 65,536 nodes deep.
	MaxLevels = 128

	// MaxBytes is the longest topic or filter in bytes that a packet can carry
	// [MQTT-4.7.3-3].
	MaxBytes = 65535

	sharePrefix = "$share/"
)

// Limits bounds topics and filters more or less tightly than the defaults. A
// zero field means the default.
type Limits struct {
	Levels int // levels, separators plus one; 0: MaxLevels
	Bytes  int // length of the text in bytes; 0: MaxBytes
}

// InvalidError says why a topic name or topic filter was refused.
type InvalidError struct {
	What   string // "topic name" or "topic filter"
	Text   string // the refused text, cut to 64 bytes
	Clause string // clause of MQTT 5.0, such as "MQTT-4.7.1-1"; empty for a limit of this server
	Reason string // what is wrong with it and what would be right
}

// Error returns the text, the reason and the clause in one line.
func (e *InvalidError) Error() string {
	if e.Clause == "" {
		return fmt.Sprintf("%s %q: %s", e.What, e.Text, e.Reason)
	}
	return fmt.Sprintf("%s %q: %s [%s]", e.What, e.Text, e.Reason, e.Clause)
}

// ValidFilter reports whether f may be subscribed to: a topic filter (MQTT 4.7)
// or a shared subscription `$share/{group}/{filter}` (4.8.2), within [MaxLevels]
// and [MaxBytes]. The error is an [*InvalidError].
func ValidFilter(f string) error { return Limits{}.Filter(f) }

// ValidTopic reports whether t may be published to: a topic name without
// wildcards (MQTT 4.7), within [MaxLevels] and [MaxBytes]. The error is an
// [*InvalidError].
func ValidTopic(t string) error { return Limits{}.Topic(t) }

// Filter is [ValidFilter] with these limits. The levels of a shared
// subscription are those of the filter behind the group.
func (l Limits) Filter(f string) error {
	if err := l.text("topic filter", f); err != nil {
		return err
	}
	_, rest, _, err := ParseShared(f)
	if err != nil {
		return err
	}
	levels := 1
	for i := 0; i < len(rest); i++ {
		switch rest[i] {
		case '/':
			levels++
		case '#':
			if i != len(rest)-1 || !startsLevel(rest, i) {
				return invalid("topic filter", f, "MQTT-4.7.1-1",
					"'#' must be a whole level and the last one, as in \"a/#\"")
			}
		case '+':
			if !startsLevel(rest, i) || !endsLevel(rest, i+1) {
				return invalid("topic filter", f, "MQTT-4.7.1-2",
					"'+' must be a whole level, as in \"a/+/b\"")
			}
		}
	}
	return l.depth("topic filter", f, levels)
}

// Topic is [ValidTopic] with these limits.
func (l Limits) Topic(t string) error {
	if err := l.text("topic name", t); err != nil {
		return err
	}
	levels := 1
	for i := 0; i < len(t); i++ {
		switch t[i] {
		case '/':
			levels++
		case '#', '+':
			return invalid("topic name", t, "MQTT-4.7.0-1",
				"wildcards are for subscribing only; publish to one topic")
		}
	}
	return l.depth("topic name", t, levels)
}

// text checks what topic names and filters have in common.
func (l Limits) text(what, s string) error {
	limit := l.Bytes
	if limit <= 0 || limit > MaxBytes {
		limit = MaxBytes
	}
	switch {
	case s == "":
		return invalid(what, s, "MQTT-4.7.3-1", "must be at least one character long")
	case len(s) > MaxBytes:
		return invalid(what, s, "MQTT-4.7.3-3", fmt.Sprintf("is %d bytes long, more than %d", len(s), MaxBytes))
	case len(s) > limit:
		return invalid(what, s, "", fmt.Sprintf("is %d bytes long; this server accepts %d", len(s), limit))
	case strings.IndexByte(s, 0) >= 0:
		return invalid(what, s, "MQTT-4.7.3-2", "holds the character U+0000")
	case !utf8.ValidString(s):
		return invalid(what, s, "MQTT-1.5.4-1", "is not well-formed UTF-8")
	}
	return nil
}

func (l Limits) depth(what, s string, levels int) error {
	limit := l.Levels
	if limit <= 0 {
		limit = MaxLevels
	}
	if levels > limit {
		return invalid(what, s, "", fmt.Sprintf("has %d levels; this server accepts %d", levels, limit))
	}
	return nil
}

// ParseShared splits a shared subscription `$share/{group}/{filter}` (MQTT
// 4.8.2). For any other filter ok is false and rest is the filter itself. It
// fails with an [*InvalidError] if the text begins with `$share/` and is not
// followed by a group name and a filter; rest is not checked further.
func ParseShared(filter string) (group, rest string, ok bool, err error) {
	if !strings.HasPrefix(filter, sharePrefix) {
		return "", filter, false, nil
	}
	name, rest, found := strings.Cut(filter[len(sharePrefix):], "/")
	switch {
	case name == "" || strings.ContainsAny(name, "+#"):
		return "", "", false, invalid("topic filter", filter, "MQTT-4.8.2-1",
			"the group name must not be empty or hold '+' or '#', as in \"$share/workers/a/#\"")
	case !found || rest == "":
		return "", "", false, invalid("topic filter", filter, "MQTT-4.8.2-2",
			"the group name must be followed by '/' and a filter, as in \"$share/workers/a/#\"")
	}
	return name, rest, true, nil
}

// HasWildcard reports whether a valid filter matches more than the one topic of
// the same text. A shared subscription is judged by its whole text, whose group
// name cannot hold wildcards.
func HasWildcard(filter string) bool {
	for i := 0; i < len(filter); i++ {
		switch filter[i] {
		case '+':
			if startsLevel(filter, i) && endsLevel(filter, i+1) {
				return true
			}
		case '#':
			if i == len(filter)-1 && startsLevel(filter, i) {
				return true
			}
		}
	}
	return false
}

func startsLevel(s string, i int) bool { return i == 0 || s[i-1] == '/' }
func endsLevel(s string, i int) bool   { return i == len(s) || s[i] == '/' }

func invalid(what, text, clause, reason string) *InvalidError {
	if len(text) > 64 {
		text = text[:64]
	}
	return &InvalidError{What: what, Text: text, Clause: clause, Reason: reason}
}
