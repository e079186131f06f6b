package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// wantKind checks that err is of a sentinel's kind and says what to do.
func wantKind(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want kind %v", err, want)
		return
	}
	var e *Error
	if errors.As(err, &e) && (e.Kind == KindLocked || e.Kind == KindNewer || e.Kind == KindWrongKey || e.Kind == KindCorrupt) && e.Hint == "" {
		t.Errorf("%v does not say what to do", err)
	}
}

func TestErrorText(t *testing.T) {
	err := &Error{Kind: KindConflict, Op: "delete product", Key: "a1prod", Err: errors.New("it has 2 devices"), Hint: "delete them first"}
	if got, want := err.Error(), "delete product a1prod: conflict: it has 2 devices; delete them first"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(fmt.Errorf("outer: %w", err), ErrConflict) {
		t.Error("a wrapped conflict is not ErrConflict")
	}
	if errors.Is(err, ErrNotFound) || errors.Is(ErrConflict, err) {
		t.Error("errors of different kinds or a sentinel match a full error")
	}
}

func TestCancelledCallerChangesNothing(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.CreateProduct(ctx, Product{Key: "a1x", Name: "x"})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	_, err = s.Product(context.Background(), "a1x")
	wantKind(t, err, ErrNotFound)
	mustProduct(t, s) // and the connection still works
}
