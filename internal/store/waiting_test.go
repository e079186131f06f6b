package store

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// askWaiting is what the database says that waits.
func askWaiting(t rapid.TB, s *Store, device int64) (is Waits) {
	t.Helper()
	row, err := s.r.row(context.Background(), waitingQuery, device)
	if err != nil {
		t.Fatal(err)
	}
	var some [len(waits)]bool
	if err := row.Scan(&some[0], &some[1], &some[2], &some[3]); err != nil {
		t.Fatal(err)
	}
	for i, k := range waits {
		if some[i] {
			is |= k.kind
		}
	}
	return is
}

// waitingHouse is a product with three devices, to which anything may happen.
type waitingHouse struct {
	*Store
	before  int64 // the last job of others
	devices []Device
	seen    [len(waits)]bool // kinds that have waited
}

func newWaitingHouse(t testing.TB, s *Store, product string) *waitingHouse {
	h := &waitingHouse{Store: s}
	if _, err := s.CreateProduct(t.Context(), Product{Key: product, Name: "lamp", Secret: "productsecret"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dev1", "dev2", "dev3"} {
		r, err := s.CreateDevice(t.Context(), NewDevice{ProductKey: product, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		h.devices = append(h.devices, r.Device)
	}
	jobs, err := s.DeviceJobs(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(jobs) > 0 {
		h.before = jobs[0].ID
	}
	return h
}

// job and upgrade make one for the device named, or for all.
func (h *waitingHouse) job(ctx context.Context, d Device, all bool) error {
	target := DeviceJobTarget{ProductKey: d.ProductKey}
	if !all {
		target.Devices = []string{d.ProductKey + "/" + d.Name}
	}
	_, _, err := h.CreateDeviceJob(ctx, DeviceJob{Name: "job", Document: "{}"}, target)
	return err
}

func (h *waitingHouse) upgrade(ctx context.Context, d Device, module, version string, all bool) error {
	id, err := h.NextPackageID(ctx)
	if err != nil {
		return err
	}
	pkg := Package{ID: id, ProductKey: d.ProductKey, Module: module, Version: version, Size: 1, SignMethod: "Md5"}
	if err := h.CreatePackage(ctx, pkg); err != nil {
		return err
	}
	var target JobTarget
	if !all {
		target.Names = []string{d.Name}
	}
	_, _, err = h.CreateJob(ctx, Job{PackageID: id, Protocol: "mqtt"}, target)
	return err
}

// step does something that may make something wait for a device, or end it.
func (h *waitingHouse) step(t *rapid.T, d Device) error {
	ctx, now := context.Background(), h.opts.Now()
	all := rapid.Bool().Draw(t, "all")
	switch what := rapid.SampledFrom([]string{"desire", "clear", "desire badly", "shadow", "shadow refused", "no shadow", "job", "task", "cancel job", "delete job", "end jobs",
		"upgrade", "upgrade task", "cancel upgrade", "report", "time out upgrades", "delete package"}).Draw(t, "what"); what {
	case "desire":
		_, err := h.SetDesired(ctx, d.ID, []NewDesired{{Identifier: "Light", Value: []byte("1"), Expect: -1}})
		return err
	case "clear":
		_, err := h.ClearDesired(ctx, d.ID, []NewDesired{{Identifier: "Light", Expect: -1}})
		return err
	case "desire badly": // rolled back
		_, err := h.SetDesired(ctx, d.ID, []NewDesired{{Identifier: "Fan", Value: []byte("1"), Expect: -1}, {Identifier: "Pump", Value: []byte("1"), Expect: 99}})
		return err
	case "shadow", "shadow refused", "no shadow":
		return h.UpdateShadow(ctx, d.ID, func([]byte, int64) ([]byte, int64, error) {
			switch what {
			case "shadow":
				return []byte("{}"), 1, nil
			case "no shadow":
				return nil, 0, nil
			}
			return nil, 0, ErrConflict
		})
	case "job":
		return h.job(ctx, d, all)
	case "upgrade":
		return h.upgrade(ctx, d, rapid.SampledFrom([]string{"default", "MCU"}).Draw(t, "module"), rapid.StringMatching("[0-9]{6}").Draw(t, "version"), all)
	case "task":
		tasks, err := h.DeviceTasks(ctx, d.ID, 0)
		if err != nil || len(tasks) == 0 {
			return err
		}
		from := rapid.SampledFrom(tasks).Draw(t, "task")
		to := from
		to.Status = rapid.SampledFrom([]TaskStatus{StatusQueued, StatusSent, StatusInProgress, StatusSucceeded, StatusCancelled}).Draw(t, "status")
		to.Sends, to.TellOver = to.Sends+1, rapid.Bool().Draw(t, "tell")
		_, err = h.UpdateDeviceTask(ctx, from, to)
		return err
	case "cancel job", "delete job":
		jobs, err := h.DeviceJobs(ctx, 0, 0)
		jobs = slices.DeleteFunc(jobs, func(j DeviceJobSummary) bool { return j.ID <= h.before })
		if err != nil || len(jobs) == 0 {
			return err
		}
		job := rapid.SampledFrom(jobs).Draw(t, "job").ID
		if what == "cancel job" {
			_, err = h.CancelDeviceJob(ctx, job, all)
		} else {
			_, err = h.DeleteDeviceJob(ctx, job)
		}
		return err
	case "end jobs":
		_, err := h.EndDeviceJobs(ctx, now)
		return err
	case "upgrade task", "report", "cancel upgrade", "delete package":
		tasks, err := h.tasks(ctx, "", `select `+taskColumns+taskTables+`where k.device = $1`, d.ID)
		if err != nil || len(tasks) == 0 {
			return err
		}
		from := rapid.SampledFrom(tasks).Draw(t, "task")
		switch what {
		case "upgrade task":
			state := rapid.SampledFrom([]TaskState{TaskPending, TaskPushed, TaskUpgrading, TaskFailure}).Draw(t, "state")
			_, err = h.UpdateTask(ctx, from, state, 0, "", 0, 0, time.Time{})
		case "report":
			_, err = h.ReportVersion(ctx, d.ID, from.Module, from.Package.Version)
		case "cancel upgrade":
			_, err = h.CancelJob(ctx, from.JobID, all)
		default:
			err = h.DeletePackage(ctx, from.Package.ID)
		}
		return err
	default:
		_, err := h.TimeoutTasks(ctx, now)
		return err
	}
}

// check compares what is in memory with the database.
func (h *waitingHouse) check(t rapid.TB) {
	t.Helper()
	for _, d := range h.devices {
		is := askWaiting(t, h.Store, d.ID)
		if may, _ := h.waiting.of(d.ID); is&^may != 0 || h.MayWait(d.ID) != (may != 0) {
			t.Fatalf("for %s %04b waits and memory says %04b", d.Name, is, may)
		}
		for i, k := range waits {
			h.seen[i] = h.seen[i] || is&k.kind != 0
		}
	}
}

// TestWaitingModel: whatever is written, memory never says that nothing waits when
// something does; it learns when nothing does any more; and a restart finds the same.
func TestWaitingModel(t *testing.T) {
	opts := testOptions(t)
	s := mustOpen(t, opts)
	var seen [len(waits)]bool
	houses := 0
	rapid.Check(t, func(rt *rapid.T) {
		houses++
		h := newWaitingHouse(t, s, fmt.Sprint("a1prod", houses))
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			d := rapid.SampledFrom(h.devices).Draw(rt, "device")
			err := h.step(rt, d)
			if err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
				rt.Fatal(err)
			}
			h.check(rt)
			if rapid.Bool().Draw(rt, "connects") {
				is, err := h.Waiting(t.Context(), d.ID)
				if may, _ := h.waiting.of(d.ID); err != nil || is != askWaiting(rt, s, d.ID) || may != is {
					rt.Fatalf("a login of %s was told %04b, %v; %04b waits, and memory says %04b now", d.Name, is, err, askWaiting(rt, s, d.ID), may)
				}
				h.check(rt)
			}
		}
		for i := range seen {
			seen[i] = seen[i] || h.seen[i]
		}
	})
	for i, k := range waits {
		if !seen[i] {
			t.Errorf("nothing of kind %04b ever waited", k.kind)
		}
	}
	s = reopen(t, s, opts)
	devices, err := s.w.int64s(t.Context(), `select id from device`)
	if err != nil || len(devices) != 3*houses {
		t.Fatalf("%d devices of %d houses, %v", len(devices), houses, err)
	}
	for _, id := range devices {
		if may, _ := s.waiting.of(id); may != askWaiting(t, s, id) {
			t.Fatalf("after a restart memory says %04b of device %d, and %04b waits", may, id, askWaiting(t, s, id))
		}
	}
}

// TestWaitingOvertaken: a read that began before something was written for a device
// does not take it out, however the two lie in time.
func TestWaitingOvertaken(t *testing.T) {
	const device = 5
	var w waiting
	w.init()
	w.note(device, WaitsShadow, false)
	_, change := w.of(device)
	held := w.note(device, WaitsDesired, true) // a transaction writes
	w.remove(device, waitsAny, change)
	if may, _ := w.of(device); may != WaitsShadow|WaitsDesired {
		t.Errorf("a read took %04b out while a transaction was under way", waitsAny&^may)
	}
	_, change = w.of(device) // of a read before the commit
	if w.note(device, WaitsTask, true) != nil {
		t.Error("a page is held twice by one transaction")
	}
	w.release([]*waitingPage{held}) // it commits
	w.remove(device, waitsAny, change)
	if may, _ := w.of(device); may != WaitsShadow|WaitsDesired|WaitsTask {
		t.Errorf("a read of before the commit took %04b out after it", waitsAny&^may)
	}
	_, change = w.of(device)
	w.remove(device, WaitsDesired|WaitsTask, change)
	if may, _ := w.of(device); may != WaitsShadow {
		t.Errorf("memory says %04b when only a shadow is left", may)
	}
}

// TestWaitingHeld: a device is noted before the transaction can be seen, and held
// until it has ended; what is rolled back goes with the next look.
func TestWaitingHeld(t *testing.T) {
	h := newWaitingHouse(t, mustOpen(t, testOptions(t)), "a1prod")
	dev, ctx, give := h.devices[0].ID, t.Context(), errors.New("no")
	for _, outcome := range []error{nil, give} {
		if h.MayWait(dev) {
			t.Fatal("something waits already")
		}
		err := h.write(ctx, "test", "", func(x *tx) error {
			if _, err := x.writeWaiting(ctx, WaitsShadow, `insert into shadow (device, version, document) values ($1, 1, $2)`, dev, []byte("{}")); err != nil {
				return err
			}
			if !h.MayWait(dev) {
				t.Error("the device is not noted yet")
			}
			if is, err := h.Waiting(ctx, dev); is != 0 || err != nil { // not committed yet
				t.Errorf("%04b waits, %v", is, err)
			}
			if !h.MayWait(dev) {
				t.Error("a look at the database took the device out before the commit")
			}
			return outcome
		})
		if !errors.Is(err, outcome) {
			t.Fatal(err)
		}
		want := WaitsShadow
		if outcome != nil {
			want = 0
		}
		if is, err := h.Waiting(ctx, dev); is != want || err != nil || h.MayWait(dev) != (want != 0) {
			t.Errorf("after %v: %04b waits, %v", outcome, is, err)
		}
		if err := h.UpdateShadow(ctx, dev, func([]byte, int64) ([]byte, int64, error) { return nil, 0, nil }); err != nil {
			t.Fatal(err)
		}
		if is, err := h.Waiting(ctx, dev); is != 0 || err != nil {
			t.Fatalf("%04b waits, %v", is, err)
		}
	}
}

// TestWaitingCancelled: a device that has begun with a task has nothing waiting until
// its job is cancelled.
func TestWaitingCancelled(t *testing.T) {
	h := newWaitingHouse(t, mustOpen(t, testOptions(t)), "a1prod")
	dev, ctx := h.devices[0], t.Context()
	if err := h.job(ctx, dev, false); err != nil {
		t.Fatal(err)
	}
	tasks, err := h.DeviceTasks(ctx, dev.ID, 0)
	if err != nil || len(tasks) != 1 {
		t.Fatal(tasks, err)
	}
	begun := tasks[0]
	begun.Status, begun.Sends = StatusInProgress, 1
	if ok, err := h.UpdateDeviceTask(ctx, tasks[0], begun); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if is, err := h.Waiting(ctx, dev.ID); is != 0 || err != nil || h.MayWait(dev.ID) {
		t.Fatalf("%04b waits for a device that has begun, %v", is, err)
	}
	if n, err := h.CancelDeviceJob(ctx, begun.Job.ID, true); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if is, err := h.Waiting(ctx, dev.ID); is != WaitsTask || err != nil {
		t.Errorf("%04b waits after the cancellation, %v", is, err)
	}
}

// TestWaitingBound: beyond the bound of the memory, and when the start could not
// read what waits, every device is asked about, rightly.
func TestWaitingBound(t *testing.T) {
	for name, spoil := range map[string]func(*Store){
		"too many": func(s *Store) { s.waiting.max = 0 },
		"not readable": func(s *Store) {
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			s.readWaiting(ended)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newWaitingHouse(t, mustOpen(t, testOptions(t)), "a1prod")
			spoil(h.Store)
			one, two := h.devices[0], h.devices[1]
			if _, err := h.SetDesired(t.Context(), one.ID, []NewDesired{{Identifier: "Light", Value: []byte("1"), Expect: -1}}); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if is, err := h.Waiting(t.Context(), one.ID); is != WaitsDesired || err != nil || !h.MayWait(one.ID) {
					t.Errorf("%04b waits for the first device, %v", is, err)
				}
				if is, err := h.Waiting(t.Context(), two.ID); is != 0 || err != nil || !h.MayWait(two.ID) {
					t.Errorf("%04b waits for the second device, %v", is, err)
				}
			}
		})
	}
}

