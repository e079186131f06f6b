package store

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"
)

// MaxTokens is how many tokens that do not expire one device may have (spec/connect.md
// §9.3: five units may share one DeviceName).
const MaxTokens = 5

// Token is what a device got instead of its secret. The token's text is returned
// once, when it is made.
type Token struct {
	ClientID  string // goes with it; unique
	Holder    string // for whom it was made
	CreatedAt time.Time
	ExpiresAt time.Time // zero if never
}

// NewToken makes a token for a device. One that the same holder had is void from
// then on; if the device has MaxTokens of other holders it fails with ErrLimit. A
// clientID that is empty is made up.
func (s *Store) NewToken(ctx context.Context, deviceID int64, holder, clientID string, expires time.Time) (t Token, text Secret, err error) {
	const op = "make token"
	key := fmt.Sprint("of device ", deviceID)
	if clientID == "" { // in the form of the cloud's, which end in these digits
		clientID = randomText(20, alphanumeric) + "010000"
	}
	if len(holder) > 256 || len(clientID) > 256 {
		return Token{}, "", &Error{Kind: KindInvalid, Op: op, Key: key, Err: errors.New("a client id has at most 256 bytes")}
	}
	text = Secret(randomText(32, alphanumeric))
	t = Token{ClientID: clientID, Holder: holder, CreatedAt: fromMS(s.now()), ExpiresAt: expires}
	sum := sha256.Sum256([]byte(text))
	err = s.write(ctx, op, key, func(x *tx) error {
		if _, err := x.exec(ctx, `delete from device_token where device = $1 and (holder = $2 or expires_at > 0 and expires_at < $3)`,
			deviceID, holder, s.now()); err != nil {
			return err
		}
		n, err := x.exec(ctx, `insert into device_token (client_id, device, holder, token, created_at, expires_at)
			select $1, id, $3, $4, $5, $6 from device where id = $2 on conflict (client_id) do nothing`,
			clientID, deviceID, holder, sum[:], toMS(t.CreatedAt), toMS(expires))
		if err == nil && n == 0 {
			err = &Error{Kind: KindNotFound, Op: op, Key: key}
		}
		if err != nil {
			return err
		}
		count, err := x.int64s(ctx, `select count(*) from device_token where device = $1 and expires_at = 0`, deviceID)
		if err != nil {
			return err
		}
		if count[0] > MaxTokens {
			return &Error{Kind: KindLimit, Op: op, Key: key, Err: fmt.Errorf("it has %d tokens already", count[0]-1),
				Hint: "reset the device, which makes them void"}
		}
		return nil
	})
	if err != nil {
		return Token{}, "", err
	}
	return t, text, nil
}

// CheckToken returns the device that a client id and token belong to, and for whom the
// token was made. It fails
// with ErrNotFound if there is no such token, it is another or its time is over.
func (s *Store) CheckToken(ctx context.Context, clientID, token string) (d Device, holder string, err error) {
	const op = "check token"
	row, err := s.r.row(ctx, `select device, holder, token, expires_at from device_token where client_id = $1`, clientID)
	if err != nil {
		return Device{}, "", wrap(op, "", err)
	}
	var device, expires int64
	var want []byte
	if err := row.Scan(&device, &holder, &want, &expires); err != nil {
		return Device{}, "", wrap(op, "", err)
	}
	sum := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(sum[:], want) != 1 || expires > 0 && expires < s.now() {
		return Device{}, "", &Error{Kind: KindNotFound, Op: op}
	}
	d, err = s.DeviceByID(ctx, device)
	return d, holder, err
}

// CountTokens is how many tokens a device has that do not expire.
func (s *Store) CountTokens(ctx context.Context, deviceID int64) (n int, err error) {
	row, err := s.r.row(ctx, `select count(*) from device_token where device = $1 and expires_at = 0`, deviceID)
	if err == nil {
		err = row.Scan(&n)
	}
	return n, wrap("count tokens", fmt.Sprint("of device ", deviceID), err)
}

// ResetDevice makes a device one that has never been online, and its tokens void.
// Its secret stays.
func (s *Store) ResetDevice(ctx context.Context, productKey, name string) error {
	const op = "reset device"
	key := productKey + "/" + name
	return s.write(ctx, op, key, func(t *tx) error {
		ids, err := t.int64s(ctx, `select id from device where product_key = $1 and name = $2`, productKey, name)
		if err := found(int64(len(ids)), err, op, key); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `delete from device_token where device = $1`, ids[0]); err != nil {
			return err
		}
		if s.resets == nil {
			s.resets = make(map[int64]int64)
		}
		s.resets[ids[0]] = s.now()
		_, err = t.exec(ctx, `update device set activated_at = 0 where id = $1`, ids[0])
		return err
	})
}
