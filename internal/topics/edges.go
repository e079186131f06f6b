package topics

// edges is the hash table from (parent, level) to node of the whole tree.
type edges[S comparable] struct {
	segment [segments]segment[*node[S]]
}

// find returns the child of parent with this level, or nil.
func (e *edges[S]) find(hash uint64, parent *node[S], level string) *node[S] {
	i, tag := locate(hash)
	sg := &e.segment[i]
	for slot, ok := sg.seek(tag, tag); ok; slot, ok = sg.seek(tag, slot+1) {
		if n := sg.vals[slot]; n.parent == parent && n.level.equal(level) {
			return n
		}
	}
	return nil
}

// add inserts a node that is not there yet.
func (e *edges[S]) add(hash uint64, n *node[S]) {
	i, tag := locate(hash)
	e.segment[i].add(tag, n)
}

// remove takes out a node that is there.
func (e *edges[S]) remove(hash uint64, n *node[S]) {
	i, tag := locate(hash)
	sg := &e.segment[i]
	for slot, ok := sg.seek(tag, tag); ok; slot, ok = sg.seek(tag, slot+1) {
		if sg.vals[slot] == n {
			sg.remove(slot)
			return
		}
	}
}
