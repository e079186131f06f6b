package topics

// Retained topics are kept in the order of their levels: as in a dictionary, but
// with '/' before every other character. Then a topic and everything below it
// are neighbours, whatever characters its siblings begin with, and a filter with
// wildcards can jump over what it cannot match. NUL does not occur in topics, so
// '/' can be ranked as 0.

// compareNames orders two topics by their levels: negative, 0 or positive.
func compareNames(a, b string) int {
	n := min(len(a), len(b))
	i := 0
	for i+16 <= n && a[i:i+16] == b[i:i+16] {
		i += 16
	}
	for i < n && a[i] == b[i] {
		i++
	}
	if i == n {
		return len(a) - len(b)
	}
	return rank(a[i]) - rank(b[i])
}

func rank(c byte) int {
	if c == '/' {
		return 0
	}
	return int(c)
}

// within reports whether name is top or lies below it.
func within(name, top string) bool {
	return len(name) >= len(top) && name[:len(top)] == top && endsLevel(name, len(top))
}
