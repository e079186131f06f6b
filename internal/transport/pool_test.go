package transport

import "testing"

func TestPoolClasses(t *testing.T) {
	for _, tt := range []struct{ size, ceil int }{
		{0, 512}, {1, 512}, {512, 512}, {513, 1024}, {1024, 1024}, {5000, 8192}, {256 << 10, 256 << 10}, {1 << 20, 256 << 10},
	} {
		if got := poolSmallest << ceilClass(tt.size); got != tt.ceil {
			t.Errorf("%d bytes get a buffer of %d, want %d", tt.size, got, tt.ceil)
		}
	}
	var p pool
	for class := range uint8(poolClasses) {
		for _, extra := range []int{0, 1, poolSmallest<<class - 1} {
			p.put(make([]byte, 3, poolSmallest<<class+extra))
			if b := p.get(class); len(b) != 0 || cap(b) != poolSmallest<<class+extra {
				t.Errorf("class %d returns length %d, capacity %d", class, len(b), cap(b))
			}
		}
	}
	p.put(make([]byte, 0, poolSmallest-1))
	p.put(make([]byte, 0, poolSmallest<<poolClasses))
	if p.held != 0 {
		t.Errorf("%d bytes held, want none", p.held)
	}
}

// TestPoolTrim: what no turn needs goes, what turns need stays.
func TestPoolTrim(t *testing.T) {
	var p pool
	for range 10 {
		p.put(make([]byte, 0, 1024))
	}
	p.trim() // since the first of them was put there
	for range 3 {
		p.get(1)
	}
	for range 3 {
		p.put(make([]byte, 0, 1024))
	}
	p.trim()
	if got := len(p.classes[1].free); got != 3 || p.held != 3*1024 {
		t.Errorf("%d buffers, %d bytes kept, want the 3 that were used", got, p.held)
	}
	p.trim()
	p.trim()
	if p.held != 0 {
		t.Errorf("%d bytes kept although nothing was used", p.held)
	}
}
