package store

import (
	"fmt"
	"strings"
	"testing"
)

func TestDeviceLog(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	ctx := t.Context()
	mustProduct(t, s)
	dev := mustDevice(t, s, "dev1").ID
	var lines []LogLine
	for i := range MaxDeviceLog + 5 {
		lines = append(lines, LogLine{Source: "device", Level: "INFO", Content: fmt.Sprint("line ", i)})
	}
	lines[MaxDeviceLog+4].Content = strings.Repeat("x", maxLogContent+9)
	lines[MaxDeviceLog+3].Module = strings.Repeat("m", 1000)
	if err := s.AddDeviceLog(ctx, dev, lines); err != nil {
		t.Fatal(err)
	}
	got, err := s.DeviceLog(ctx, dev, 0, 2)
	if err != nil || len(got) != 2 || len(got[0].Content) != maxLogContent || len(got[1].Module) != maxLogField {
		t.Fatalf("%d lines, %v", len(got), err)
	}
	if got, err = s.DeviceLog(ctx, dev, 0, 1000); err != nil || len(got) != MaxDeviceLog || got[MaxDeviceLog-1].Content != "line 5" {
		t.Errorf("%d lines are kept, the oldest %q, %v", len(got), got[len(got)-1].Content, err)
	}
	wantKind(t, s.AddDeviceLog(ctx, dev+1, lines[:1]), ErrNotFound)
	if v, err := s.DeviceSetting(ctx, dev, "log"); v != "" || err != nil {
		t.Errorf("no setting: %q, %v", v, err)
	}
	for _, want := range []string{"1", "0"} {
		if err := s.PutDeviceSetting(ctx, dev, "log", want); err != nil {
			t.Fatal(err)
		}
		if v, err := s.DeviceSetting(ctx, dev, "log"); v != want || err != nil {
			t.Errorf("setting %q, %v; want %q", v, err, want)
		}
	}
}
