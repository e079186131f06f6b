package topics

// rosterScan is the size up to which a roster is searched from end to end. A
// map of positions costs more memory than the entries; up to here the scan is
// as fast.
const rosterScan = 16

// keyed is what a roster holds: a value that carries its own key.
type keyed[K comparable] interface{ key() K }

// roster is a set of values by key, in no particular order, laid out as one
// slice so that a match copies it in one go.
type roster[K comparable, V keyed[K]] struct {
	items []V
	at    map[K]int32 // position by key; nil while the roster is small
}

// find returns the position of the value with this key, or -1.
func (r *roster[K, V]) find(k K) int {
	if r.at != nil {
		if i, ok := r.at[k]; ok {
			return int(i)
		}
		return -1
	}
	for i := range r.items {
		if r.items[i].key() == k {
			return i
		}
	}
	return -1
}

// add appends a value whose key is not there yet.
func (r *roster[K, V]) add(v V) {
	r.items = append(r.items, v)
	if r.at != nil {
		r.at[v.key()] = int32(len(r.items) - 1)
		return
	}
	if len(r.items) > rosterScan {
		r.at = make(map[K]int32, 2*len(r.items))
		for i := range r.items {
			r.at[r.items[i].key()] = int32(i)
		}
	}
}

// remove takes out the value at position i; the last one takes its place.
func (r *roster[K, V]) remove(i int) {
	last := len(r.items) - 1
	if r.at != nil {
		delete(r.at, r.items[i].key())
		if i != last {
			r.at[r.items[last].key()] = int32(i)
		}
	}
	r.items[i] = r.items[last]
	clear(r.items[last:])
	r.items = r.items[:last]
	if last <= rosterScan/2 {
		r.at = nil
	}
	if c := cap(r.items); c > 2*rosterScan && last < c/4 {
		r.items = append(make([]V, 0, c/2), r.items...)
	}
}
