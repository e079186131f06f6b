package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Package is firmware that devices can be given.
type Package struct {
	ID            int64
	ProductKey    string
	Module        string // "default" is the firmware itself
	Version       string
	SourceVersion string // a difference to this version; "" for a whole package
	Size          int64
	MD5, SHA256   string // hex, lower case
	SignMethod    string // Md5 or SHA256
	UDI           string // text that devices get with it, "" for none
	CreatedAt     time.Time
}

// NextPackageID reserves the id of a package, which names its file.
func (s *Store) NextPackageID(ctx context.Context) (id int64, err error) {
	err = s.write(ctx, "create package", "", func(t *tx) error {
		id, err = t.nextIDs(ctx, "ota_package", 1)
		return err
	})
	return id, err
}

// CreatePackage stores a package under the id reserved for it. It fails with
// ErrExists if the product has this version of the module already.
func (s *Store) CreatePackage(ctx context.Context, p Package) error {
	const op = "create package"
	key := p.ProductKey + " " + p.Module + " " + p.Version
	return s.write(ctx, op, key, func(t *tx) error {
		n, err := t.int64s(ctx, `select 1 from product where product_key = $1`, p.ProductKey)
		if err == nil && len(n) == 0 {
			err = &Error{Kind: KindNotFound, Op: op, Key: p.ProductKey, Err: errors.New("no such product")}
		}
		if err != nil {
			return err
		}
		changed, err := t.exec(ctx, `insert into ota_package (id, product_key, module, version, source_version, size, md5, sha256, sign_method, udi, created_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict do nothing`,
			p.ID, p.ProductKey, p.Module, p.Version, p.SourceVersion, p.Size, p.MD5, p.SHA256, p.SignMethod, p.UDI, s.now())
		if err == nil && changed == 0 {
			err = &Error{Kind: KindExists, Op: op, Key: key, Hint: "give it another version, or delete the one that is there"}
		}
		return err
	})
}

const packageColumns = `p.id, p.product_key, p.module, p.version, p.source_version, p.size, p.md5, p.sha256, p.sign_method, p.udi, p.created_at`

type packageScan struct {
	p       Package
	created int64
}

func (r *packageScan) fields() []any {
	p := &r.p
	return []any{&p.ID, &p.ProductKey, &p.Module, &p.Version, &p.SourceVersion, &p.Size, &p.MD5, &p.SHA256, &p.SignMethod, &p.UDI, &r.created}
}

func (r *packageScan) get() Package { r.p.CreatedAt = fromMS(r.created); return r.p }

// Package returns a package or ErrNotFound.
func (s *Store) Package(ctx context.Context, id int64) (Package, error) {
	const op = "read package"
	var scan packageScan
	row, err := s.r.row(ctx, `select `+packageColumns+` from ota_package p where p.id = $1`, id)
	if err == nil {
		err = row.Scan(scan.fields()...)
	}
	return scan.get(), wrap(op, fmt.Sprint(id), err)
}

// Packages returns the packages of a product, newest first.
func (s *Store) Packages(ctx context.Context, productKey string) ([]Package, error) {
	const op = "list packages"
	rows, err := s.r.rows(ctx, `select `+packageColumns+` from ota_package p where p.product_key = $1 order by p.id desc limit 1000`, productKey)
	if err != nil {
		return nil, wrap(op, productKey, err)
	}
	defer rows.Close()
	var out []Package
	for rows.Next() {
		var scan packageScan
		if err := rows.Scan(scan.fields()...); err != nil {
			return nil, wrap(op, productKey, err)
		}
		out = append(out, scan.get())
	}
	return out, wrap(op, productKey, rows.Err())
}

// DeletePackage removes a package with its jobs and tasks.
func (s *Store) DeletePackage(ctx context.Context, id int64) error {
	const op = "delete package"
	key := fmt.Sprint(id)
	return s.write(ctx, op, key, func(t *tx) error {
		n, err := t.exec(ctx, `delete from ota_package where id = $1`, id)
		return found(n, err, op, key)
	})
}

