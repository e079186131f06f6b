package store

import (
	"context"
	"testing"
	"time"
)

// TestReportVersion: the report of a version and the end of the tasks that lead to it are one change, and concern
// nothing else.
func TestReportVersion(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	mustProduct(t, s)
	one, two := mustDevice(t, s, "dev1"), mustDevice(t, s, "dev2")
	job := func(module, version string) {
		t.Helper()
		id, err := s.NextPackageID(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.CreatePackage(ctx, Package{ID: id, ProductKey: one.ProductKey, Module: module, Version: version, Size: 1, SignMethod: "Md5"}); err != nil {
			t.Fatal(err)
		}
		if _, n, err := s.CreateJob(ctx, Job{PackageID: id, Protocol: "mqtt"}, JobTarget{}); err != nil || n != 2 {
			t.Fatalf("%d devices, %v", n, err)
		}
	}
	job("default", "1.1")
	job("MCU", "1.1")
	report := func(id int64, module, version string, want int64) {
		t.Helper()
		if n, err := s.ReportVersion(ctx, id, module, version); n != want || err != nil {
			t.Errorf("%s %s of device %d ended %d tasks, %v; want %d", module, version, id, n, err, want)
		}
	}
	open := func(id int64, want int) {
		t.Helper()
		if got, err := s.OpenTasks(ctx, id, ""); len(got) != want || err != nil {
			t.Errorf("device %d has %d open tasks, %v; want %d", id, len(got), err, want)
		}
	}
	report(one.ID, "default", "1.0", 0)
	open(one.ID, 2)
	report(one.ID, "default", "1.1", 1)
	report(one.ID, "default", "1.1", 0)
	open(one.ID, 1)
	open(two.ID, 2)
	// Known before, but a task is still open, as a server that was killed left it.
	tasks, err := s.OpenTasks(ctx, two.ID, "MCU")
	if err != nil || len(tasks) != 1 {
		t.Fatal(tasks, err)
	}
	report(two.ID, "MCU", "1.1", 1)
	if err := s.write(ctx, "test", "", func(x *tx) error {
		_, err := x.exec(ctx, `update ota_task set state = 'pushed' where id = $1`, tasks[0].ID)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	report(two.ID, "MCU", "1.1", 1)
	k, err := s.Task(ctx, tasks[0].ID)
	if err != nil || k.State != TaskSuccess || k.Step != 100 || k.Reported != "1.1" || !k.DueAt.IsZero() && !k.DueAt.Equal(time.UnixMilli(0)) {
		t.Errorf("the task is %+v, %v", k, err)
	}
	wantKind(t, func() error { _, err := s.ReportVersion(ctx, two.ID+9, "default", "1"); return err }(), ErrNotFound)
}
