package store

import (
	"errors"
	"testing"
)

func TestDesired(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	ctx := t.Context()
	mustProduct(t, s)
	dev := mustDevice(t, s, "dev1").ID
	set := func(id, value string, expect int64) (int64, error) {
		v, err := s.SetDesired(ctx, dev, []NewDesired{{Identifier: id, Value: []byte(value), Expect: expect}})
		if err != nil {
			return 0, err
		}
		return v[0], nil
	}
	if v, err := set("Light", "1", 0); v != 1 || err != nil {
		t.Errorf("the first value: version %d, %v", v, err)
	}
	if v, err := set("Light", "0", 1); v != 2 || err != nil {
		t.Errorf("the second value: version %d, %v", v, err)
	}
	if _, err := set("Light", "1", 1); !errors.Is(err, ErrConflict) {
		t.Errorf("an old version: %v", err)
	}
	if v, err := set("Light", "1", -1); v != 3 || err != nil {
		t.Errorf("any version: version %d, %v", v, err)
	}
	// All or none.
	if _, err := s.SetDesired(ctx, dev, []NewDesired{{Identifier: "Fan", Value: []byte("1"), Expect: -1}, {Identifier: "Light", Value: []byte("0"), Expect: 1}}); !errors.Is(err, ErrConflict) {
		t.Errorf("one of two in conflict: %v", err)
	}
	if got, err := s.Desired(ctx, dev); err != nil || len(got) != 1 || string(got[0].Value) != "1" || got[0].Version != 3 {
		t.Errorf("desired %+v, %v", got, err)
	}
	if n, err := s.ClearDesired(ctx, dev, []NewDesired{{Identifier: "Light", Expect: 2}, {Identifier: "none", Expect: -1}}); n != 0 || err != nil {
		t.Errorf("an old version was cleared: %d, %v", n, err)
	}
	if n, err := s.ClearDesired(ctx, dev, []NewDesired{{Identifier: "Light", Expect: 3}}); n != 1 || err != nil {
		t.Errorf("cleared %d, %v", n, err)
	}
	if got, err := s.Desired(ctx, dev); err != nil || len(got) != 0 {
		t.Errorf("desired after clearing %+v, %v", got, err)
	}
	if v, err := set("Light", "0", -1); v != 4 || err != nil {
		t.Errorf("the version after clearing: %d, %v", v, err)
	}
	if _, err := s.SetDesired(ctx, dev+1, []NewDesired{{Identifier: "Light", Value: []byte("1"), Expect: -1}}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown device: %v", err)
	}
}
