package topics

import (
	"fmt"
	"slices"
	"testing"
)

// TestCacheKeepsUnrelatedRoutes is the connect storm: many devices subscribe to
// topics of their own, exact and with wildcards, and a warm route stays.
func TestCacheKeepsUnrelatedRoutes(t *testing.T) {
	x := New[int]()
	x.Subscribe("/sys/pk/hot/thing/#", 1, 0, 0)
	c := NewCache(x, 100, 1<<20)
	topic := []byte("/sys/pk/hot/thing/event/property/post")
	c.Lookup(topic)
	const devices = 500
	again := 0
	for i := range devices {
		for _, f := range []string{"/sys/pk/d%d/thing/service/+", "/pk/d%d/user/+", "/ota/device/upgrade/pk/d%d", "/sys/pk/d%d/#"} {
			x.Subscribe(fmt.Sprintf(f, i), i, 0, 0)
			_, before := c.Stats()
			c.Lookup(topic)
			if _, after := c.Stats(); after != before {
				again++
			}
		}
	}
	// One of the topic's six counters is met by chance 0.7 times in 2,000.
	if again > 12 {
		t.Errorf("%d of %d unrelated subscriptions made the route be matched again", again, 4*devices)
	}
}

// TestCacheSeesRelatedChanges names one filter for each counter a topic has.
func TestCacheSeesRelatedChanges(t *testing.T) {
	const topic = "/sys/pk/dn/thing/event/post"
	for _, f := range []string{
		topic, "#", "+/sys/#", "/#", "/+/pk/#", "/sys/#", "/sys/pk/#", "/sys/pk/dn/#", "/sys/pk/dn/thing/#",
		"/sys/pk/dn/thing/event/#", "/sys/pk/dn/thing/event/post/#", "/sys/pk/dn/+/event/post", "$share/g/" + topic, "$share/g/#",
	} {
		x := New[int]()
		c := NewCache(x, 10, 1<<20)
		if r := c.Lookup([]byte(topic)); len(r.Entries)+len(r.Shared) != 0 {
			t.Fatalf("something matches in an empty index: %+v", r)
		}
		x.Subscribe(f, 1, 0, 0)
		if r := c.Known([]byte(topic)); r != nil {
			t.Errorf("%s: the route of before is still given out as known", f)
		}
		r := c.Lookup([]byte(topic))
		if len(r.Entries)+len(r.Shared) != 1 {
			t.Errorf("%s: subscribing is not seen", f)
		}
		if c.Known([]byte(topic)) != r {
			t.Errorf("%s: the fresh route is not known", f)
		}
		x.Unsubscribe(f, 1)
		if r := c.Lookup([]byte(topic)); len(r.Entries)+len(r.Shared) != 0 {
			t.Errorf("%s: unsubscribing is not seen", f)
		}
	}
}

func TestCacheRoutesDoNotChange(t *testing.T) {
	x := New[int]()
	x.Subscribe("a", 1, 0, 0)
	c := NewCache(x, 10, 1<<20)
	buf := []byte("a")
	r := c.Lookup(buf)
	r.Extra = "plan"
	if again := c.Lookup(buf); again != r || again.Extra != "plan" {
		t.Errorf("the second look-up gave %+v", again)
	}
	buf[0] = 'b'
	x.Subscribe("a", 2, 0, 0)
	x.Unsubscribe("a", 1)
	fresh := c.Lookup([]byte("a"))
	if r.Topic != "a" || len(r.Entries) != 1 || r.Entries[0].Subscriber != 1 {
		t.Errorf("the route in use changed: %+v", r)
	}
	if fresh.Extra != nil || len(fresh.Entries) != 1 || fresh.Entries[0].Subscriber != 2 {
		t.Errorf("the fresh route is %+v", fresh)
	}
}

func TestCacheBounds(t *testing.T) {
	x := New[int]()
	for i := range 1000 {
		x.Subscribe("crowd/#", i, 0, 0)
	}
	c := NewCache(x, 50, 20<<10)
	kept := 0
	for i := range 2000 {
		topic := fmt.Appendf(nil, "t/%d", i)
		if i%10 == 0 {
			topic = fmt.Appendf(nil, "crowd/%d", i)
		}
		if i%10 == 5 {
			x.Subscribe(string(topic), 1, 0, 0)
		}
		want := 0
		switch i % 10 {
		case 0:
			want = 1000
		case 5:
			want = 1
		}
		if r := c.Lookup(topic); len(r.Entries) != want {
			t.Fatalf("%s: %d entries, want %d", topic, len(r.Entries), want)
		}
		if c.Lookup([]byte("hot")); c.Known([]byte("hot")) == nil {
			t.Fatal("a small route was not kept at all")
		}
		if c.Len() > 50 || c.Bytes() > 20<<10 || c.Bytes() < 0 || len(c.routes) != c.Len() {
			t.Fatalf("%d routes, %d in the map, %d bytes", c.Len(), len(c.routes), c.Bytes())
		}
		kept = max(kept, c.Len())
	}
	if kept < 20 {
		t.Errorf("never more than %d routes were kept", kept)
	}
	sum := 0
	for i, r := range c.ring {
		sum += r.size
		if r.at != i || c.routes[r.Topic] != r {
			t.Errorf("route %q is not where it should be", r.Topic)
		}
	}
	if sum != c.Bytes() {
		t.Errorf("%d bytes accounted for, %d held", c.Bytes(), sum)
	}
	if hits, misses := c.Stats(); hits < 3000 || misses < 2000 {
		t.Errorf("%d hits, %d misses: the hot route was evicted", hits, misses)
	}
}

