package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/tsl"
)

// Fleet is simulated devices. Make one with [New].
type Fleet struct {
	Tally Tally

	o          Options
	properties []*tsl.Property
	writable   []*tsl.Property
	devices    []*device
	gateways   []*gateway
	units      []*unit                   // that post: devices and sub-devices
	began      atomic.Pointer[time.Time] // nil before Run
}

// New returns a fleet that has not begun. An error says which option does not
// fit the model.
func New(o Options) (*Fleet, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	properties, err := o.posted()
	if err != nil {
		return nil, err
	}
	f := &Fleet{o: o, properties: properties}
	for _, p := range o.Model.Properties() {
		if p.AccessMode.Writable() {
			f.writable = append(f.writable, p)
		}
	}
	if o.CommandRate > 0 && len(f.writable) == 0 {
		return nil, errors.New("the thing model has no property that can be set")
	}
	for i, t := range o.Devices {
		d := newDevice(f, i, t)
		f.devices = append(f.devices, d)
		f.units = append(f.units, &d.unit)
	}
	i := len(o.Devices)
	for _, w := range o.Gateways {
		g := newGateway(f, i, w)
		i += 1 + len(g.subs)
		f.gateways = append(f.gateways, g)
		for _, s := range g.subs {
			f.units = append(f.units, &s.unit)
		}
	}
	return f, nil
}

// Run lets the devices log in and work until ctx ends. Then they stop posting,
// await the answers that are due, and disconnect; Run returns after the last
// one.
func (f *Fleet) Run(ctx context.Context) {
	began := time.Now()
	f.began.Store(&began)
	var work sync.WaitGroup
	begin := func(i int, run func(context.Context)) {
		work.Go(func() {
			if rest(ctx, time.Duration(i)*time.Second/time.Duration(f.o.LoginRate)) {
				run(ctx)
			}
		})
	}
	for i, g := range f.gateways {
		begin(i, g.run)
	}
	for i, d := range f.devices {
		begin(len(f.gateways)+i, d.run)
	}
	if f.o.CommandRate > 0 {
		work.Go(func() { f.command(ctx) })
	}
	work.Wait()
}

// rest waits, and reports whether ctx goes on.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// commandsAtOnce bounds the commands whose reply is awaited.
const commandsAtOnce = 64

// command sets properties of devices that are online, one after the other at
// the rate.
func (f *Fleet) command(ctx context.Context) {
	r := rand.New(rand.NewPCG(f.o.Seed, 1))
	v := newValues(f, r)
	tick := time.NewTicker(max(time.Duration(float64(time.Second)/f.o.CommandRate), time.Microsecond))
	defer tick.Stop()
	free := make(chan struct{}, commandsAtOnce)
	var work sync.WaitGroup
	defer work.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		d := f.units[r.IntN(len(f.units))]
		if !d.online.Load() {
			continue
		}
		p := f.writable[r.IntN(len(f.writable))]
		params := v.params(nil, []*tsl.Property{p}, time.Now())
		select {
		case free <- struct{}{}:
		default:
			f.Tally.Skipped.Add(1)
			continue
		}
		work.Go(func() {
			defer func() { <-free }()
			f.set(d, params)
		})
	}
}

// set sends one command. One that finds the device gone in the meantime is not
// lost: its sender was told.
func (f *Fleet) set(d *unit, params json.RawMessage) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*f.o.Timeout)
	defer cancel()
	session := d.sessions.Load()
	f.Tally.CommandsSent.Add(1)
	code, err := f.o.Commander.SetProperties(ctx, d.triple.ProductKey, d.triple.DeviceName, params)
	switch {
	case err == nil && code == codeOK:
		f.Tally.CommandsReplied.Add(1)
	case err != nil && (d.sessions.Load() != session || !d.online.Load()):
		f.Tally.CommandsSent.Add(-1)
	case err != nil:
		f.Tally.CommandsLost.Add(1)
		f.Tally.failed(fmt.Sprintf("%s: a property set: %v", d.triple, err))
	default:
		f.Tally.CommandsLost.Add(1)
		f.Tally.failed(fmt.Sprintf("%s: a property set was replied with code %d", d.triple, code))
	}
}
