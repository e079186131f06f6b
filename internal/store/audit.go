package store

import (
	"context"
	"strings"
	"time"
)

// AuditEntry is one line of the audit log.
type AuditEntry struct {
	ID     int64 // rises with time
	At     time.Time
	Who    string // a person or program: "admin", "cli:root"
	Action string // "device.secret.reveal"
	Object string // what it was done to: "a1ji0qFv6Jf/STC15"
	Detail string // why, or what changed; never a secret
}

// maxAuditField bounds each text of an entry; longer ones are cut.
const maxAuditField = 1024

// Audit records that who did action to object. It returns when the entry is
// committed.
func (s *Store) Audit(ctx context.Context, who, action, object, detail string) error {
	return s.write(ctx, "audit", action, func(t *tx) error {
		return s.audit(ctx, t, who, action, object, detail)
	})
}

// audit adds an entry to a running transaction.
func (s *Store) audit(ctx context.Context, t *tx, who, action, object, detail string) error {
	id, err := t.nextIDs(ctx, "audit", 1)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `insert into audit (id, at, who, action, object, detail) values ($1, $2, $3, $4, $5, $6)`,
		id, s.now(), cut(who), cut(action), cut(object), cut(detail))
	return err
}

func cut(text string) string {
	if len(text) > maxAuditField {
		text = text[:maxAuditField]
	}
	return valid(text)
}

func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// AuditQuery selects audit entries, newest first.
type AuditQuery struct {
	Before int64  // only ids smaller than this: the last id of the page before; 0 for all
	Object string // only of this object; "" for all
	Limit  int    // at most this many: 100 if 0, 1000 at most
}

// AuditLog returns one page of the audit log.
func (s *Store) AuditLog(ctx context.Context, q AuditQuery) ([]AuditEntry, error) {
	const op = "read audit log"
	before := q.Before
	if before <= 0 {
		before = 1<<63 - 1
	}
	rows, err := s.r.rows(ctx, `select id, at, who, action, object, detail from audit
		where id < $1 and ($2 = '' or object = $2) order by id desc limit $3`, before, q.Object, pageSize(q.Limit))
	if err != nil {
		return nil, wrap(op, "", err)
	}
	defer rows.Close()
	var out []AuditEntry
	for rows.Next() {
		var (
			e  AuditEntry
			at int64
		)
		if err := rows.Scan(&e.ID, &at, &e.Who, &e.Action, &e.Object, &e.Detail); err != nil {
			return nil, wrap(op, "", err)
		}
		e.At = fromMS(at)
		out = append(out, e)
	}
	return out, wrap(op, "", rows.Err())
}
