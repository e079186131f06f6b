package store

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUsers(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	u := User{Name: "app", PasswordHash: "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA", Enabled: true,
		Rights: []Right{{Filter: "/a1prod/+/user/#", Publish: true, Subscribe: true}, {Filter: "#"}}}
	if err := s.PutUser(ctx, u); err != nil {
		t.Fatal(err)
	}
	got, err := s.User(ctx, "app")
	u.CreatedAt = got.CreatedAt
	if d := cmp.Diff(u, got); d != "" || err != nil || got.CreatedAt.UnixMilli() != t0 {
		t.Errorf("%v (-want +got)\n%s", err, d)
	}
	u.Enabled, u.Rights = false, nil
	if err := s.PutUser(ctx, u); err != nil {
		t.Fatal(err)
	}
	if got, err = s.User(ctx, "app"); err != nil || got.Enabled || len(got.Rights) != 0 {
		t.Errorf("%+v, %v: taking rights away did not", got, err)
	}
	if text := fmt.Sprint(got.LogValue()); strings.Contains(text, "argon2id") {
		t.Errorf("the log shows the hash: %s", text)
	}
	wantKind(t, s.PutUser(ctx, User{Name: "x", PasswordHash: "plain"}), ErrInvalid)
	wantKind(t, s.PutUser(ctx, User{PasswordHash: "$x"}), ErrInvalid)

	u.Name = "other"
	if err := s.PutUser(ctx, u); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteUser(ctx, "app"); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Users(ctx, UserQuery{}); err != nil || len(all) != 1 || all[0].Name != "other" {
		t.Errorf("%v, %v", all, err)
	}
	wantKind(t, s.DeleteUser(ctx, "app"), ErrNotFound)
}

// Rights that cannot be read must be neither none nor all.
func TestUnreadableRightsFailClosed(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	if err := s.PutUser(ctx, User{Name: "app", PasswordHash: "$x", Enabled: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.write(ctx, "", "", func(x *tx) error {
		_, err := x.exec(ctx, `update app_user set rights = '[{'`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	u, err := s.User(ctx, "app")
	wantKind(t, err, ErrCorrupt)
	if u.Enabled || u.Rights != nil {
		t.Errorf("the error came with %+v", u)
	}
	_, err = s.Users(ctx, UserQuery{})
	wantKind(t, err, ErrCorrupt)
}
