package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAuditPages(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	for i := range 5 {
		detail := fmt.Sprint(i, strings.Repeat("文", 400))
		if err := s.Audit(ctx, "admin", "device.create", fmt.Sprint("a1prod/dev", i%2), detail); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.AuditLog(ctx, AuditQuery{Limit: 2})
	if err != nil || len(page) != 2 || page[0].Detail[0] != '4' || page[0].At.UnixMilli() != t0 {
		t.Fatalf("%v, %v", page, err)
	}
	if d := page[0].Detail; len(d) > maxAuditField+3 || !utf8.ValidString(d) {
		t.Errorf("a detail of %d bytes was kept", len(d))
	}
	page, err = s.AuditLog(ctx, AuditQuery{Before: page[1].ID, Object: "a1prod/dev0"})
	if err != nil || len(page) != 2 || page[0].Detail[0] != '2' || page[1].Detail[0] != '0' {
		t.Errorf("%v, %v", page, err)
	}
}
