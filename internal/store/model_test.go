package store

import (
	"context"
	"fmt"
	"testing"
)

func TestModelKeepsTenVersions(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	_, err := s.PutModel(ctx, "a1prod", []byte("{}"))
	wantKind(t, err, ErrNotFound)
	mustProduct(t, s)
	_, err = s.Model(ctx, "a1prod")
	wantKind(t, err, ErrNotFound)
	for i := 1; i <= 13; i++ {
		v, err := s.PutModel(ctx, "a1prod", fmt.Appendf(nil, `{"n":%d}`, i))
		if err != nil || v != i {
			t.Fatalf("version %d, %v; want %d", v, err, i)
		}
	}
	m, err := s.Model(ctx, "a1prod")
	if err != nil || m.Version != 13 || string(m.Document) != `{"n":13}` || m.CreatedAt.UnixMilli() != t0 {
		t.Errorf("%+v, %v", m, err)
	}
	all, err := s.ModelVersions(ctx, "a1prod")
	if err != nil || len(all) != 10 || all[0].Version != 13 || all[9].Version != 4 || string(all[9].Document) != `{"n":4}` {
		t.Errorf("%d versions, %v", len(all), err)
	}
	_, err = s.PutModel(ctx, "a1prod", make([]byte, MaxModelSize+1))
	wantKind(t, err, ErrLimit)
	_, err = s.PutModel(ctx, "a1prod", nil)
	wantKind(t, err, ErrLimit)
}