// ReportVersion records the version that a device reported of a module, and ends
// the open tasks that were to bring it there as successes, in one transaction: no
// task is left that would give a device what it has. It returns how many ended, and
// writes nothing if all of that was known.
func (s *Store) ReportVersion(ctx context.Context, deviceID int64, module, version string) (ended int64, err error) {
	const op = "report version"
	key := fmt.Sprint("of device ", deviceID)
	const open = `k.device = $1 and k.module = $2 and k.state in ('pending', 'pushed', 'upgrading')
		and k.job in (select j.id from ota_job j join ota_package p on p.id = j.package where p.version = $3)`
	row, err := s.r.row(ctx, `select coalesce((select version from device_module where device = $1 and module = $2), ''), exists (select 1 from ota_task k where `+open+`)`,
		deviceID, module, version)
	if err != nil {
		return 0, wrap(op, key, err)
	}
	var have string
	var reached int64
	if err := row.Scan(&have, &reached); err != nil {
		return 0, wrap(op, key, err)
	}
	if have == version && reached == 0 {
		return 0, nil
	}
	err = s.write(ctx, op, key, func(t *tx) error {
		if err := t.deviceExists(ctx, op, key, deviceID); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `insert into device_module (device, module, version, changed_at) values ($1, $2, $3, $4)
			on conflict (device, module) do update set version = excluded.version, changed_at = excluded.changed_at`, deviceID, module, version, s.now()); err != nil {
			return err
		}
		n, err := t.int64s(ctx, `select count(*) from device_module where device = $1`, deviceID)
		if err == nil && n[0] > MaxModules {
			err = &Error{Kind: KindLimit, Op: op, Key: key, Err: fmt.Errorf("it would have %d modules, allowed are %d", n[0], MaxModules)}
		}
		if err != nil {
			return err
		}
		ended, err = t.writeWaiting(ctx, WaitsUpgrade, `update ota_task as k set state = 'success', step = 100, reason = '', due_at = 0, changed_at = $4 where `+open,
			deviceID, module, version, s.now())
		return err
	})
	return ended, err
}

// MaxModules is how many modules a device may report.
const MaxModules = 100

// ModuleVersion is the version of one module of a device.
type ModuleVersion struct {
	Module, Version string
	At              time.Time
}

// ModuleVersions returns what a device reported, ordered by module.
func (s *Store) ModuleVersions(ctx context.Context, deviceID int64) ([]ModuleVersion, error) {
	const op = "read module versions"
	key := fmt.Sprint("of device ", deviceID)
	rows, err := s.r.rows(ctx, `select module, version, changed_at from device_module where device = $1 order by module`, deviceID)
	if err != nil {
		return nil, wrap(op, key, err)
	}
	defer rows.Close()
	var out []ModuleVersion
	for rows.Next() {
		var m ModuleVersion
		var at int64
		if err := rows.Scan(&m.Module, &m.Version, &at); err != nil {
			return nil, wrap(op, key, err)
		}
		m.At = fromMS(at)
		out = append(out, m)
	}
	return out, wrap(op, key, rows.Err())
}

// Job gives devices a package.
type Job struct {
	ID         int64
	PackageID  int64
	Protocol   string // https or mqtt
	Retries    int
	RetryAfter time.Duration
	StartAt    time.Time
	TimeoutAt  time.Time // zero: never
	Cancelled  bool
	CreatedAt  time.Time
}

// JobTarget selects the devices of a job among those of the package's product.
type JobTarget struct {
	Names    []string // these; all if empty
	TagKey   string   // only those with this tag
	TagValue string
	Percent  int      // only this part of them, by the device's id; 0 is all
	Sources  []string // only those that reported one of these versions; all if empty
}

