package topics

import "strings"

// Matches reports whether a valid filter (without `$share/`) matches a topic
// name (MQTT 4.7): `+` stands for one level, which may be empty, `#` for any
// number of levels including none, and neither, at the beginning, for a topic
// that begins with `$` [MQTT-4.7.2-1]. Text compares byte for byte
// [MQTT-4.7.3-4].
func Matches(filter, topic string) bool {
	if startsWild(filter) && isReserved(topic) {
		return false
	}
	for {
		if filter == "#" {
			return true
		}
		level, frest, fmore := strings.Cut(filter, "/")
		name, trest, tmore := strings.Cut(topic, "/")
		if level != "+" && level != name {
			return false
		}
		if !tmore {
			// `sport/#` includes its parent, `sport` (4.7.1.2).
			return !fmore || frest == "#"
		}
		if !fmore {
			return false
		}
		filter, topic = frest, trest
	}
}

// Covers reports whether every topic that filter matches is matched by allowed
// too. Both are valid filters without `$share/`. With it a right to `a/#` is
// seen to allow subscribing to `a/+/c`, and a right to `#` is seen not to allow
// `$SYS/#`, because a leading wildcard never reaches topics that begin with `$`
// [MQTT-4.7.2-1].
func Covers(allowed, filter string) bool {
	if startsWild(allowed) && isReserved(filter) {
		return false
	}
	switch filter {
	case "#":
		filter = "+/#" // the same, as a topic has at least one level
	case "/#":
		filter = "/+/#" // the same, as the parent would be the empty topic
	}
	for {
		if allowed == "#" {
			return true
		}
		if filter == "#" {
			// `#` includes the parent, which no other level of allowed can
			// stand for.
			return false
		}
		level, arest, amore := strings.Cut(allowed, "/")
		name, frest, fmore := strings.Cut(filter, "/")
		if level != "+" && level != name {
			return false
		}
		if !fmore {
			return !amore || arest == "#"
		}
		if !amore {
			return false
		}
		allowed, filter = arest, frest
	}
}

// startsWild reports whether the first level of a valid filter is a wildcard.
func startsWild(filter string) bool {
	return filter != "" && (filter[0] == '+' || filter[0] == '#')
}

// isReserved reports whether the text begins with `$`, which leading wildcards
// do not match.
func isReserved(text string) bool { return text != "" && text[0] == '$' }