// TestCacheGrownRoute has a kept route become too large to keep.
func TestCacheGrownRoute(t *testing.T) {
	x := New[int]()
	c := NewCache(x, 10, 4096)
	c.Lookup([]byte("a"))
	c.Lookup([]byte("b"))
	for i := range 1000 {
		x.Subscribe("a", i, 0, 0)
		if r := c.Lookup([]byte("a")); len(r.Entries) != i+1 {
			t.Fatalf("%d entries of %d", len(r.Entries), i+1)
		}
		if c.Bytes() > 4096 {
			t.Fatalf("%d bytes", c.Bytes())
		}
	}
	if c.Known([]byte("a")) != nil || c.Known([]byte("b")) == nil || c.Len() != 1 {
		t.Errorf("%d routes are kept, a known: %v", c.Len(), c.Known([]byte("a")) != nil)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	x := New[*int]()
	x.Subscribe("s/+/v", new(int), 0, 0)
	c := NewCache(x, 10, 1<<20)
	topic := []byte("s/1/v")
	c.Lookup(topic)
	matched := 0
	if n := testing.AllocsPerRun(100, func() { matched += len(c.Lookup(topic).Entries) }); n != 0 || matched != 101 {
		t.Errorf("a look-up allocates %v times; %d matches in 101", n, matched)
	}
}

// TestCacheTurnsPassersByAway: a full cache keeps what is used when many topics
// come once each, and takes in one that comes again.
func TestCacheTurnsPassersByAway(t *testing.T) {
	index := New[int]()
	index.Subscribe("#", 1, 0, 0)
	c := NewCache(index, 64, 1<<20)
	name := func(kind string, i int) []byte { return fmt.Appendf(nil, "%s/%d", kind, i) }
	for i := range 64 {
		c.Lookup(name("used", i))
	}
	for i := range 10_000 {
		if r := c.Lookup(name("once", i)); len(r.Entries) != 1 || r.Topic != string(name("once", i)) {
			t.Fatalf("route of topic %d: %+v", i, r)
		}
	}
	for i := range 64 {
		if c.Known(name("used", i)) == nil {
			t.Errorf("used/%d was thrown away for a topic that came once", i)
		}
	}
	again := []byte("again")
	c.Lookup(again)
	c.Lookup(again)
	if c.Known(again) == nil || c.Len() != 64 {
		t.Errorf("a topic that came twice is not kept, or too much is: %d routes", c.Len())
	}
}

// TestCacheOnce: a topic that is turned away costs its own text and nothing else,
// has the receivers that a look-up finds, and is kept when it comes again.
func TestCacheOnce(t *testing.T) {
	index := New[int]()
	index.Subscribe("#", 1, 0, 0)
	for i := range 3 {
		index.Subscribe("once/+", 10+i, 0, 0)
	}
	index.Subscribe("$share/g/once/+", 99, 0, 0)
	c := NewCache(index, 4, 1<<20)
	for i := range 4 {
		c.Once(fmt.Appendf(nil, "used/%d", i), false)
	}
	for i := range 1000 {
		topic := fmt.Appendf(nil, "once/%d", i)
		r := c.Once(topic, false)
		other := c.Lookup([]byte("other")) // must not touch it
		want := c.Lookup([]byte("once/x"))
		if !r.Once() || r.Topic != string(topic) || !slices.Equal(r.Entries, want.Entries) || len(r.Shared) != 1 || r.Shared[0] != want.Shared[0] {
			t.Fatalf("route of topic %d: %+v, want the receivers of %+v", i, r, want)
		}
		if len(other.Entries) != 1 {
			t.Fatalf("the other topic: %+v", other)
		}
	}
	if r := c.Once([]byte("used/short"), false); !r.Once() || len(r.Entries) != 1 || len(r.Shared) != 0 {
		t.Errorf("after a longer one: %+v", r)
	}
	again := []byte("again")
	c.Once(again, false)
	if r := c.Once(again, false); r.Once() || c.Known(again) == nil || c.Len() > 4 {
		t.Errorf("a topic that came twice is not kept, or too much is: %d routes", c.Len())
	}
	n, topic := 0, []byte("once/000000000")
	if got := testing.AllocsPerRun(1000, func() {
		n++
		for i, v := len(topic)-1, n; v > 0; i, v = i-1, v/10 {
			topic[i] = '0' + byte(v%10)
		}
		c.Once(topic, false)
	}); got > 1 {
		t.Errorf("a topic that comes once costs %v allocations", got)
	}
}

// TestOnceRare: a topic said to be rare is kept when it comes again, not before.
func TestOnceRare(t *testing.T) {
	x := New[int]()
	c := NewCache(x, 4, 1<<20)
	if r := c.Once([]byte("a"), true); !r.Once() || c.Len() != 0 {
		t.Errorf("kept at once; %d routes", c.Len())
	}
	if r := c.Once([]byte("a"), true); r.Once() || c.Len() != 1 || c.Known([]byte("a")) != r {
		t.Errorf("not kept when it came again; %d routes", c.Len())
	}
	if r := c.Once([]byte("b"), false); r.Once() || c.Len() != 2 {
		t.Errorf("one that is not rare has room and is not kept; %d routes", c.Len())
	}
}
