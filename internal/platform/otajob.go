package platform

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/linkstead/linkstead/internal/store"
)

// The sizes of firmware in bytes (spec/services.md §2, §3).
const (
	MaxPackage     = 1000 << 20
	MaxMQTTPackage = 16 << 20
)

// upgrades is the scheduler of upgrade jobs.
type upgrades struct {
	scheduler
	// mu is held from the decision that a device is told of its upgrade until it has
	// been told, and while a version it reports is taken.
	mu sync.Mutex
}

// scheduleDue pushes upgrades whose time has come to devices that are online, and
// ends those of jobs whose time is over.
func (p *Platform) scheduleDue() error {
	if n, err := p.store.TimeoutTasks(p.ctx, p.now()); err != nil {
		return err
	} else if n > 0 {
		p.logger.Info("upgrades ended because the time of their job was over", "devices", n)
	}
	for {
		due, err := p.store.DueTasks(p.ctx, p.now(), scheduleBatch)
		if err != nil || len(due) == 0 {
			return err
		}
		for _, k := range due {
			d := &device{id: k.DeviceID, pk: k.ProductKey, dn: k.DeviceName, key: DeviceKey(k.ProductKey, k.DeviceName)}
			if !p.broker.Online(d.key) || !p.ready(&k) {
				// It is told when it connects or reports its version.
				if _, err := p.store.UpdateTask(p.ctx, k, k.State, k.Step, k.Reason, k.Pushes, k.Failures, time.Time{}); err != nil {
					return err
				}
				continue
			}
			if err := p.pushTask(d, k); err != nil {
				return err
			}
		}
	}
}

// Firmware is a package that devices can be given.
type Firmware struct {
	ID            int64  `json:"id"`
	ProductKey    string `json:"productKey"`
	Module        string `json:"module"`
	Version       string `json:"version"`
	SourceVersion string `json:"sourceVersion,omitempty"` // a difference to this version
	Size          int64  `json:"size"`
	MD5           string `json:"md5"`
	SHA256        string `json:"sha256"`
	SignMethod    string `json:"signMethod"` // Md5 or SHA256
	UDI           string `json:"udi,omitempty"`
	CreatedAt     int64  `json:"createdAt"` // Unix milliseconds
}

func firmwareView(p store.Package) Firmware {
	return Firmware{p.ID, p.ProductKey, p.Module, p.Version, p.SourceVersion, p.Size, p.MD5, p.SHA256, p.SignMethod, p.UDI, p.CreatedAt.UnixMilli()}
}

// AddFirmware stores a package, its bytes from r. ID, Size, MD5 and SHA256 of in
// are filled in; Module is the firmware itself and SignMethod Md5 unless given.
func (p *Platform) AddFirmware(ctx context.Context, who string, in Firmware, r io.Reader) (_ Firmware, err error) {
	if in.Module == "" {
		in.Module = DefaultModule
	}
	if in.SignMethod == "" {
		in.SignMethod = "Md5"
	}
	switch {
	case in.SignMethod != "Md5" && in.SignMethod != "SHA256":
		return Firmware{}, &Error{Kind: KindInvalid, Message: "the sign method " + clip(in.SignMethod) + " is neither Md5 nor SHA256"}
	case in.Version == "" || len(in.Version) > maxModuleText || len(in.Module) > maxModuleText || len(in.SourceVersion) > maxModuleText || len(in.UDI) > 512:
		return Firmware{}, &Error{Kind: KindInvalid, Message: "a version has 1 to 64 bytes, a module at most 64, the text for devices at most 512"}
	case in.SourceVersion == in.Version:
		return Firmware{}, &Error{Kind: KindInvalid, Message: "a difference leads from one version to another, not to the same"}
	}
	if _, err := p.store.Product(ctx, in.ProductKey); err != nil {
		return Firmware{}, err
	}
	if in.ID, err = p.store.NextPackageID(ctx); err != nil {
		return Firmware{}, err
	}
	if err := os.MkdirAll(p.files.options.Dir, 0o700); err != nil {
		return Firmware{}, fmt.Errorf("the directory of firmware cannot be made: %w", err)
	}
	path := p.packagePath(in.ID)
	defer func() {
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	if in.Size, in.MD5, in.SHA256, err = writeFirmware(path, r); err != nil {
		return Firmware{}, err
	}
	if err := p.store.CreatePackage(ctx, store.Package{ID: in.ID, ProductKey: in.ProductKey, Module: in.Module, Version: in.Version, SourceVersion: in.SourceVersion,
		Size: in.Size, MD5: in.MD5, SHA256: in.SHA256, SignMethod: in.SignMethod, UDI: in.UDI}); err != nil {
		return Firmware{}, err
	}
	p.audit(ctx, who, "firmware.add", in.ProductKey, in.Module+" "+in.Version)
	in.CreatedAt = p.now().UnixMilli()
	return in, nil
}

// writeFirmware writes r to a new file, on disk before it returns.
func writeFirmware(path string, r io.Reader) (size int64, md5sum, sha string, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, "", "", err
	}
	m, s := md5.New(), sha256.New()
	size, err = io.Copy(io.MultiWriter(f, m, s), io.LimitReader(r, MaxPackage+1))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, "", "", err
	}
	if size == 0 || size > MaxPackage {
		return 0, "", "", &Error{Kind: KindInvalid, Message: fmt.Sprintf("firmware has 1 to %d bytes", MaxPackage)}
	}
	return size, hex.EncodeToString(m.Sum(nil)), hex.EncodeToString(s.Sum(nil)), nil
}

