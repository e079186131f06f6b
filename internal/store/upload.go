package store

import (
	"context"
	"fmt"
	"time"
)

// MaxDeviceFiles is how many files a device may have, unfinished ones included
// (spec/connect.md §14).
const MaxDeviceFiles = 1000

// DeviceFile is a file that a device has sent, or is sending.
type DeviceFile struct {
	ID        int64 // names the bytes
	DeviceID  int64
	Name      string
	UploadID  string
	Init      string // tells a repeated request to begin from a new one, "" if it cannot
	Size      int64  // bytes; -1: not known before the last block
	Reserved  int64  // bytes that it counts for
	ClientSum string // CRC-64 of the device in hex, "" for none
	ServerSum string // and of what is stored, once that is complete
	Tags      string // JSON, "" for none
	Complete  bool
	CreatedAt time.Time
	ChangedAt time.Time
}

const uploadIDLength = 24

// BeginUpload records that a device begins to send a file, in the place of one of
// the same name that is unfinished; replaced is that one's id, or 0. ID, UploadID
// and times of f are filled in. It fails with ErrLimit if the device would have more
// than MaxDeviceFiles, or the reserved bytes of the device or of all devices would be
// more than their bound.
func (s *Store) BeginUpload(ctx context.Context, f DeviceFile, ofDevice, ofAll int64) (_ DeviceFile, replaced int64, err error) {
	const op = "begin upload"
	key := fmt.Sprintf("of device %d, %s", f.DeviceID, f.Name)
	err = s.write(ctx, op, key, func(t *tx) error {
		if err := t.deviceExists(ctx, op, key, f.DeviceID); err != nil {
			return err
		}
		old, err := t.int64s(ctx, `delete from device_file where device = $1 and name = $2 and complete = 0 returning id`, f.DeviceID, f.Name)
		if err != nil {
			return err
		}
		if len(old) > 0 {
			replaced = old[0]
		}
		files, err := t.int64s(ctx, `select count(*) from device_file where device = $1`, f.DeviceID)
		if err != nil {
			return err
		}
		own, err := t.int64s(ctx, `select coalesce(sum(reserved), 0) from device_file where device = $1`, f.DeviceID)
		if err != nil {
			return err
		}
		all, err := t.int64s(ctx, `select coalesce(sum(reserved), 0) from device_file`)
		if err != nil {
			return err
		}
		for _, bound := range []struct {
			would, allowed int64
			what           string
		}{
			{files[0] + 1, MaxDeviceFiles, "files of the device"},
			{own[0] + f.Reserved, ofDevice, "bytes of the device's files"},
			{all[0] + f.Reserved, ofAll, "bytes of all devices' files"},
		} {
			if bound.would > bound.allowed {
				return &Error{Kind: KindLimit, Op: op, Key: key, Err: fmt.Errorf("there would be %d %s, allowed are %d", bound.would, bound.what, bound.allowed),
					Hint: "delete files, or allow more with files.upload_bytes and files.upload_device_bytes"}
			}
		}
		if f.ID, err = t.nextIDs(ctx, "device_file", 1); err != nil {
			return err
		}
		f.UploadID, f.CreatedAt = randomText(uploadIDLength, alphanumeric), fromMS(s.now())
		f.ChangedAt, f.Complete = f.CreatedAt, false
		_, err = t.exec(ctx, `insert into device_file (id, device, name, upload, init, size, reserved, client_sum, server_sum, tags, complete, created_at, changed_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, '', $9, 0, $10, $10)`, f.ID, f.DeviceID, f.Name, f.UploadID, f.Init, f.Size, f.Reserved, f.ClientSum, f.Tags, toMS(f.CreatedAt))
		return err
	})
	return f, replaced, err
}

const deviceFileColumns = `id, device, name, upload, init, size, reserved, client_sum, server_sum, tags, complete, created_at, changed_at`

func (s *Store) deviceFiles(ctx context.Context, key, query string, args ...any) ([]DeviceFile, error) {
	const op = "read device files"
	rows, err := s.r.rows(ctx, query, args...)
	if err != nil {
		return nil, wrap(op, key, err)
	}
	defer rows.Close()
	var out []DeviceFile
	for rows.Next() {
		var f DeviceFile
		var complete, created, changed int64
		if err := rows.Scan(&f.ID, &f.DeviceID, &f.Name, &f.UploadID, &f.Init, &f.Size, &f.Reserved, &f.ClientSum, &f.ServerSum, &f.Tags, &complete, &created, &changed); err != nil {
			return nil, wrap(op, key, err)
		}
		f.Complete, f.CreatedAt, f.ChangedAt = complete != 0, fromMS(created), fromMS(changed)
		out = append(out, f)
	}
	return out, wrap(op, key, rows.Err())
}

