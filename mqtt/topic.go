package mqtt

import "bytes"

// ValidTopicName reports whether b may stand in a PUBLISH: 1 to 65,535 bytes
// of valid UTF-8 without wildcards [MQTT-3.3.2-2] [MQTT-4.7.3-1]. A name that
// starts with $ is valid here; who may publish to it is the server's choice.
func ValidTopicName(b []byte) bool {
	if len(b) > MaxStringLength {
		return false
	}
	if plainTopic(b) {
		return true
	}
	i, _, _ := badTopicName(b)
	return i < 0 && ValidUTF8(b)
}

// ValidTopicFilter reports whether b may stand in a SUBSCRIBE: 1 to 65,535
// bytes of valid UTF-8, + only as a whole level, # only as the whole last
// level [MQTT-4.7.1-2] [MQTT-4.7.1-3]. A filter that starts with $share/ is
// taken as 5.0 takes it, see [SplitShared].
func ValidTopicFilter(b []byte) bool {
	if len(b) > MaxStringLength {
		return false
	}
	i, _, _ := badTopicFilter(b, V5)
	return i < 0 && ValidUTF8(b)
}

// HasWildcard reports whether the filter b contains a wildcard.
func HasWildcard(b []byte) bool {
	return bytes.IndexByte(b, '#') >= 0 || bytes.IndexByte(b, '+') >= 0
}

var sharePrefix = []byte("$share/")

// IsShared reports whether b has the form of a shared subscription: it starts
// with $share/.
func IsShared(b []byte) bool { return bytes.HasPrefix(b, sharePrefix) }

// SplitShared cuts a shared subscription "$share/name/filter" into name and
// filter. For any other filter, and for one without both parts, ok is false
// and rest is b.
func SplitShared(b []byte) (name, rest []byte, ok bool) {
	if !IsShared(b) {
		return nil, b, false
	}
	tail := b[len(sharePrefix):]
	i := bytes.IndexByte(tail, '/')
	if i < 1 || i+1 == len(tail) {
		return nil, b, false
	}
	return tail[:i:i], tail[i+1:], true
}

// badTopicName returns the position of the first byte that a topic name must
// not have, with the reason and the clause; -1 if there is none. UTF-8 is
// checked elsewhere.
func badTopicName(b []byte) (at int, reason, clause string) {
	if len(b) == 0 {
		return 0, "the topic name is empty; it has at least one character", "MQTT-4.7.3-1"
	}
	for i, c := range b {
		if c == '#' || c == '+' {
			return i, "the topic name contains the wildcard " + string(rune(c)) + ", which belongs in subscriptions only", "MQTT-3.3.2-2"
		}
	}
	return -1, "", ""
}

// badTopicFilter returns the position of the first byte that is wrong in a
// topic filter, with the reason and the clause; -1 if there is none. Only 5.0
// knows shared subscriptions: for 3.1.1 "$share/+/a" is an ordinary filter.
func badTopicFilter(b []byte, v Version) (at int, reason, clause string) {
	if len(b) == 0 {
		return 0, "the topic filter is empty; it has at least one character", "MQTT-4.7.3-1"
	}
	if v >= V5 && IsShared(b) {
		name, _, ok := SplitShared(b)
		if !ok {
			return len(sharePrefix), "a shared subscription is $share/name/filter with a name and a filter of at least one character each", "MQTT-4.8.2-1"
		}
		if i := bytes.IndexAny(name, "#+"); i >= 0 {
			return len(sharePrefix) + i, "the name of a shared subscription contains a wildcard", "MQTT-4.8.2-2"
		}
	}
	for i, c := range b {
		switch {
		case c != '#' && c != '+':
		case c == '#' && i != len(b)-1:
			return i, "# is not the last character of the filter", byVersion(v, "MQTT-4.7.1-2", "MQTT-4.7.1-1")
		case c == '#' && i > 0 && b[i-1] != '/':
			return i, "# does not stand alone in its level", byVersion(v, "MQTT-4.7.1-2", "MQTT-4.7.1-1")
		case c == '+' && (i > 0 && b[i-1] != '/' || i+1 < len(b) && b[i+1] != '/'):
			return i, "+ does not stand alone in its level", byVersion(v, "MQTT-4.7.1-3", "MQTT-4.7.1-2")
		}
	}
	return -1, "", ""
}
