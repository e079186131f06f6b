package topics

// verdict is what a topic tells a reader of retained messages who stands there:
// whether the filter matches it, and where the next topic that may match can be.
type verdict struct {
	kind  verdictKind
	past  bool // jumps: past topic[:keep] and everything below it …
	keep  int  // … or to topic[:keep] + level
	level string
}

type verdictKind uint8

const (
	matches verdictKind = iota // go on with the next topic
	follows                    // no match; go on with the next topic
	jumps                      // no match, nor any topic before the jump's goal
	ends                       // no match, nor any topic after this one
)

// reservedEnd is the first name after all that begin with `$`.
const reservedEnd = "%"

// judge compares a topic with a filter level by level. It relies on the order of
// compareNames, in which topics that begin with the same levels are neighbours.
func judge(filter, topic string) verdict {
	if startsWild(filter) && isReserved(topic) {
		return verdict{kind: jumps, level: reservedEnd} // [MQTT-4.7.2-1]
	}
	f, t := 0, 0  // where the current levels begin
	sibling := -1 // end of the last level of the topic that a `+` stood for
	for {
		fend := levelEnd(filter, f)
		level := filter[f:fend]
		if level == "#" && fend == len(filter) {
			return verdict{kind: matches}
		}
		tend := levelEnd(topic, t)
		name := topic[t:tend]
		if level == "+" {
			sibling = tend
		} else if c := compareNames(name, level); c < 0 {
			return verdict{kind: jumps, keep: t, level: level}
		} else if c > 0 {
			return pastSibling(sibling)
		}
		switch flast, tlast := fend == len(filter), tend == len(topic); {
		case flast && tlast:
			return verdict{kind: matches}
		case flast:
			// The topic lies below what the filter can match.
			return verdict{kind: jumps, past: true, keep: tend}
		case tlast:
			if filter[fend+1:] == "#" {
				return verdict{kind: matches} // the parent (4.7.1.2)
			}
			return verdict{kind: follows}
		}
		f, t = fend+1, tend+1
	}
}

// pastSibling is the verdict when nothing more can match below the last level
// that a `+` stood for.
func pastSibling(end int) verdict {
	if end < 0 {
		return verdict{kind: ends}
	}
	return verdict{kind: jumps, past: true, keep: end}
}