// TestWaitingOnePlace: no statement of this package writes what waits by another way
// than writeWaiting.
func TestWaitingOnePlace(t *testing.T) {
	writes := regexp.MustCompile(`(?i)(insert\s+(or\s+\w+\s+)?into\s+|replace\s+into\s+|update\s+)(desired_value|shadow|ota_task|device_task)(\s+as\s+\w+)?\s*(\(|set\b)`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		noted := map[*ast.BasicLit]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "writeWaiting" {
					ast.Inspect(n, func(n ast.Node) bool {
						if text, ok := n.(*ast.BasicLit); ok {
							noted[text] = true
						}
						return true
					})
				}
			case *ast.BasicLit:
				if n.Kind == token.STRING && writes.MatchString(n.Value) {
					found++
					if !noted[n] {
						t.Errorf("%s: written without writeWaiting: a device that connects would not be told", set.Position(n.Pos()))
					}
				}
			}
			return true
		})
	}
	if found < 10 {
		t.Errorf("only %d statements were found", found)
	}
}

// TestWaitingIndexes: a start reads what waits and nothing that is over.
func TestWaitingIndexes(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	for _, k := range waits {
		rows, err := s.r.rows(t.Context(), `explain query plan select distinct device from `+k.rows)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int64
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(plan, "; "); k.kind == WaitsShadow && !strings.Contains(got, "COVERING INDEX") || k.kind != WaitsShadow && !strings.Contains(got, "_waiting") {
			t.Errorf("%s: %s", k.rows, got)
		}
	}
}
