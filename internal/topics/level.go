package topics

import (
	"strings"
	"unsafe"
)

// levelInline is chosen so that a node with a pointer for S fills its 112-byte
// allocation class; product keys (11) and most device names fit.
const levelInline = 27

// levelText is the text of one level, in place if short: comparing it then
// touches no memory but the node's own. Copying also keeps a short level from
// holding a long filter alive.
type levelText struct {
	long  *string
	n     uint8 // length if long is nil
	short [levelInline]byte
}

func (t *levelText) set(level string) {
	if len(level) > levelInline {
		s := strings.Clone(level)
		t.long = &s
		return
	}
	t.n = uint8(copy(t.short[:], level))
}

func (t *levelText) equal(level string) bool {
	if t.long != nil {
		return *t.long == level
	}
	return string(t.short[:t.n]) == level
}

// text returns the level. It aliases the node.
func (t *levelText) text() string {
	if t.long != nil {
		return *t.long
	}
	return unsafe.String(&t.short[0], int(t.n))
}
