package store

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTags(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	mustProduct(t, s)
	id := mustDevice(t, s, "dev1").ID
	put := func(tags ...Tag) error { return s.PutTags(ctx, id, tags) }
	if err := put(Tag{"floor", "3", ""}, Tag{"room", "hall", ""}, Tag{"SYS_SDK", "c-4.1", DomainSystem}, Tag{"floor", "4", ""}); err != nil {
		t.Fatal(err)
	}
	same := func(want ...Tag) {
		t.Helper()
		got, err := s.Tags(ctx, id)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, d)
		}
	}
	same(Tag{"floor", "4", ""}, Tag{"room", "hall", ""}, Tag{"SYS_SDK", "c-4.1", DomainSystem})
	if err := s.DeleteTags(ctx, id, []string{"floor", "unknown", "SYS_SDK"}); err != nil {
		t.Fatal(err)
	}
	same(Tag{"room", "hall", ""}, Tag{"SYS_SDK", "c-4.1", DomainSystem})

	var many []Tag
	for i := range MaxTags {
		many = append(many, Tag{Key: fmt.Sprint("k", i), Value: "v"})
	}
	wantKind(t, put(many...), ErrLimit) // there would be 101
	same(Tag{"room", "hall", ""}, Tag{"SYS_SDK", "c-4.1", DomainSystem})
	if err := put(many[1:]...); err != nil {
		t.Error("100 tags are refused:", err)
	}
	if err := put(Tag{"room", "cellar", ""}); err != nil {
		t.Error("changing one of 100 tags is refused:", err)
	}
	wantKind(t, put(Tag{"", "v", ""}), ErrInvalid)
	wantKind(t, put(Tag{"k", strings.Repeat("v", maxTagValue+1), ""}), ErrInvalid)
	wantKind(t, s.PutTags(ctx, id+9, []Tag{{"k", "v", ""}}), ErrNotFound)
}
