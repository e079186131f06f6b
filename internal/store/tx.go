package store

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
)

// reader is the pool of read connections with its prepared statements. Every
// query text is a constant of this package, so the statements are bounded.
type reader struct {
	db     *sql.DB
	stmts  sync.Map // query text → *sql.Stmt
	closed atomic.Bool
}

func (r *reader) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := r.stmts.Load(query); ok {
		return st.(*sql.Stmt), nil
	}
	if r.closed.Load() {
		return nil, &Error{Kind: KindClosed, Op: "read"}
	}
	st, err := r.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if other, loaded := r.stmts.LoadOrStore(query, st); loaded {
		st.Close()
		return other.(*sql.Stmt), nil
	}
	return st, nil
}

func (r *reader) row(ctx context.Context, query string, args ...any) (*sql.Row, error) {
	st, err := r.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryRowContext(ctx, args...), nil
}

func (r *reader) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	st, err := r.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

func (r *reader) close() error {
	r.closed.Store(true)
	r.stmts.Range(func(query, st any) bool {
		r.stmts.Delete(query)
		st.(*sql.Stmt).Close()
		return true
	})
	return r.db.Close()
}

// tx is the write connection. It begins and ends transactions by statement
// instead of through sql.Tx, because sql.Tx would prepare every statement anew.
// Store.wmu guards it.
type tx struct {
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
	waiting *waiting
	held    []*waitingPage // of waiting, until the transaction has ended
}

func (t *tx) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := t.stmts[query]; ok {
		return st, nil
	}
	st, err := t.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	t.stmts[query] = st
	return st, nil
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	st, err := t.stmt(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *tx) row(ctx context.Context, query string, args ...any) (*sql.Row, error) {
	st, err := t.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryRowContext(ctx, args...), nil
}

func (t *tx) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	st, err := t.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// int64s returns the single column of a query.
func (t *tx) int64s(ctx context.Context, query string, args ...any) ([]int64, error) {
	rows, err := t.rows(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// nextIDs reserves n ids of a kind and returns the first. Ids are never used
// twice, not even after the record is deleted.
func (t *tx) nextIDs(ctx context.Context, kind string, n int64) (int64, error) {
	row, err := t.row(ctx, `insert into id_sequence (name, value) values ($1, $2)
		on conflict (name) do update set value = id_sequence.value + excluded.value
		returning value`, kind, n)
	if err != nil {
		return 0, err
	}
	var last int64
	if err := row.Scan(&last); err != nil {
		return 0, err
	}
	return last - n + 1, nil
}

func (t *tx) close() error {
	for _, st := range t.stmts {
		st.Close()
	}
	return t.conn.Close()
}

// write runs fn in a transaction and commits it, or rolls back if fn fails.
func (s *Store) write(ctx context.Context, op, key string, fn func(*tx) error) error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.closed.Load() {
		return &Error{Kind: KindClosed, Op: op, Key: key}
	}
	return s.writeLocked(ctx, op, key, fn)
}

// writeLocked is write for a caller that holds wmu.
func (s *Store) writeLocked(ctx context.Context, op, key string, fn func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return wrap(op, key, err)
	}
	// Begin, commit and rollback do not follow the caller's cancellation: half
	// way through them nobody could say whether the transaction happened.
	settled := context.WithoutCancel(ctx)
	if _, err := s.w.exec(settled, `begin immediate`); err != nil {
		return wrap(op, key, err)
	}
	defer s.w.settle()
	err := fn(s.w)
	if err == nil {
		_, err = s.w.exec(settled, `commit`)
	}
	if err != nil {
		// This fails only if SQLite has rolled back already, as it does when the
		// disk is full or a statement is interrupted.
		s.w.exec(settled, `rollback`)
	}
	return wrap(op, key, err)
}
