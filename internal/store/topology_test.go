package store

import (
	"errors"
	"testing"
	"time"
)

// A sub-device has one gateway, and the relation ends with either of them.
func TestTopology(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	ctx := t.Context()
	mustProduct(t, s)
	id := func(name string) int64 { return mustDevice(t, s, name).ID }
	g1, g2, a, b, c := id("gate1"), id("gate2"), id("subA"), id("subB"), id("subC")
	before, err := s.AddTopology(ctx, g1, []int64{a, b}, 2)
	if err != nil || before[0] != 0 || before[1] != 0 {
		t.Fatalf("%v, %v", before, err)
	}
	if _, err := s.AddTopology(ctx, g1, []int64{c}, 2); !errors.Is(err, ErrLimit) {
		t.Errorf("one too many: %v", err)
	}
	if _, err := s.GatewayOf(ctx, c); !errors.Is(err, ErrNotFound) {
		t.Errorf("the one too many has a gateway: %v", err)
	}
	if before, err = s.AddTopology(ctx, g2, []int64{a}, 2); err != nil || before[0] != g1 {
		t.Errorf("moved from %v, %v", before, err)
	}
	for _, bad := range [][]int64{{g2}, {12345}} {
		if _, err := s.AddTopology(ctx, g2, bad, 9); err == nil {
			t.Errorf("%v was added", bad)
		}
	}
	if removed, err := s.RemoveTopology(ctx, g1, []int64{a, b}); err != nil || removed[0] || !removed[1] {
		t.Errorf("removed %v, %v", removed, err)
	}
	if err := s.DeleteDevice(ctx, "a1prod", "gate2"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GatewayOf(ctx, a); !errors.Is(err, ErrNotFound) {
		t.Errorf("a gateway that is deleted has sub-devices: %v", err)
	}
}

// A token is for one holder, ends with its time and with a reset, and there are
// five of them.
func TestTokens(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	ctx := t.Context()
	mustProduct(t, s)
	dev := mustDevice(t, s, "dev1")
	first, text, err := s.NewToken(ctx, dev.ID, "unit0", "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if d, holder, err := s.CheckToken(ctx, first.ClientID, text.Reveal()); err != nil || d.ID != dev.ID || holder != "unit0" {
		t.Errorf("%v, %v", d, err)
	}
	for _, wrong := range []string{"", "x", text.Reveal() + "x"} {
		if _, _, err := s.CheckToken(ctx, first.ClientID, wrong); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q is taken: %v", wrong, err)
		}
	}
	if _, _, err := s.NewToken(ctx, dev.ID, "unit0", "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.CheckToken(ctx, first.ClientID, text.Reveal()); !errors.Is(err, ErrNotFound) {
		t.Errorf("the holder's older token is taken: %v", err)
	}
	for _, holder := range []string{"unit1", "unit2", "unit3", "unit4"} {
		if _, _, err := s.NewToken(ctx, dev.ID, holder, "", time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.NewToken(ctx, dev.ID, "unit5", "", time.Time{}); !errors.Is(err, ErrLimit) {
		t.Errorf("a sixth token: %v", err)
	}
	over, overText, err := s.NewToken(ctx, dev.ID, "short", "iot", time.UnixMilli(1000))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.CheckToken(ctx, over.ClientID, overText.Reveal()); !errors.Is(err, ErrNotFound) {
		t.Errorf("a token whose time is over is taken: %v", err)
	}
	if err := s.ResetDevice(ctx, "a1prod", "dev1"); err != nil {
		t.Fatal(err)
	}
	if n, err := s.CountTokens(ctx, dev.ID); err != nil || n != 0 {
		t.Errorf("%d tokens after a reset, %v", n, err)
	}
}
