package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Checked is what a check of a database has found.
type Checked struct {
	Devices int64 `json:"devices"`
	Series  int64 `json:"series"`
	Chunks  int64 `json:"chunks"`  // of history
	Commits int64 `json:"commits"` // whose points are not all in chunks
	// Problems tell what is damaged, the worst first.
	Problems []string `json:"problems,omitempty"`
}

// maxProblems is how many a check tells.
const maxProblems = 1000

func (c *Checked) problem(format string, a ...any) {
	if len(c.Problems) < maxProblems {
		c.Problems = append(c.Problems, fmt.Sprintf(format, a...))
	}
}

// Check reads everything in a store's directory that no process has open, and
// changes nothing: the structure of the file, and every piece of history. It
// fails with ErrLocked while a server runs on it. Damage is no error but told in
// the result.
func Check(ctx context.Context, dir string) (c Checked, err error) {
	const op = "check records"
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		if errors.Is(err, ErrLocked) {
			err = &Error{Kind: KindLocked, Op: op, Key: dir, Hint: "stop the server first, or check a backup"}
		}
		return c, wrap(op, dir, err)
	}
	defer lock.Close()
	path := filepath.Join(dir, databaseName)
	db, err := sql.Open("sqlite", dsn(path, "", "query_only(1)")+"&mode=rw")
	if err != nil {
		return c, wrap(op, path, err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		return c, wrap(op, path, err)
	}
	// Each look goes on where the one before found damage.
	for _, look := range []func(context.Context, *sql.DB, *Checked) error{
		checkStructure, checkReferences, checkChunks, checkCommits, checkSeries, countDevices,
	} {
		if err := look(ctx, db, &c); err != nil {
			if ctx.Err() != nil {
				return c, wrap(op, path, ctx.Err())
			}
			c.problem("%v", wrap(op, path, err))
		}
	}
	return c, nil
}

func checkStructure(ctx context.Context, db *sql.DB, c *Checked) error {
	return each(ctx, db, `pragma integrity_check(100)`, func(rows *sql.Rows) error {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		if line != "ok" {
			c.problem("the database file is damaged: %s", line)
		}
		return nil
	})
}

func checkReferences(ctx context.Context, db *sql.DB, c *Checked) error {
	return each(ctx, db, `pragma foreign_key_check`, func(rows *sql.Rows) error {
		var table, parent string
		var row sql.NullInt64
		var key int64
		if err := rows.Scan(&table, &row, &parent, &key); err != nil {
			return err
		}
		c.problem("row %d of %s belongs to a %s that is not there", row.Int64, table, parent)
		return nil
	})
}

func checkChunks(ctx context.Context, db *sql.DB, c *Checked) error {
	var points []Sample
	return each(ctx, db, `select c.series, coalesce(s.device, 0), coalesce(s.name, ''), c.t_min, c.t_max, c.points, c.data
		from history_chunk c left join history_series s on s.id = c.series order by c.series, c.t_min`, func(rows *sql.Rows) error {
		var series, device, tmin, tmax, count int64
		var name string
		var data sql.RawBytes
		if err := rows.Scan(&series, &device, &name, &tmin, &tmax, &count, &data); err != nil {
			return err
		}
		c.Chunks++
		var err error
		points, err = readChunk(points[:0], data)
		if err != nil || int64(len(points)) != count || points[0].TimeMS != tmin || points[count-1].TimeMS != tmax {
			c.problem("history of device %d, %.40q, from %s to %s (%d points) is damaged: it is left out when read",
				device, name, time.UnixMilli(tmin).UTC().Format(time.RFC3339), time.UnixMilli(tmax).UTC().Format(time.RFC3339), count)
		}
		return nil
	})
}

func checkCommits(ctx context.Context, db *sql.DB, c *Checked) error {
	return each(ctx, db, `select seq, data from history_wal order by seq`, func(rows *sql.Rows) error {
		var seq int64
		var data sql.RawBytes
		if err := rows.Scan(&seq, &data); err != nil {
			return err
		}
		c.Commits++
		recs, err := openRecords(data)
		if err == nil {
			r := recordReader{rest: recs}
			for r.next() {
			}
			if len(r.rest) > 0 {
				err = errRecords
			}
		}
		if err != nil {
			c.problem("commit %d in the history's log is damaged: the points in it that are in no chunk are lost", seq)
		}
		return nil
	})
}

func checkSeries(ctx context.Context, db *sql.DB, c *Checked) error {
	return each(ctx, db, `select device, name, last_value from history_series`, func(rows *sql.Rows) error {
		var device int64
		var name string
		var data sql.RawBytes
		if err := rows.Scan(&device, &name, &data); err != nil {
			return err
		}
		c.Series++
		if valueSize(data) != len(data) {
			c.problem("the latest value of device %d, %.40q, is damaged: it comes back with the next one", device, name)
		}
		return nil
	})
}

func countDevices(ctx context.Context, db *sql.DB, c *Checked) error {
	return db.QueryRowContext(ctx, `select count(*) from device`).Scan(&c.Devices)
}

func each(ctx context.Context, db *sql.DB, query string, visit func(*sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := visit(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