// CreateJob stores a job with a task for every device selected. A task of an older
// job for the same module that has not begun is cancelled; a device that is
// upgrading is left out, as is one that has the version already.
func (s *Store) CreateJob(ctx context.Context, j Job, target JobTarget) (created Job, devices int, err error) {
	const op = "create upgrade job"
	key := fmt.Sprint("of package ", j.PackageID)
	err = s.write(ctx, op, key, func(t *tx) error {
		var scan packageScan
		row, err := t.row(ctx, `select `+packageColumns+` from ota_package p where p.id = $1`, j.PackageID)
		if err == nil {
			err = row.Scan(scan.fields()...)
		}
		if err != nil {
			return err
		}
		pkg := scan.get()
		if pkg.SourceVersion != "" {
			target.Sources = []string{pkg.SourceVersion}
		}
		ids, err := t.targets(ctx, &pkg, target)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return &Error{Kind: KindNotFound, Op: op, Key: key, Err: errors.New("no device is selected"),
				Hint: "devices that have the version already, are upgrading, or did not report the source version are left out"}
		}
		if j.ID, err = t.nextIDs(ctx, "ota_job", 1); err != nil {
			return err
		}
		j.CreatedAt = fromMS(s.now())
		if j.StartAt.IsZero() {
			j.StartAt = j.CreatedAt
		}
		if _, err := t.exec(ctx, `insert into ota_job (id, package, protocol, retries, retry_after, start_at, timeout_at, cancelled, created_at)
			values ($1, $2, $3, $4, $5, $6, $7, 0, $8)`, j.ID, j.PackageID, j.Protocol, j.Retries, int64(j.RetryAfter/time.Second), toMS(j.StartAt), toMS(j.TimeoutAt), toMS(j.CreatedAt)); err != nil {
			return err
		}
		first, err := t.nextIDs(ctx, "ota_task", int64(len(ids)))
		if err != nil {
			return err
		}
		for i, device := range ids {
			if _, err := t.writeWaiting(ctx, WaitsUpgrade, `update ota_task set state = 'cancelled', reason = 'a newer job took its place', due_at = 0, changed_at = $3
				where device = $1 and module = $2 and state in ('pending', 'pushed')`, device, pkg.Module, s.now()); err != nil {
				return err
			}
			if _, err := t.writeWaiting(ctx, WaitsUpgrade, `insert into ota_task (id, job, device, module, state, step, reason, pushes, failures, due_at, changed_at)
				values ($1, $2, $3, $4, 'pending', 0, '', 0, 0, $5, $6)`, first+int64(i), j.ID, device, pkg.Module, toMS(j.StartAt), s.now()); err != nil {
				return err
			}
		}
		devices = len(ids)
		return nil
	})
	return j, devices, err
}

// targets returns the ids of the devices that a job selects.
func (t *tx) targets(ctx context.Context, p *Package, target JobTarget) ([]int64, error) {
	percent := target.Percent
	if percent <= 0 {
		percent = 100
	}
	all, err := t.int64s(ctx, `select d.id from device d left join device_module m on m.device = d.id and m.module = $2
		where d.product_key = $1 and coalesce(m.version, '') <> $3 and d.id * 37 % 100 < $4
		and ($5 = '' or exists (select 1 from device_tag g where g.device = d.id and g.name = $5 and g.value = $6))
		and ($7 = '' or length(replace($7, $8 || m.version || $8, '')) < length($7))
		and not exists (select 1 from ota_task k where k.device = d.id and k.module = $2 and k.state = 'upgrading')
		order by d.id`, p.ProductKey, p.Module, p.Version, percent, target.TagKey, target.TagValue, lines(target.Sources), "\n")
	if err != nil || len(target.Names) == 0 {
		return all, err
	}
	wanted := map[int64]bool{}
	for _, name := range target.Names {
		ids, err := t.int64s(ctx, `select id from device where product_key = $1 and name = $2`, p.ProductKey, name)
		if err := found(int64(len(ids)), err, "create upgrade job", p.ProductKey+"/"+name); err != nil {
			return nil, err
		}
		wanted[ids[0]] = true
	}
	out := all[:0]
	for _, id := range all {
		if wanted[id] {
			out = append(out, id)
		}
	}
	return out, nil
}

// lines joins texts so that each stands between line feeds, "" if there are none.
func lines(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	return "\n" + strings.Join(texts, "\n") + "\n"
}

// TaskState says how far an upgrade of a device is.
type TaskState string

// The states of a task; the last three are final.
const (
	TaskPending   TaskState = "pending"
	TaskPushed    TaskState = "pushed"
	TaskUpgrading TaskState = "upgrading"
	TaskSuccess   TaskState = "success"
	TaskFailure   TaskState = "failure"
	TaskCancelled TaskState = "cancelled"
)

// Final reports whether nothing more happens to a task.
func (t TaskState) Final() bool {
	return t == TaskSuccess || t == TaskFailure || t == TaskCancelled
}

// Task is the upgrade of one device by a job.
type Task struct {
	ID         int64
	JobID      int64
	DeviceID   int64
	DeviceName string
	ProductKey string
	Module     string
	State      TaskState
	Step       int    // as the device reported it
	Reason     string // why it failed
	Pushes     int    // how often the device was told
	Failures   int    // how often the device said that it failed
	DueAt      time.Time
	ChangedAt  time.Time
	Job        Job
	Package    Package
	Reported   string // the version of the module that the device reported last
}

const taskColumns = `k.id, k.job, k.device, d.name, d.product_key, k.module, k.state, k.step, k.reason, k.pushes, k.failures, k.due_at, k.changed_at,
	j.package, j.protocol, j.retries, j.retry_after, j.start_at, j.timeout_at, j.cancelled, j.created_at, coalesce(m.version, ''), ` + packageColumns

