// Command posts loads a server with property posts: many devices log in with
// their triples, and each keeps a window of QoS 1 posts of three properties
// (Temp, Hum, Gas of the seed's model) on the way. A post is complete when its
// PUBACK and its post_reply with code 200 have arrived, so everything counted is
// on the server's disk if its durability is "disk". It prints one line of JSON.
//
//	posts --triples devices.csv --address 127.0.0.1:1883 --pid $(pidof linkstead)
//
// The generator is part of the same machine's load; read cpu_us_per_post, which
// is the server's own, before posts_s.
package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/bench/house"
	"github.com/linkstead/linkstead/mqtt"
)

type options struct {
	address, triples    string
	devices, window, id int
	warmup, duration    time.Duration
}

// counts are those of all devices.
type counts struct {
	posted, replied, acknowledged, refused atomic.Int64
}

func main() {
	var o options
	flag.StringVar(&o.address, "address", "127.0.0.1:1883", "the server's MQTT address")
	flag.StringVar(&o.triples, "triples", "", "CSV of ProductKey,DeviceName,DeviceSecret")
	flag.IntVar(&o.devices, "devices", 100, "devices that post; as many lines are needed")
	flag.IntVar(&o.window, "window", 16, "posts of a device that are on their way")
	flag.IntVar(&o.id, "pid", 0, "process id of the server, for its CPU")
	flag.DurationVar(&o.warmup, "warmup", time.Second, "before counting")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "counted")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "posts:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	triples, err := readTriples(o.triples, o.devices)
	if err != nil {
		return err
	}
	var (
		n       counts
		devices []*device
		stop    atomic.Bool
		work    sync.WaitGroup
		failed  atomic.Pointer[error]
	)
	for _, t := range triples {
		d, err := login(o, t, &n)
		if err != nil {
			return fmt.Errorf("device %s: %w", t, err)
		}
		defer d.Conn.Close()
		devices = append(devices, d)
	}
	for _, d := range devices {
		work.Go(func() {
			if err := d.post(&stop); err != nil {
				err = fmt.Errorf("device %s: %w", d.triple, err)
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	time.Sleep(o.warmup)
	cpu, from, start := house.CPU(o.id), n.replied.Load(), time.Now()
	time.Sleep(o.duration)
	done, took, used := n.replied.Load()-from, time.Since(start), house.CPU(o.id)-cpu
	stop.Store(true)
	work.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	var waits []time.Duration
	for _, d := range devices {
		waits = append(waits, d.waits...)
	}
	slices.Sort(waits)
	quantile := func(q float64) float64 {
		if len(waits) == 0 {
			return 0
		}
		return float64(waits[int(q*float64(len(waits)-1))].Microseconds()) / 1000
	}
	out := map[string]any{
		"devices": o.devices, "window": o.window, "posts_s": int64(float64(done) / took.Seconds()),
		"posted": n.posted.Load(), "acknowledged": n.acknowledged.Load(), "replied": n.replied.Load(), "refused": n.refused.Load(),
		"p50_ms": quantile(0.5), "p99_ms": quantile(0.99), "last": map[string]int64{triples[0].DeviceName: devices[0].last},
	}
	if o.id != 0 && done > 0 {
		out["cpu_us_per_post"] = used.Seconds() * 1e6 / float64(done)
		out["broker_cores"] = used.Seconds() / took.Seconds()
	}
	if lost := n.posted.Load() - n.replied.Load(); lost != 0 {
		out["missing"] = lost
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func readTriples(file string, n int) ([]alink.Triple, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) < n {
		return nil, fmt.Errorf("%s has %d devices, %d are needed", file, len(rows), n)
	}
	var out []alink.Triple
	for _, r := range rows[:n] {
		if len(r) != 3 {
			return nil, fmt.Errorf("%s: a line has %d columns, want ProductKey,DeviceName,DeviceSecret", file, len(r))
		}
		out = append(out, alink.Triple{ProductKey: r[0], DeviceName: r[1], DeviceSecret: r[2]})
	}
	return out, nil
}

// device is one connection. A batch of window posts leaves with one write; the
// next one when all of it is complete.
type device struct {
	*house.Client
	triple alink.Triple
	n      *counts
	window int
	id     uint16
	last   int64 // the latest value of Gas that was posted
	waits  []time.Duration
}

func login(o options, t alink.Triple, n *counts) (*device, error) {
	l := t.Login(alink.LoginOptions{Method: alink.HMACSHA256})
	c, err := house.Dial(o.address, "", l.ClientID, l.Username, l.Password, true, 64<<10)
	if err != nil {
		return nil, err
	}
	return &device{Client: c, triple: t, n: n, window: o.window}, nil
}

func (d *device) post(stop *atomic.Bool) error {
	topic := []byte(alink.PropertyPostTopic(d.triple.ProductKey, d.triple.DeviceName))
	var out, payload []byte
	for !stop.Load() {
		out = out[:0]
		for range d.window {
			d.id++
			if d.id == 0 {
				d.id = 1
			}
			d.last = (d.last + 1) % 10_000
			payload = fmt.Appendf(payload[:0], `{"id":"%d","version":"1.0","params":{"Temp":%d,"Hum":%d,"Gas":%d},"method":"thing.event.property.post"}`,
				d.id, 20+d.last%10, 40+d.last%20, d.last)
			p := mqtt.Publish{QoS: 1, Topic: topic, PacketID: d.id, Payload: payload}
			out = p.Append(out, mqtt.V311)
		}
		start := time.Now()
		d.n.posted.Add(int64(d.window))
		if err := d.Conn.SetDeadline(start.Add(30 * time.Second)); err != nil {
			return err
		}
		if _, err := d.Conn.Write(out); err != nil {
			return err
		}
		var acks, replies, refused int64
		for acks+replies < 2*int64(d.window) {
			f, err := d.Next()
			if err != nil {
				return fmt.Errorf("%d of %d posts acknowledged, %d replied: %w", acks, d.window, replies, err)
			}
			switch f.Type {
			case mqtt.PUBACK:
				acks++
			case mqtt.PUBLISH:
				if !bytes.Contains(f.Body, []byte(`"code":200`)) {
					refused++
				}
				replies++
			default:
				return fmt.Errorf("a packet of type %v was not expected", f.Type)
			}
		}
		d.waits = append(d.waits, time.Since(start))
		d.n.acknowledged.Add(acks)
		d.n.replied.Add(replies)
		d.n.refused.Add(refused)
	}
	return nil
}
