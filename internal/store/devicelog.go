package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// MaxDeviceLog is how many lines are kept of a device; older ones go.
const MaxDeviceLog = 1000

// LogLine is one line of a device's log.
type LogLine struct {
	ID      int64
	At      time.Time // when it came in
	Source  string    // "device", or "server" for what the server says about its messages
	UTCTime string    // the device's own time as it wrote it
	Level   string
	Module  string
	Code    string
	Trace   string
	Content string
}

const (
	maxLogField   = 128  // bytes
	maxLogContent = 4096 // bytes
)

func cutTo(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return cut(text)
}

// AddDeviceLog adds lines to a device's log; texts that are too long are cut. It
// fails with ErrNotFound if there is no such device.
func (s *Store) AddDeviceLog(ctx context.Context, deviceID int64, lines []LogLine) error {
	const op = "add to device log"
	key := fmt.Sprint("of device ", deviceID)
	return s.write(ctx, op, key, func(t *tx) error {
		if err := t.deviceExists(ctx, op, key, deviceID); err != nil {
			return err
		}
		first, err := t.nextIDs(ctx, "device_log", int64(len(lines)))
		if err != nil {
			return err
		}
		for i, l := range lines {
			content := l.Content
			if len(content) > maxLogContent {
				content = content[:maxLogContent]
			}
			if _, err := t.exec(ctx, `insert into device_log (id, device, at, source, utc, level, module, code, trace, content)
				values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, first+int64(i), deviceID, s.now(), l.Source, cutTo(l.UTCTime, maxLogField),
				cutTo(l.Level, maxLogField), cutTo(l.Module, maxLogField), cutTo(l.Code, maxLogField), cutTo(l.Trace, maxLogField), valid(content)); err != nil {
				return err
			}
		}
		_, err = t.exec(ctx, `delete from device_log where device = $1 and id <=
			(select id from device_log where device = $1 order by id desc limit 1 offset $2)`, deviceID, MaxDeviceLog)
		return err
	})
}

// DeviceLog returns lines of a device's log, newest first, with ids smaller than
// before (0: all), at most limit (100 if 0, 1000 at most).
func (s *Store) DeviceLog(ctx context.Context, deviceID, before int64, limit int) ([]LogLine, error) {
	const op = "read device log"
	key := fmt.Sprint("of device ", deviceID)
	if before <= 0 {
		before = 1<<63 - 1
	}
	rows, err := s.r.rows(ctx, `select id, at, source, utc, level, module, code, trace, content from device_log
		where device = $1 and id < $2 order by id desc limit $3`, deviceID, before, pageSize(limit))
	if err != nil {
		return nil, wrap(op, key, err)
	}
	defer rows.Close()
	var out []LogLine
	for rows.Next() {
		var l LogLine
		var at int64
		if err := rows.Scan(&l.ID, &at, &l.Source, &l.UTCTime, &l.Level, &l.Module, &l.Code, &l.Trace, &l.Content); err != nil {
			return nil, wrap(op, key, err)
		}
		l.At = fromMS(at)
		out = append(out, l)
	}
	return out, wrap(op, key, rows.Err())
}

// PutDeviceSetting stores a small value of a device under a name.
func (s *Store) PutDeviceSetting(ctx context.Context, deviceID int64, name, value string) error {
	const op = "put device setting"
	key := fmt.Sprint("of device ", deviceID)
	return s.write(ctx, op, key, func(t *tx) error {
		if err := t.deviceExists(ctx, op, key, deviceID); err != nil {
			return err
		}
		_, err := t.exec(ctx, `insert into device_setting (device, name, value) values ($1, $2, $3)
			on conflict (device, name) do update set value = excluded.value`, deviceID, name, value)
		return err
	})
}

// DeviceSetting returns a value of a device, "" if it has none of that name.
func (s *Store) DeviceSetting(ctx context.Context, deviceID int64, name string) (string, error) {
	const op = "read device setting"
	row, err := s.r.row(ctx, `select value from device_setting where device = $1 and name = $2`, deviceID, name)
	if err != nil {
		return "", wrap(op, name, err)
	}
	var value string
	if err := row.Scan(&value); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", wrap(op, name, err)
	}
	return value, nil
}