const taskTables = ` from ota_task k join device d on d.id = k.device join ota_job j on j.id = k.job join ota_package p on p.id = j.package
	left join device_module m on m.device = k.device and m.module = k.module `

func scanTask(scan func(...any) error) (Task, error) {
	var k Task
	var p packageScan
	var due, changed, retryAfter, start, timeout, cancelled, created int64
	err := scan(append([]any{&k.ID, &k.JobID, &k.DeviceID, &k.DeviceName, &k.ProductKey, &k.Module, &k.State, &k.Step, &k.Reason, &k.Pushes, &k.Failures, &due, &changed,
		&k.Job.PackageID, &k.Job.Protocol, &k.Job.Retries, &retryAfter, &start, &timeout, &cancelled, &created, &k.Reported}, p.fields()...)...)
	k.DueAt, k.ChangedAt, k.Package = fromMS(due), fromMS(changed), p.get()
	k.Job.ID, k.Job.RetryAfter, k.Job.StartAt, k.Job.TimeoutAt = k.JobID, time.Duration(retryAfter)*time.Second, fromMS(start), fromMS(timeout)
	k.Job.Cancelled, k.Job.CreatedAt = cancelled != 0, fromMS(created)
	return k, err
}

func (s *Store) tasks(ctx context.Context, key, query string, args ...any) ([]Task, error) {
	const op = "read upgrade tasks"
	rows, err := s.r.rows(ctx, query, args...)
	if err != nil {
		return nil, wrap(op, key, err)
	}
	defer rows.Close()
	var out []Task
	for rows.Next() {
		k, err := scanTask(rows.Scan)
		if err != nil {
			return nil, wrap(op, key, err)
		}
		out = append(out, k)
	}
	return out, wrap(op, key, rows.Err())
}

// Task returns a task or ErrNotFound.
func (s *Store) Task(ctx context.Context, id int64) (Task, error) {
	out, err := s.tasks(ctx, fmt.Sprint(id), `select `+taskColumns+taskTables+`where k.id = $1`, id)
	if err == nil && len(out) == 0 {
		err = &Error{Kind: KindNotFound, Op: "read upgrade task", Key: fmt.Sprint(id)}
	}
	if err != nil {
		return Task{}, err
	}
	return out[0], nil
}

// OpenTasks returns the tasks of a device that are not final, of one module or, if
// module is "", of all.
func (s *Store) OpenTasks(ctx context.Context, deviceID int64, module string) ([]Task, error) {
	return s.tasks(ctx, fmt.Sprint("of device ", deviceID), `select `+taskColumns+taskTables+`where k.device = $1 and ($2 = '' or k.module = $2)
		and k.state in ('pending', 'pushed', 'upgrading') order by k.id`, deviceID, module)
}

// JobTasks returns the tasks of a job behind id after, at most limit (100 if 0).
func (s *Store) JobTasks(ctx context.Context, job, after int64, limit int) ([]Task, error) {
	return s.tasks(ctx, fmt.Sprint("of job ", job), `select `+taskColumns+taskTables+`where k.job = $1 and k.id > $2 order by k.id limit $3`, job, after, pageSize(limit))
}

// DueTasks returns tasks whose time to be pushed has come, at most limit.
func (s *Store) DueTasks(ctx context.Context, now time.Time, limit int) ([]Task, error) {
	return s.tasks(ctx, "that are due", `select `+taskColumns+taskTables+`where k.due_at > 0 and k.due_at <= $1 order by k.due_at limit $2`, toMS(now), limit)
}

// UpdateTask changes a task if it is in the state that from says; changed is false
// if it is not.
func (s *Store) UpdateTask(ctx context.Context, from Task, state TaskState, step int, reason string, pushes, failures int, due time.Time) (changed bool, err error) {
	key := fmt.Sprint(from.ID)
	err = s.write(ctx, "update upgrade task", key, func(t *tx) error {
		n, err := t.writeWaiting(ctx, WaitsUpgrade, `update ota_task set state = $3, step = $4, reason = $5, pushes = $6, failures = $7, due_at = $8, changed_at = $9
			where id = $1 and state = $2`, from.ID, string(from.State), string(state), step, cutTo(reason, 512), pushes, failures, toMS(due), s.now())
		changed = n > 0
		return err
	})
	return changed, err
}

