package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDeviceLifecycle(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	mustProduct(t, s)
	r, err := s.CreateDevice(ctx, NewDevice{ProductKey: "a1prod", Nickname: "hall"})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Device.Name) != 20 || len(r.Secret) != 32 || len(r.Device.IotID) != 24 {
		t.Errorf("made up: %+v and a secret of %d characters", r.Device, len(r.Secret))
	}
	r, err = s.CreateDevice(ctx, NewDevice{ProductKey: "a1prod", Name: "STC15", Secret: "bc0834", IotID: "42Ze0mk3556498a1AlTP"})
	if err != nil {
		t.Fatal(err)
	}
	want := Device{ID: r.Device.ID, IotID: "42Ze0mk3556498a1AlTP", ProductKey: "a1prod", Name: "STC15",
		Enabled: true, CreatedAt: time.UnixMilli(t0).UTC()}
	same := func(got Device, err error) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, d)
		}
	}
	same(r.Device, nil)
	same(s.Device(ctx, "a1prod", "STC15"))
	same(s.DeviceByIotID(ctx, want.IotID))
	same(s.DeviceByID(ctx, want.ID))

	if err := s.SetEnabled(ctx, "a1prod", "STC15", false); err != nil {
		t.Fatal(err)
	}
	if err := s.SetNickname(ctx, "a1prod", "STC15", "门厅"); err != nil {
		t.Fatal(err)
	}
	want.Enabled, want.Nickname = false, "门厅"
	same(s.Device(ctx, "a1prod", "STC15"))

	wantKind(t, s.SetEnabled(ctx, "a1prod", "nobody", true), ErrNotFound)
	wantKind(t, s.SetNickname(ctx, "a1prod", "nobody", ""), ErrNotFound)
	wantKind(t, s.DeleteDevice(ctx, "a1prod", "nobody"), ErrNotFound)
	if err := s.DeleteDevice(ctx, "a1prod", "STC15"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Device(ctx, "a1prod", "STC15")
	wantKind(t, err, ErrNotFound)
}

func TestCreateDevicesReportsEachRow(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	mustProduct(t, s)
	mustDevice(t, s, "taken")
	long := make([]byte, 65)
	for i := range long {
		long[i] = 'x'
	}
	rows := []struct {
		d    NewDevice
		want error
	}{
		{NewDevice{ProductKey: "a1prod", Name: "first"}, nil},
		{NewDevice{ProductKey: "a1prod", Name: "taken"}, ErrExists},
		{NewDevice{ProductKey: "a1prod", Name: "first"}, ErrExists}, // twice in one call
		{NewDevice{ProductKey: "nowhere", Name: "dev"}, ErrNotFound},
		{NewDevice{ProductKey: "a1prod", Name: "a/b"}, ErrInvalid},
		{NewDevice{ProductKey: "a1prod", Name: "a+"}, ErrInvalid},
		{NewDevice{ProductKey: "a1prod", Name: "bell\a"}, ErrInvalid},
		{NewDevice{ProductKey: "a1prod", Name: "\xff"}, ErrInvalid},
		{NewDevice{ProductKey: "a1prod", Name: "ok1", Secret: Secret(long)}, ErrInvalid},
		{NewDevice{ProductKey: "a1prod", Name: "温度计"}, nil},
	}
	var in []NewDevice
	for _, r := range rows {
		in = append(in, r.d)
	}
	out, err := s.CreateDevices(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		if !errors.Is(out[i].Err, r.want) {
			t.Errorf("row %d %q: %v, want %v", i, r.d.Name, out[i].Err, r.want)
		}
		if (out[i].Device.ID != 0) != (r.want == nil) {
			t.Errorf("row %d has device %+v and error %v", i, out[i].Device, out[i].Err)
		}
	}
	if n, err := s.CountDevices(ctx, "a1prod"); err != nil || n.Total != 3 {
		t.Errorf("%d devices, %v; want 3", n.Total, err)
	}
	_, err = s.CreateDevices(ctx, make([]NewDevice, MaxBulk+1))
	wantKind(t, err, ErrLimit)
}

func TestCreateTenThousandDevices(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	mustProduct(t, s)
	out, err := s.CreateDevices(ctx, namelessDevices(MaxBulk))
	if err != nil {
		t.Fatal(err)
	}
	ids := map[int64]bool{}
	for _, r := range out {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		ids[r.Device.ID] = true
	}
	if n, err := s.CountDevices(ctx, ""); err != nil || n.Total != MaxBulk || len(ids) != MaxBulk {
		t.Errorf("%d devices with %d ids, %v", n.Total, len(ids), err)
	}
	c, err := s.Credentials(ctx, "a1prod", out[9999].Device.Name)
	if err != nil || c.Secret != out[9999].Secret {
		t.Errorf("the last device's secret differs, %v", err)
	}
}

func TestDevicePages(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	mustProduct(t, s)
	if _, err := s.CreateProduct(ctx, Product{Key: "a1other", Name: "other"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateDevice(ctx, NewDevice{ProductKey: "a1other", Name: "dev05"}); err != nil {
		t.Fatal(err)
	}
	for i := range 7 {
		mustDevice(t, s, fmt.Sprintf("dev%02d", i))
	}
	mustDevice(t, s, "node")
	mustDevice(t, s, "de_") // the prefix is text, not a pattern
	list := func(q DeviceQuery) (names []string) {
		t.Helper()
		q.ProductKey = "a1prod"
		page, err := s.Devices(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page {
			names = append(names, d.Name)
		}
		return names
	}
	wantStrings(t, list(DeviceQuery{Limit: 3}), "de_", "dev00", "dev01")
	wantStrings(t, list(DeviceQuery{Limit: 3, After: "dev01"}), "dev02", "dev03", "dev04")
	wantStrings(t, list(DeviceQuery{Limit: 9, After: "dev04"}), "dev05", "dev06", "node")
	wantStrings(t, list(DeviceQuery{Prefix: "dev", After: "dev04"}), "dev05", "dev06")
	wantStrings(t, list(DeviceQuery{Prefix: "de_"}), "de_")
	wantStrings(t, list(DeviceQuery{Prefix: "x"}))
}

func TestStatusIsCoalesced(t *testing.T) {
	ctx := context.Background()
	opts := testOptions(t)
	s := mustOpen(t, opts)
	mustProduct(t, s)
	dev := mustDevice(t, s, "dev1")
	at := func(ms int64) time.Time { return time.UnixMilli(t0 + ms).UTC() }
	s.wmu.Lock() // all of it waits for one round
	s.SetOnline(dev.ID, at(1), "192.0.2.1:1")
	s.SetOffline(dev.ID, at(2), "")
	s.SetOnline(dev.ID, at(3), "192.0.2.1:3")
	s.SetOnline(dev.ID+50, at(3), "nobody's")
	s.wmu.Unlock()
	mustAppend(t, s) // a round after them
	got, err := s.Device(ctx, "a1prod", "dev1")
	want := dev
	want.ActivatedAt, want.LastOnlineAt, want.LastOfflineAt, want.LastAddr = at(3), at(3), at(2), "192.0.2.1:3"
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, d)
	}
	s.SetOffline(dev.ID, at(9), "")
	s = reopen(t, s, opts) // Close writes it
	want.LastOfflineAt = at(9)
	got, err = s.Device(ctx, "a1prod", "dev1")
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, d)
	}
	if n, err := s.CountDevices(ctx, "a1prod"); err != nil || n != (DeviceCount{Total: 1, Activated: 1}) {
		t.Errorf("%+v, %v", n, err)
	}
}
