package broker

import (
	"bytes"
	"testing"
	"time"

	"github.com/linkstead/linkstead/mqtt"
)

// TestTapHidesAuthentication: who watches a connection does not see what it
// authenticates with.
func TestTapHidesAuthentication(t *testing.T) {
	s := mustStart(t, settings{})
	tap := s.broker.NewTap("a:c")
	defer tap.Close()
	v := mqtt.V5
	c := s.dial("c")
	c.version = v
	for _, step := range []string{
		"CONNECT client=c v5 clean {auth-method=RIDDLE auth-data=42}",
		"AUTH 19 {auth-method=RIDDLE auth-data=42}",
	} {
		b, err := encode(step, &v)
		if err != nil {
			t.Fatal(err)
		}
		c.send(b)
		if _, err := c.next(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.ping(); err != nil {
		t.Fatal(err)
	}
	seen := map[mqtt.Type]int{}
	for seen[mqtt.PINGRESP] == 0 {
		select {
		case p := <-tap.C():
			if bytes.Contains(p.Frame, []byte("42")) {
				t.Errorf("the watcher sees % x", p.Frame)
			}
			seen[mqtt.Type(p.Frame[0]>>4)]++
		case <-time.After(patience):
			t.Fatalf("seen %v", seen)
		}
	}
	if seen[mqtt.CONNECT] != 1 || seen[mqtt.AUTH] != 2 {
		t.Errorf("seen %v", seen)
	}
}