// TimeoutTasks fails the tasks of jobs whose time is over and returns how many.
func (s *Store) TimeoutTasks(ctx context.Context, now time.Time) (failed int64, err error) {
	over, err := s.r.rows(ctx, `select 1 from ota_job j where j.timeout_at > 0 and j.timeout_at <= $1 and j.cancelled = 0 limit 1`, toMS(now))
	if err != nil {
		return 0, wrap("time out upgrades", "", err)
	}
	any := over.Next()
	if err := errors.Join(over.Err(), over.Close()); err != nil || !any {
		return 0, wrap("time out upgrades", "", err)
	}
	err = s.write(ctx, "time out upgrades", "", func(t *tx) error {
		n, err := t.writeWaiting(ctx, WaitsUpgrade, `update ota_task set state = 'failure', reason = 'the time of the job is over', due_at = 0, changed_at = $1
			where state in ('pending', 'pushed', 'upgrading') and job in (select id from ota_job where timeout_at > 0 and timeout_at <= $1 and cancelled = 0)`, toMS(now))
		if err != nil {
			return err
		}
		failed = n
		_, err = t.exec(ctx, `update ota_job set timeout_at = -timeout_at where timeout_at > 0 and timeout_at <= $1`, toMS(now))
		return err
	})
	return failed, err
}

// CancelJob cancels the tasks of a job that have not begun, and with all set those
// that have too. It returns how many.
func (s *Store) CancelJob(ctx context.Context, job int64, all bool) (cancelled int64, err error) {
	const op = "cancel upgrade job"
	key := fmt.Sprint(job)
	err = s.write(ctx, op, key, func(t *tx) error {
		n, err := t.exec(ctx, `update ota_job set cancelled = 1 where id = $1`, job)
		if err := found(n, err, op, key); err != nil {
			return err
		}
		cancelled, err = t.writeWaiting(ctx, WaitsUpgrade, `update ota_task set state = 'cancelled', reason = 'the job was cancelled', due_at = 0, changed_at = $2
			where job = $1 and (state in ('pending', 'pushed') or $3 <> 0 and state = 'upgrading')`, job, s.now(), flag(all))
		return err
	})
	return cancelled, err
}

// JobSummary is a job with how many of its tasks are in each state.
type JobSummary struct {
	Job
	Package Package
	States  map[TaskState]int
}

// Jobs returns the jobs of a product, newest first, at most 100.
func (s *Store) Jobs(ctx context.Context, productKey string) ([]JobSummary, error) {
	const op = "list upgrade jobs"
	rows, err := s.r.rows(ctx, `select j.id, j.package, j.protocol, j.retries, j.retry_after, j.start_at, j.timeout_at, j.cancelled, j.created_at, `+packageColumns+`
		from ota_job j join ota_package p on p.id = j.package where p.product_key = $1 order by j.id desc limit 100`, productKey)
	if err != nil {
		return nil, wrap(op, productKey, err)
	}
	defer rows.Close()
	var out []JobSummary
	at := map[int64]int{}
	for rows.Next() {
		j := JobSummary{States: map[TaskState]int{}}
		var p packageScan
		var retryAfter, start, timeout, cancelled, created int64
		if err := rows.Scan(append([]any{&j.ID, &j.PackageID, &j.Protocol, &j.Retries, &retryAfter, &start, &timeout, &cancelled, &created}, p.fields()...)...); err != nil {
			return nil, wrap(op, productKey, err)
		}
		j.RetryAfter, j.StartAt, j.TimeoutAt, j.Cancelled, j.CreatedAt, j.Package = time.Duration(retryAfter)*time.Second, fromMS(start), fromMS(max(timeout, -timeout)), cancelled != 0, fromMS(created), p.get()
		at[j.ID] = len(out)
		out = append(out, j)
	}
	if err := rows.Err(); err != nil {
		return nil, wrap(op, productKey, err)
	}
	counts, err := s.r.rows(ctx, `select k.job, k.state, count(*) from ota_task k join ota_job j on j.id = k.job join ota_package p on p.id = j.package
		where p.product_key = $1 group by k.job, k.state`, productKey)
	if err != nil {
		return nil, wrap(op, productKey, err)
	}
	defer counts.Close()
	for counts.Next() {
		var job int64
		var state TaskState
		var n int
		if err := counts.Scan(&job, &state, &n); err != nil {
			return nil, wrap(op, productKey, err)
		}
		if i, ok := at[job]; ok {
			out[i].States[state] = n
		}
	}
	return out, wrap(op, productKey, counts.Err())
}
