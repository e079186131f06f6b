package topics

// names is a map by topic that gives memory back. Go's maps keep
// the room of their largest size, which after a mass departure would be all of
// it.
type names[V any] struct {
	m    map[string]V
	peak int // largest size since the map was made
}

// namesFloor is the peak below which a map is not worth rebuilding.
const namesFloor = 256

func (n *names[V]) set(name string, v V) {
	if n.m == nil {
		n.m = make(map[string]V)
	}
	n.m[name] = v
	n.peak = max(n.peak, len(n.m))
}

func (n *names[V]) remove(name string) {
	delete(n.m, name)
	if n.peak < namesFloor || len(n.m) > n.peak/8 {
		return
	}
	m := make(map[string]V, len(n.m))
	for k, v := range n.m {
		m[k] = v
	}
	n.m, n.peak = m, len(m)
}
