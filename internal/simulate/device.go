package simulate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/mqtt"
)

const (
	// lookUp is how often a device that waits looks whether the fleet goes on.
	lookUp = 2 * time.Second
	// stayAway and stayAwayLongest are the pauses after a failed connection.
	stayAway        = time.Second
	stayAwayLongest = 30 * time.Second
)

// device is one simulated device with a connection of its own. One goroutine runs
// it.
type device struct {
	unit
	own   conn
	leave time.Time
}

func newDevice(f *Fleet, i int, t alink.Triple) *device {
	d := new(device)
	d.own = conn{fleet: f, owners: make(map[uint16]*unit)}
	d.unit = newUnit(&d.own, i, t)
	return d
}

// run connects, serves and connects again until ctx ends.
func (d *device) run(ctx context.Context) {
	d.begin(time.Now())
	d.conn.run(ctx, &d.unit, d.serve)
}

// run connects a unit with a connection of its own, serves and connects again until
// ctx ends.
func (c *conn) run(ctx context.Context, u *unit, serve func(context.Context) error) {
	t, o := &c.fleet.Tally, &c.fleet.o
	pause := stayAway
	for ctx.Err() == nil {
		l, err := dial(ctx, o, u.triple)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			if _, refused := errors.AsType[*refusedError](err); refused {
				t.Refused.Add(1)
			} else {
				t.Broken.Add(1)
			}
			t.failed(fmt.Sprintf("%s: %v", u.triple, err))
			rest(ctx, pause/2+time.Duration(u.values.rand.Int64N(int64(pause))))
			pause = min(2*pause, stayAwayLongest)
			continue
		}
		pause = stayAway
		c.open(l, time.Now())
		t.came()
		u.sessions.Add(1)
		u.online.Store(true)
		err = serve(ctx)
		u.online.Store(false)
		l.close()
		t.Online.Add(-1)
		u.cut()
		switch {
		case errors.Is(err, errLeft):
			t.Left.Add(1)
			rest(ctx, o.Offline)
		case err != nil:
			t.Broken.Add(1)
			t.failed(fmt.Sprintf("%s: the connection ended: %v", u.triple, err))
			rest(ctx, stayAway)
		}
	}
}

// errLeft is the end of a connection that the device itself has ended.
var errLeft = errors.New("the device has left")

// unexpected is the end of a connection on which the server sent something else
// than it may.
func unexpected(t mqtt.Type) error {
	return fmt.Errorf("the server sent a packet of type %v, which a device does not expect", t)
}

// dropOut ends a connection of a unit's own will, half of them without a DISCONNECT.
func (u *unit) dropOut() error {
	if u.values.rand.IntN(2) == 0 {
		_ = u.conn.goodbye()
	}
	return errLeft
}

// serve works on a connection until it ends, the device drops out, or ctx has
// ended and nothing is owed any more: then the error is nil.
func (d *device) serve(ctx context.Context) error {
	d.leave = d.leaving(time.Now(), d.fleet.o.Churn)
	for {
		now := time.Now()
		stopping := ctx.Err() != nil
		d.expire(now)
		if stopping && len(d.pending) == 0 {
			return d.conn.goodbye()
		}
		if !stopping {
			if !now.Before(d.leave) {
				return d.dropOut()
			}
			d.due(now)
		}
		d.conn.keepAlive(now)
		if err := d.conn.flush(now); err != nil {
			return err
		}
		at := d.wakes(earliest(now.Add(lookUp), d.conn.ping), !stopping)
		if !stopping {
			at = earliest(at, d.leave)
		}
		f, err := d.conn.link.next(at)
		if errors.Is(err, errDue) {
			continue
		}
		if err != nil {
			return err
		}
		if err := d.conn.received(f, d.message); err != nil {
			return err
		}
	}
}
