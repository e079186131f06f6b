package store

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"
)

// User is an application that logs in with a name and a password.
type User struct {
	Name         string
	PasswordHash string // a PHC string ($argon2id$…), made and checked by the caller, who may have more behind it
	Rights       []Right
	Enabled      bool
	CreatedAt    time.Time
}

// LogValue logs a user without its password hash.
func (u User) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", u.Name), slog.Bool("enabled", u.Enabled), slog.Int("rights", len(u.Rights)))
}

// Right allows a user something on the topics a filter matches. A user without
// rights may do nothing.
type Right struct {
	Filter    string `json:"filter"`
	Publish   bool   `json:"publish,omitempty"`
	Subscribe bool   `json:"subscribe,omitempty"`
}

// maxRights bounds the rights of one user.
const maxRights = 1000

// PutUser stores a user, replacing one of the same name but for its CreatedAt.
func (s *Store) PutUser(ctx context.Context, u User) error {
	const op = "put user"
	var err error
	switch {
	case u.Name == "" || len(u.Name) > 256:
		err = errors.New("a user needs a name of at most 256 bytes")
	case !strings.HasPrefix(u.PasswordHash, "$") || len(u.PasswordHash) > 512:
		err = errors.New("the password hash is not a PHC string")
	case len(u.Rights) > maxRights:
		err = errors.New("a user has at most 1000 rights")
	}
	if err != nil {
		return &Error{Kind: KindInvalid, Op: op, Key: u.Name, Err: err}
	}
	rights, err := json.Marshal(u.Rights)
	if err != nil {
		return wrap(op, u.Name, err)
	}
	return s.write(ctx, op, u.Name, func(t *tx) error {
		_, err := t.exec(ctx, `insert into app_user (name, password_hash, rights, enabled, created_at)
			values ($1, $2, $3, $4, $5) on conflict (name) do update set
			password_hash = excluded.password_hash, rights = excluded.rights, enabled = excluded.enabled`,
			u.Name, u.PasswordHash, string(rights), flag(u.Enabled), s.now())
		return err
	})
}

func scanUser(scan func(...any) error) (User, error) {
	var (
		u                User
		rights           string
		enabled, created int64
	)
	if err := scan(&u.Name, &u.PasswordHash, &rights, &enabled, &created); err != nil {
		return User{}, err
	}
	// Rights that cannot be read must not become no rights at all, nor all.
	if err := json.Unmarshal([]byte(rights), &u.Rights); err != nil {
		return User{}, &Error{Kind: KindCorrupt, Op: "read user", Key: u.Name, Err: errors.New("its rights cannot be read"),
			Hint: "store the user again"}
	}
	u.Enabled, u.CreatedAt = enabled != 0, fromMS(created)
	return u, nil
}

// User returns a user or ErrNotFound.
func (s *Store) User(ctx context.Context, name string) (User, error) {
	row, err := s.r.row(ctx, `select name, password_hash, rights, enabled, created_at from app_user where name = $1`, name)
	if err != nil {
		return User{}, wrap("read user", name, err)
	}
	u, err := scanUser(row.Scan)
	return u, wrap("read user", name, err)
}

// UserQuery selects users, in the order of their names.
type UserQuery struct {
	After string // only names greater than this: the last name of the page before
	Limit int    // at most this many: 100 if 0, 1000 at most
}

// Users returns one page of users.
func (s *Store) Users(ctx context.Context, q UserQuery) ([]User, error) {
	const op = "list users"
	rows, err := s.r.rows(ctx, `select name, password_hash, rights, enabled, created_at from app_user
		where name > $1 order by name limit $2`, q.After, pageSize(q.Limit))
	if err != nil {
		return nil, wrap(op, "", err)
	}
	defer rows.Close()
	var out []User
	for rows.Next() {
		u, err := scanUser(rows.Scan)
		if err != nil {
			return nil, wrap(op, "", err)
		}
		out = append(out, u)
	}
	return out, wrap(op, "", rows.Err())
}

// DeleteUser removes a user or fails with ErrNotFound.
func (s *Store) DeleteUser(ctx context.Context, name string) error {
	const op = "delete user"
	return s.write(ctx, op, name, func(t *tx) error {
		n, err := t.exec(ctx, `delete from app_user where name = $1`, name)
		return found(n, err, op, name)
	})
}
