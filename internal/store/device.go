package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Device is one registered device. Its secret is not part of it: see
// Credentials and RevealSecret.
type Device struct {
	ID            int64  // ours, never used twice
	IotID         string // the id that server code of the cloud knows it by
	ProductKey    string
	Name          string // DeviceName
	Nickname      string
	Enabled       bool
	CreatedAt     time.Time
	ActivatedAt   time.Time // first login, zero before
	LastOnlineAt  time.Time // zero if never
	LastOfflineAt time.Time // zero if never
	LastAddr      string    // address of the last login
}

// NewDevice describes a device to be registered.
type NewDevice struct {
	ProductKey string
	Name       string // made up if empty
	Nickname   string
	// Secret and IotID are made up if empty and kept if given, so that devices
	// can move here from elsewhere unchanged.
	Secret Secret
	IotID  string
}

// Registered is the outcome of registering one device.
type Registered struct {
	Device Device
	Secret Secret // DeviceSecret, this once
	Err    error  // why this device was not registered; then the rest is empty
}

// CreateDevice registers a device. It fails with ErrNotFound if the product does
// not exist and with ErrExists if the product has a device of that name or the
// IotID is taken.
func (s *Store) CreateDevice(ctx context.Context, d NewDevice) (Registered, error) {
	out, err := s.CreateDevices(ctx, []NewDevice{d})
	if err != nil {
		return Registered{}, err
	}
	return out[0], out[0].Err
}

// MaxBulk is how many devices one call of CreateDevices takes.
const MaxBulk = 10_000

