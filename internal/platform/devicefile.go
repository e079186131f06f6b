package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/linkstead/linkstead/internal/store"
)

// DeviceFile is a file that a device has sent, or is sending.
type DeviceFile struct {
	Name      string          `json:"name"`
	Size      int64           `json:"size"` // bytes; -1: the device has not said how many there will be
	Complete  bool            `json:"complete"`
	CRC64     string          `json:"crc64,omitempty"` // of what is stored, once it is complete
	Tags      json.RawMessage `json:"tags,omitempty"`  // as the device gave them
	CreatedAt int64           `json:"createdAt"`       // Unix milliseconds
	ChangedAt int64           `json:"changedAt"`
}

func deviceFileView(f *store.DeviceFile) DeviceFile {
	v := DeviceFile{Name: f.Name, Size: f.Size, Complete: f.Complete, CRC64: f.ServerSum, CreatedAt: f.CreatedAt.UnixMilli(), ChangedAt: f.ChangedAt.UnixMilli()}
	if f.Tags != "" {
		v.Tags = json.RawMessage(f.Tags)
	}
	return v
}

// DeviceFiles returns the files of a device, ordered by name; one of which a new
// version is being sent is there twice.
func (p *Platform) DeviceFiles(ctx context.Context, pk, dn string) ([]DeviceFile, error) {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	recs, err := p.store.DeviceFiles(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	out := make([]DeviceFile, 0, len(recs))
	for i := range recs {
		out = append(out, deviceFileView(&recs[i]))
	}
	return out, nil
}

// OpenDeviceFile opens a complete file of a device. The caller closes it.
func (p *Platform) OpenDeviceFile(ctx context.Context, pk, dn, name string) (DeviceFile, *os.File, error) {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return DeviceFile{}, nil, err
	}
	rec, err := p.store.DeviceFile(ctx, d.ID, name, true)
	if errors.Is(err, store.ErrNotFound) {
		return DeviceFile{}, nil, &Error{Kind: KindNotFound, Message: fmt.Sprintf("%s/%s has no complete file %s", pk, dn, clip(name)), Hint: "list what there is: linkstead file list " + pk + "/" + dn}
	}
	if err != nil {
		return DeviceFile{}, nil, err
	}
	f, err := os.Open(p.uploadPath(rec.ID))
	if errors.Is(err, os.ErrNotExist) {
		return DeviceFile{}, nil, &Error{Kind: KindNotFound, Message: fmt.Sprintf("the bytes of %s of %s/%s are not there: they were deleted a moment ago, or from under the server", rec.Name, pk, dn)}
	}
	return deviceFileView(&rec), f, err
}

// DeleteDeviceFile removes a file of a device, and the upload of a new version of it.
func (p *Platform) DeleteDeviceFile(ctx context.Context, who, pk, dn, name string) error {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return err
	}
	return p.onUploads(ctx, d.ID, func(q *uploadQueue) error {
		var gone []store.DeviceFile
		for _, complete := range []bool{true, false} {
			switch f, err := p.store.DeviceFile(ctx, d.ID, name, complete); {
			case err == nil:
				gone = append(gone, f)
			case !errors.Is(err, store.ErrNotFound):
				return err
			}
		}
		if len(gone) == 0 {
			return &Error{Kind: KindNotFound, Message: fmt.Sprintf("%s/%s has no file %s", pk, dn, clip(name))}
		}
		if err := p.auditFirst(ctx, who, "file.delete", pk+"/"+dn, clip(name)); err != nil {
			return err
		}
		for _, f := range gone {
			if err := p.dropUpload(q, f); err != nil {
				return err
			}
		}
		return nil
	})
}
