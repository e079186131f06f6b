package broker

import (
	"bytes"
	"fmt"
	"hash/maphash"

	"github.com/linkstead/linkstead/mqtt"
)

// aliasedTopic gives the topic of a PUBLISH of a 5.0 client, whose alias may stand
// for it (3.3.2.3.4), and remembers a new alias until the connection ends
// [MQTT-3.3.2-7].
func (c *client) aliasedTopic(p *mqtt.Publish) ([]byte, error) {
	alias, given := p.Properties.Uint16(mqtt.PropTopicAlias)
	if !given {
		return p.Topic, nil
	}
	if most := c.profile.TopicAliases; int(alias) > most {
		return nil, &mqtt.MalformedError{Type: mqtt.PUBLISH, Field: "Topic Alias", Clause: "MQTT-3.3.2-9", Code: mqtt.TopicAliasInvalid,
			Reason: fmt.Sprintf("%d is more than the server's Topic Alias Maximum, %d", alias, most)}
	}
	f := c.five
	if len(p.Topic) > 0 {
		for len(f.heard) < int(alias) {
			f.heard = append(f.heard, nil)
		}
		if known := &f.heard[alias-1]; !bytes.Equal(*known, p.Topic) {
			*known = append((*known)[:0:0], p.Topic...)
		}
		return p.Topic, nil
	}
	if int(alias) > len(f.heard) || f.heard[alias-1] == nil {
		return nil, &mqtt.MalformedError{Type: mqtt.PUBLISH, Field: "Topic Alias", Clause: "MQTT-3.3.2-7", Code: mqtt.ProtocolError,
			Reason: fmt.Sprintf("no topic was given for the alias %d on this connection", alias)}
	}
	return f.heard[alias-1], nil
}

// topicOf gives the topic of an alias on the connection, nil if there is none.
func (c *client) topicOf(alias uint16, fromServer bool) []byte {
	switch i, f := int(alias)-1, c.five; {
	case f == nil || i < 0:
	case !fromServer && i < len(f.heard):
		return f.heard[i]
	case fromServer && f.aliases != nil && i < len(f.aliases.topics):
		return []byte(f.aliases.topics[i])
	}
	return nil
}

// aliases are the topics that the server has an alias for on one connection.
// A topic has its place among few neighbours; it takes the place of one of them
// only if that has not been used since others wanted it, so that topics in steady
// use keep their aliases and those that pass by get none.
type aliases struct {
	topics []string // by alias - 1
	used   []bool
}

const (
	// aliasWays is how many places a topic can have.
	aliasWays = 4
	// minAliased is the shortest topic that an alias is worth its bytes for.
	minAliased = 6
)

var aliasSeed = maphash.MakeSeed()

func newAliases(n int) *aliases { return &aliases{make([]string, n), make([]bool, n)} }

// place gives the neighbours of a topic: the i-th is at (first+i) % len(topics).
func (a *aliases) place(topic string) (first, ways int) {
	return int(maphash.String(aliasSeed, topic) % uint64(len(a.topics))), min(aliasWays, len(a.topics))
}

// find gives the alias of a topic, 0 if it has none.
func (a *aliases) find(topic string) uint16 {
	first, ways := a.place(topic)
	for i := range ways {
		if at := (first + i) % len(a.topics); a.topics[at] == topic {
			return uint16(at + 1)
		}
	}
	return 0
}

// use gives the alias of a topic that is about to be sent; known is false if the
// client has yet to be told. It is 0 if the topic gets none.
func (a *aliases) use(topic string) (alias uint16, known bool) {
	first, ways := a.place(topic)
	free := -1
	for i := range ways {
		at := (first + i) % len(a.topics)
		if a.topics[at] == topic {
			a.used[at] = true
			return uint16(at + 1), true
		}
		if free < 0 && !a.used[at] {
			free = at
		}
	}
	if free < 0 {
		for i := range ways {
			a.used[(first+i)%len(a.topics)] = false
		}
		return 0, false
	}
	a.topics[free], a.used[free] = topic, true
	return uint16(free + 1), false
}
