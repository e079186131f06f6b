package broker

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestManySubscriptions: the list and the table beside it tell the same, through
// the size where the table begins.
func TestManySubscriptions(t *testing.T) {
	var u subscriptions
	want := make(map[string]uint32)
	r := rand.New(rand.NewPCG(1, 2))
	for step := range 5000 {
		filter := fmt.Sprint("f/", r.IntN(3*manySubscriptions))
		_, had := want[filter]
		if id := uint32(step); r.IntN(5) < 3 {
			if got := u.put(subscription{filter: filter, id: id}); got != had {
				t.Fatalf("step %d: put %s replaced: %v, want %v", step, filter, got, had)
			}
			want[filter] = id
		} else {
			if got := u.remove(filter); got != had {
				t.Fatalf("step %d: remove %s existed: %v, want %v", step, filter, got, had)
			}
			delete(want, filter)
		}
		if len(u.list) != len(want) {
			t.Fatalf("step %d: %d filters, want %d", step, len(u.list), len(want))
		}
		for f, id := range want {
			if i := u.find(f); i < 0 || u.list[i].filter != f || u.list[i].id != id {
				t.Fatalf("step %d: %s is not where it should be", step, f)
			}
		}
	}
	if u.at == nil {
		t.Error("the table was never made")
	}
}