// CreateDevices registers up to MaxBulk devices in one transaction and returns
// one outcome for each, in order. A device that cannot be registered does not
// keep the others from it; an error means that none was.
func (s *Store) CreateDevices(ctx context.Context, devices []NewDevice) ([]Registered, error) {
	const op = "create devices"
	if len(devices) > MaxBulk {
		return nil, &Error{Kind: KindLimit, Op: op, Err: fmt.Errorf("%d devices in one call", len(devices)),
			Hint: fmt.Sprintf("register at most %d at a time", MaxBulk)}
	}
	out := make([]Registered, len(devices))
	sealed := make([][]byte, len(devices))
	for i, d := range devices {
		out[i], sealed[i] = s.prepareDevice(d)
	}
	err := s.write(ctx, op, "", func(t *tx) error {
		first, err := t.nextIDs(ctx, "device", int64(len(devices)))
		if err != nil {
			return err
		}
		products := map[string]error{}
		for i := range out {
			r := &out[i]
			if r.Err != nil {
				continue
			}
			r.Device.ID = first + int64(i)
			if err := s.insertDevice(ctx, t, products, &r.Device, sealed[i]); err != nil {
				var e *Error
				if !errors.As(err, &e) {
					return err
				}
				*r = Registered{Err: err}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// prepareDevice checks a device, makes up what is missing and seals its secret,
// all before the transaction begins.
func (s *Store) prepareDevice(d NewDevice) (Registered, []byte) {
	const op = "create device"
	if d.Name == "" {
		d.Name = randomText(20, alphanumeric)
	}
	if d.Secret == "" {
		d.Secret = Secret(randomText(32, hexDigits))
	}
	if d.IotID == "" {
		d.IotID = randomText(24, alphanumeric)
	}
	key := d.ProductKey + "/" + d.Name
	var err error
	switch {
	case !validDeviceName(d.Name):
		key = d.ProductKey
		err = &Error{Kind: KindInvalid, Op: op, Key: key, Err: fmt.Errorf("%.40q cannot be a DeviceName", d.Name),
			Hint: "use 4 to 32 letters, digits and -_@.:"}
	case len(d.Nickname) > 256:
		err = &Error{Kind: KindInvalid, Op: op, Key: key, Err: errors.New("a nickname has at most 256 bytes")}
	case len(d.IotID) > 64:
		err = &Error{Kind: KindInvalid, Op: op, Key: key, Err: errors.New("an IotId has at most 64 bytes")}
	default:
		err = checkSecret(op, key, d.Secret)
	}
	if err != nil {
		return Registered{Err: err}, nil
	}
	dev := Device{IotID: d.IotID, ProductKey: d.ProductKey, Name: d.Name, Nickname: d.Nickname,
		Enabled: true, CreatedAt: fromMS(s.now())}
	return Registered{Device: dev, Secret: d.Secret}, s.vault.seal(deviceIdentity(d.ProductKey, d.Name), d.Secret)
}

// insertDevice stores a device. An *Error concerns this device only; anything
// else is a failure of the database. products remembers which products exist.
func (s *Store) insertDevice(ctx context.Context, t *tx, products map[string]error, d *Device, sealed []byte) error {
	const op = "create device"
	perr, seen := products[d.ProductKey]
	if !seen {
		n, err := t.int64s(ctx, `select 1 from product where product_key = $1`, d.ProductKey)
		if err != nil {
			return err
		}
		if len(n) == 0 {
			perr = &Error{Kind: KindNotFound, Op: op, Key: d.ProductKey, Err: errors.New("no such product"),
				Hint: "create the product first"}
		}
		products[d.ProductKey] = perr
	}
	if perr != nil {
		return perr
	}
	n, err := t.exec(ctx, `insert into device (id, product_key, name, iot_id, nickname, secret, enabled, created_at,
			activated_at, last_online_at, last_offline_at, last_addr)
		values ($1, $2, $3, $4, $5, $6, 1, $7, 0, 0, 0, '') on conflict do nothing`,
		d.ID, d.ProductKey, d.Name, d.IotID, d.Nickname, sealed, toMS(d.CreatedAt))
	if err == nil && n == 0 {
		return &Error{Kind: KindExists, Op: op, Key: d.ProductKey + "/" + d.Name,
			Hint: "choose another DeviceName, and leave the IotId to the server"}
	}
	return err
}

const deviceColumns = `d.id, d.iot_id, d.product_key, d.name, d.nickname, d.enabled, d.created_at, d.activated_at,
	d.last_online_at, d.last_offline_at, d.last_addr`

// deviceScan receives deviceColumns.
type deviceScan struct {
	d                                            Device
	enabled, created, activated, online, offline int64
}

func (r *deviceScan) fields() []any {
	return []any{&r.d.ID, &r.d.IotID, &r.d.ProductKey, &r.d.Name, &r.d.Nickname, &r.enabled, &r.created,
		&r.activated, &r.online, &r.offline, &r.d.LastAddr}
}

func (r *deviceScan) device() Device {
	d := r.d
	d.Enabled, d.CreatedAt, d.ActivatedAt = r.enabled != 0, fromMS(r.created), fromMS(r.activated)
	d.LastOnlineAt, d.LastOfflineAt = fromMS(r.online), fromMS(r.offline)
	return d
}

// Device returns a device or ErrNotFound.
func (s *Store) Device(ctx context.Context, productKey, name string) (Device, error) {
	return s.oneDevice(ctx, productKey+"/"+name,
		`select `+deviceColumns+` from device d where d.product_key = $1 and d.name = $2`, productKey, name)
}

// DeviceByIotID returns the device with that IotID or ErrNotFound.
func (s *Store) DeviceByIotID(ctx context.Context, iotID string) (Device, error) {
	return s.oneDevice(ctx, iotID, `select `+deviceColumns+` from device d where d.iot_id = $1`, iotID)
}

// DeviceByID returns the device with that ID or ErrNotFound.
func (s *Store) DeviceByID(ctx context.Context, id int64) (Device, error) {
	return s.oneDevice(ctx, fmt.Sprint(id), `select `+deviceColumns+` from device d where d.id = $1`, id)
}

func (s *Store) oneDevice(ctx context.Context, key, query string, args ...any) (Device, error) {
	row, err := s.r.row(ctx, query, args...)
	if err != nil {
		return Device{}, wrap("read device", key, err)
	}
	var scan deviceScan
	if err := row.Scan(scan.fields()...); err != nil {
		return Device{}, wrap("read device", key, err)
	}
	return scan.device(), nil
}

// DeviceQuery selects devices of one product, in the order of their names.
type DeviceQuery struct {
	ProductKey string
	After      string // only names greater than this: the last name of the page before
	Prefix     string // only names that begin with this
	Limit      int    // at most this many: 100 if 0, 1000 at most
}

// Devices returns one page of devices.
func (s *Store) Devices(ctx context.Context, q DeviceQuery) ([]Device, error) {
	const op = "list devices"
	// No name goes on with U+10FFFF, a noncharacter, so it bounds the prefix.
	rows, err := s.r.rows(ctx, `select `+deviceColumns+` from device d
		where d.product_key = $1 and d.name > $2 and d.name >= $3 and d.name < $4
		order by d.name limit $5`, q.ProductKey, q.After, q.Prefix, q.Prefix+"\U0010ffff", pageSize(q.Limit))
	if err != nil {
		return nil, wrap(op, q.ProductKey, err)
	}
	defer rows.Close()
	var out []Device
	for rows.Next() {
		var scan deviceScan
		if err := rows.Scan(scan.fields()...); err != nil {
			return nil, wrap(op, q.ProductKey, err)
		}
		out = append(out, scan.device())
	}
	return out, wrap(op, q.ProductKey, rows.Err())
}

// DeviceCount is how many devices a product has.
type DeviceCount struct {
	Total     int64
	Activated int64 // logged in at least once
}

// CountDevices counts the devices of a product, or all devices if productKey is
// empty.
func (s *Store) CountDevices(ctx context.Context, productKey string) (DeviceCount, error) {
	query, args := `select count(*), count(case when activated_at > 0 then 1 end) from device`, []any(nil)
	if productKey != "" {
		query, args = query+` where product_key = $1`, []any{productKey}
	}
	var c DeviceCount
	row, err := s.r.row(ctx, query, args...)
	if err == nil {
		err = row.Scan(&c.Total, &c.Activated)
	}
	return c, wrap("count devices", productKey, err)
}

// SetEnabled allows or forbids a device to log in. Ending its connection is the
// caller's business.
func (s *Store) SetEnabled(ctx context.Context, productKey, name string, enabled bool) error {
	const op = "enable device"
	key := productKey + "/" + name
	return s.write(ctx, op, key, func(t *tx) error {
		n, err := t.exec(ctx, `update device set enabled = $3 where product_key = $1 and name = $2`,
			productKey, name, flag(enabled))
		return found(n, err, op, key)
	})
}

// SetNickname changes a device's nickname.
func (s *Store) SetNickname(ctx context.Context, productKey, name, nickname string) error {
	const op = "set nickname"
	key := productKey + "/" + name
	if len(nickname) > 256 {
		return &Error{Kind: KindInvalid, Op: op, Key: key, Err: errors.New("a nickname has at most 256 bytes")}
	}
	return s.write(ctx, op, key, func(t *tx) error {
		n, err := t.exec(ctx, `update device set nickname = $3 where product_key = $1 and name = $2`,
			productKey, name, nickname)
		return found(n, err, op, key)
	})
}

// DeleteDevice removes a device with its tags, values and history. Points of it
// that are still waiting to be committed are dropped.
func (s *Store) DeleteDevice(ctx context.Context, productKey, name string) error {
	const op = "delete device"
	key := productKey + "/" + name
	return s.writeDrop(ctx, op, key, func(t *tx) ([]seriesRef, error) {
		ids, err := t.int64s(ctx, `select id from device where product_key = $1 and name = $2`, productKey, name)
		if err := found(int64(len(ids)), err, op, key); err != nil {
			return nil, err
		}
		return deleteDevice(ctx, t, ids[0])
	})
}

// deleteDevice removes a device and what is recorded about it, and returns the
// series that ended. Tags go by cascade.
func deleteDevice(ctx context.Context, t *tx, id int64) ([]seriesRef, error) {
	series, err := seriesOf(ctx, t, id)
	if err != nil {
		return nil, err
	}
	for _, ref := range series {
		if _, err := t.exec(ctx, `delete from history_chunk where series = $1`, ref.id); err != nil {
			return nil, err
		}
	}
	if _, err := t.exec(ctx, `delete from history_series where device = $1`, id); err != nil {
		return nil, err
	}
	_, err = t.exec(ctx, `delete from device where id = $1`, id)
	return series, err
}
