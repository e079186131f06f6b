package store

import (
	"context"
	"testing"
)

func TestSettings(t *testing.T) {
	ctx := context.Background()
	opts := testOptions(t)
	s := mustOpen(t, opts)
	_, err := s.Setting(ctx, "install_id")
	wantKind(t, err, ErrNotFound)
	for _, v := range [][]byte{[]byte("one"), {}, {0, 1, 2}, nil} {
		if err := s.PutSetting(ctx, "install_id", v); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Setting(ctx, "install_id"); err != nil || string(got) != string(v) {
			t.Errorf("%q, %v; want %q", got, err, v)
		}
	}
	wantKind(t, s.PutSetting(ctx, "", nil), ErrInvalid)
	wantKind(t, s.PutSetting(ctx, "x", make([]byte, maxSetting+1)), ErrInvalid)
}

// A caller's name cannot overwrite what the store keeps for itself.
func TestSettingsOfTheStoreAreItsOwn(t *testing.T) {
	ctx := context.Background()
	opts := testOptions(t)
	s := mustOpen(t, opts)
	if err := s.PutSetting(ctx, keyCheckName, []byte("x")); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s, opts)
	if got, err := s.Setting(ctx, keyCheckName); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
}