func (s *Store) deviceFile(ctx context.Context, key, query string, args ...any) (DeviceFile, error) {
	out, err := s.deviceFiles(ctx, key, query, args...)
	if err == nil && len(out) == 0 {
		err = &Error{Kind: KindNotFound, Op: "read device file", Key: key}
	}
	if err != nil {
		return DeviceFile{}, err
	}
	return out[0], nil
}

// Upload returns a device's file by its upload id, finished or not, or ErrNotFound.
func (s *Store) Upload(ctx context.Context, deviceID int64, uploadID string) (DeviceFile, error) {
	return s.deviceFile(ctx, fmt.Sprintf("of device %d, upload %.40q", deviceID, uploadID),
		`select `+deviceFileColumns+` from device_file where upload = $1 and device = $2`, uploadID, deviceID)
}

// DeviceFile returns a device's file by its name: the complete one or the one that
// is being sent, or ErrNotFound.
func (s *Store) DeviceFile(ctx context.Context, deviceID int64, name string, complete bool) (DeviceFile, error) {
	return s.deviceFile(ctx, fmt.Sprintf("of device %d, %.100q", deviceID, name),
		`select `+deviceFileColumns+` from device_file where device = $1 and name = $2 and complete = $3`, deviceID, name, flag(complete))
}

// DeviceFiles returns a device's files, ordered by name.
func (s *Store) DeviceFiles(ctx context.Context, deviceID int64) ([]DeviceFile, error) {
	return s.deviceFiles(ctx, fmt.Sprint("of device ", deviceID), `select `+deviceFileColumns+` from device_file where device = $1 order by name, complete`, deviceID)
}

// StaleUploads returns uploads that were begun before a time and are not finished,
// at most limit.
func (s *Store) StaleUploads(ctx context.Context, before time.Time, limit int) ([]DeviceFile, error) {
	return s.deviceFiles(ctx, "that are stale", `select `+deviceFileColumns+` from device_file where complete = 0 and created_at < $1 order by created_at limit $2`, toMS(before), limit)
}

// FinishUpload makes a file complete, in the place of a complete one of the same
// name; replaced is that one's id, or 0. It fails with ErrNotFound if the upload is
// gone or finished.
func (s *Store) FinishUpload(ctx context.Context, f DeviceFile, size int64, sum string) (replaced int64, err error) {
	const op = "finish upload"
	key := fmt.Sprintf("of device %d, %s", f.DeviceID, f.Name)
	err = s.write(ctx, op, key, func(t *tx) error {
		old, err := t.int64s(ctx, `delete from device_file where device = $1 and name = $2 and complete = 1 returning id`, f.DeviceID, f.Name)
		if err != nil {
			return err
		}
		if len(old) > 0 {
			replaced = old[0]
		}
		n, err := t.exec(ctx, `update device_file set complete = 1, size = $2, reserved = $2, server_sum = $3, changed_at = $4 where id = $1 and complete = 0`, f.ID, size, sum, s.now())
		return found(n, err, op, key)
	})
	return replaced, err
}

// DeleteDeviceFile removes the record of a file.
func (s *Store) DeleteDeviceFile(ctx context.Context, id int64) error {
	const op = "delete device file"
	key := fmt.Sprint(id)
	return s.write(ctx, op, key, func(t *tx) error {
		n, err := t.exec(ctx, `delete from device_file where id = $1`, id)
		return found(n, err, op, key)
	})
}

// DeviceFileIDs returns the ids of all files, so that bytes without a record can be
// told.
func (s *Store) DeviceFileIDs(ctx context.Context) (map[int64]bool, error) {
	const op = "list device files"
	rows, err := s.r.rows(ctx, `select id from device_file`)
	if err != nil {
		return nil, wrap(op, "", err)
	}
	defer rows.Close()
	out := map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, wrap(op, "", err)
		}
		out[id] = true
	}
	return out, wrap(op, "", rows.Err())
}