// FirmwareOf returns the packages of a product, newest first.
func (p *Platform) FirmwareOf(ctx context.Context, pk string) ([]Firmware, error) {
	if _, err := p.store.Product(ctx, pk); err != nil {
		return nil, err
	}
	recs, err := p.store.Packages(ctx, pk)
	if err != nil {
		return nil, err
	}
	out := make([]Firmware, 0, len(recs))
	for _, r := range recs {
		out = append(out, firmwareView(r))
	}
	return out, nil
}

// DeleteFirmware removes a package with its jobs.
func (p *Platform) DeleteFirmware(ctx context.Context, who string, id int64) error {
	if err := p.store.DeletePackage(ctx, id); err != nil {
		return err
	}
	p.audit(ctx, who, "firmware.delete", fmt.Sprint(id), "")
	if err := os.Remove(p.packagePath(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the package is gone, its file is not: %w", err)
	}
	return nil
}

// UpgradeJob says which devices get a package and how.
type UpgradeJob struct {
	Firmware int64    `json:"firmware"`           // id of the package
	Devices  []string `json:"devices,omitempty"`  // names; all of the product if empty
	TagKey   string   `json:"tagKey,omitempty"`   // only those with this tag
	TagValue string   `json:"tagValue,omitempty"` // and this value of it
	Percent  int      `json:"percent,omitempty"`  // only this part of them, always the same; 0 is all
	Sources  []string `json:"sources,omitempty"`  // only those that reported one of these versions
	Protocol string   `json:"protocol,omitempty"` // https or mqtt; https if empty
	Retries  int      `json:"retries,omitempty"`  // how often a device that failed is told again, at most 5
	// RetryAfterMS is how long after, at most 24 hours; StartAt (Unix milliseconds) is
	// when it begins, 0 at once; TimeoutMS is how long it takes at most, 0 without end.
	RetryAfterMS int64 `json:"retryAfterMs,omitempty"`
	StartAt      int64 `json:"startAt,omitempty"`
	TimeoutMS    int64 `json:"timeoutMs,omitempty"`
}

// StartUpgrade makes a job and returns its id and how many devices it has.
func (p *Platform) StartUpgrade(ctx context.Context, who string, in UpgradeJob) (id int64, devices int, err error) {
	f, err := p.store.Package(ctx, in.Firmware)
	if err != nil {
		return 0, 0, err
	}
	if in.Protocol == "" {
		in.Protocol = "https"
	}
	p.files.mu.Lock()
	served := p.files.port != ""
	p.files.mu.Unlock()
	switch {
	case in.Protocol != "https" && in.Protocol != "mqtt":
		err = &Error{Kind: KindInvalid, Message: "the protocol " + clip(in.Protocol) + " is neither https nor mqtt"}
	case in.Protocol == "mqtt" && f.Size > MaxMQTTPackage:
		err = &Error{Kind: KindInvalid, Message: "file size has exceeded the limit 16 MB", Hint: "use https"}
	case in.Protocol == "https" && !served:
		err = &Error{Kind: KindConflict, Message: errNoFiles.Error(), Hint: "or use the protocol mqtt"}
	case in.Percent < 0 || in.Percent > 100 || in.Retries < 0 || in.Retries > 5 || in.RetryAfterMS < 0 || in.RetryAfterMS > (24*time.Hour).Milliseconds() || in.StartAt < 0 || in.TimeoutMS < 0:
		err = &Error{Kind: KindInvalid, Message: "percent is 0 to 100, retries 0 to 5, the time between them 0 to 24 hours, other times are not negative"}
	}
	if err != nil {
		return 0, 0, err
	}
	j := store.Job{PackageID: f.ID, Protocol: in.Protocol, Retries: in.Retries, RetryAfter: time.Duration(in.RetryAfterMS) * time.Millisecond}
	begin := p.now()
	if in.StartAt > 0 {
		begin = time.UnixMilli(in.StartAt)
		j.StartAt = begin
	}
	if in.TimeoutMS > 0 {
		j.TimeoutAt = begin.Add(time.Duration(in.TimeoutMS) * time.Millisecond)
	}
	if err := p.auditFirst(ctx, who, "upgrade.start", f.ProductKey, f.Module+" "+f.Version); err != nil {
		return 0, 0, err
	}
	j, devices, err = p.store.CreateJob(ctx, j, store.JobTarget{Names: in.Devices, TagKey: in.TagKey, TagValue: in.TagValue, Percent: in.Percent, Sources: in.Sources})
	if err != nil {
		return 0, 0, err
	}
	p.upgrades.poke()
	return j.ID, devices, nil
}

// UpgradeSummary is a job and how many of its devices are how far.
type UpgradeSummary struct {
	ID        int64          `json:"id"`
	Firmware  Firmware       `json:"firmware"`
	Protocol  string         `json:"protocol"`
	StartAt   int64          `json:"startAt"`
	TimeoutAt int64          `json:"timeoutAt,omitempty"`
	Cancelled bool           `json:"cancelled,omitempty"`
	States    map[string]int `json:"states"`
}

// Upgrades returns the jobs of a product, newest first.
func (p *Platform) Upgrades(ctx context.Context, pk string) ([]UpgradeSummary, error) {
	if _, err := p.store.Product(ctx, pk); err != nil {
		return nil, err
	}
	recs, err := p.store.Jobs(ctx, pk)
	if err != nil {
		return nil, err
	}
	out := make([]UpgradeSummary, 0, len(recs))
	for _, r := range recs {
		s := UpgradeSummary{ID: r.ID, Firmware: firmwareView(r.Package), Protocol: r.Protocol, StartAt: r.StartAt.UnixMilli(), Cancelled: r.Cancelled, States: map[string]int{}}
		if !r.TimeoutAt.IsZero() {
			s.TimeoutAt = r.TimeoutAt.UnixMilli()
		}
		for state, n := range r.States {
			s.States[string(state)] = n
		}
		out = append(out, s)
	}
	return out, nil
}

// UpgradeTask is one device of a job.
type UpgradeTask struct {
	ID         int64  `json:"id"`
	DeviceName string `json:"deviceName"`
	Module     string `json:"module"`
	Reported   string `json:"reported,omitempty"` // version
	State      string `json:"state"`
	Step       int    `json:"step"`
	Reason     string `json:"reason,omitempty"`
	Pushes     int    `json:"pushes"`
	ChangedAt  int64  `json:"changedAt"` // Unix milliseconds
}

// UpgradeTasks returns the devices of a job behind task after, at most limit (100
// if 0).
func (p *Platform) UpgradeTasks(ctx context.Context, job, after int64, limit int) ([]UpgradeTask, error) {
	recs, err := p.store.JobTasks(ctx, job, after, limit)
	if err != nil {
		return nil, err
	}
	out := make([]UpgradeTask, 0, len(recs))
	for _, k := range recs {
		out = append(out, UpgradeTask{k.ID, k.DeviceName, k.Module, k.Reported, string(k.State), k.Step, k.Reason, k.Pushes, k.ChangedAt.UnixMilli()})
	}
	return out, nil
}

// CancelUpgrade ends a job for the devices that have not begun, and with all set
// for those that have too: they may still report success, but nobody notes it.
func (p *Platform) CancelUpgrade(ctx context.Context, who string, job int64, all bool) (int64, error) {
	if err := p.auditFirst(ctx, who, "upgrade.cancel", fmt.Sprint(job), ""); err != nil {
		return 0, err
	}
	return p.store.CancelJob(ctx, job, all)
}

// ModuleVersions returns the versions that a device reported, by module.
func (p *Platform) ModuleVersions(ctx context.Context, pk, dn string) (map[string]string, error) {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	recs, err := p.store.ModuleVersions(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(recs))
	for _, m := range recs {
		out[m.Module] = m.Version
	}
	return out, nil
}
