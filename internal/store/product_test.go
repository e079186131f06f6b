package store

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestProductLifecycle(t *testing.T) {
	ctx := context.Background()
	opts := testOptions(t)
	clk := newClock()
	opts.Now = clk.now
	s := mustOpen(t, opts)
	made, err := s.CreateProduct(ctx, Product{Name: "gateway", NodeType: NodeGateway, Description: "d"})
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Key) != 11 || made.Key[:2] != "a1" || len(made.Secret) != 16 {
		t.Errorf("made up key %q and a secret of %d characters", made.Key, len(made.Secret))
	}
	want := Product{Key: made.Key, Name: "gateway", NodeType: NodeGateway, DataFormat: FormatAlink,
		Validation: ValidationStrong, Description: "d", CreatedAt: clk.now().UTC(), UpdatedAt: clk.now().UTC()}
	got, err := s.Product(ctx, made.Key)
	if d := cmp.Diff(want, got); d != "" || err != nil { // without its secret
		t.Errorf("%v (-want +got)\n%s", err, d)
	}

	clk.add(time.Second)
	want.Name, want.Validation, want.DynamicRegister, want.DataFormat = "new name", ValidationNone, true, FormatRaw
	want.UpdatedAt = clk.now().UTC()
	if err := s.UpdateProduct(ctx, want); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Product(ctx, made.Key); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%v (-want +got)\n%s", err, cmp.Diff(want, got))
	}
	_, err = s.CreateProduct(ctx, Product{Key: made.Key, Name: "again"})
	wantKind(t, err, ErrExists)
	if err := s.DeleteProduct(ctx, made.Key, false); err != nil {
		t.Fatal(err)
	}
	_, err = s.Product(ctx, made.Key)
	wantKind(t, err, ErrNotFound)
	wantKind(t, s.UpdateProduct(ctx, want), ErrNotFound)
	wantKind(t, s.DeleteProduct(ctx, made.Key, true), ErrNotFound)
}

func TestProductRefusals(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	for name, p := range map[string]Product{
		"no name":      {Key: "a1"},
		"slash in key": {Key: "a1/b", Name: "x"},
		"long key":     {Key: "a12345678901234567890123456789012", Name: "x"},
		"node type":    {Name: "x", NodeType: "server"},
		"data format":  {Name: "x", DataFormat: "xml"},
		"validation":   {Name: "x", Validation: "maybe"},
		"secret":       {Name: "x", Secret: "has a blank"},
	} {
		_, err := s.CreateProduct(ctx, p)
		t.Run(name, func(t *testing.T) { wantKind(t, err, ErrInvalid) })
	}
	if all, err := s.Products(ctx, ProductQuery{}); err != nil || len(all) != 0 {
		t.Errorf("%d products, %v", len(all), err)
	}
}

func TestProductPages(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	for _, key := range []string{"c3", "a1", "b2"} {
		if _, err := s.CreateProduct(ctx, Product{Key: key, Name: key}); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	for after := ""; ; {
		page, err := s.Products(ctx, ProductQuery{After: after, Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, p := range page {
			keys, after = append(keys, p.Key), p.Key
		}
	}
	wantStrings(t, keys, "a1", "b2", "c3")
}

func TestProductWithDevicesIsDeletedOnlyByForce(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	mustProduct(t, s)
	key := SeriesKey{mustDevice(t, s, "dev1").ID, Property, "v"}
	mustDevice(t, s, "dev2")
	mustAppend(t, s, Point{key, t0, Int(1)})
	if _, err := s.PutModel(ctx, "a1prod", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	wantKind(t, s.DeleteProduct(ctx, "a1prod", false), ErrConflict)
	wantStrings(t, mustRange(t, s, key, RangeQuery{}), "0=1")
	if err := s.DeleteProduct(ctx, "a1prod", true); err != nil {
		t.Fatal(err)
	}
	wantStrings(t, mustRange(t, s, key, RangeQuery{}))
	_, err := s.Device(ctx, "a1prod", "dev2")
	wantKind(t, err, ErrNotFound)
	_, err = s.Model(ctx, "a1prod")
	wantKind(t, err, ErrNotFound)
	if st := s.Stats(); st.Heads != 0 {
		t.Errorf("%d heads are left", st.Heads)
	}
}
