// Command neighbours shows what clients that misbehave cost the others. It starts
// a server of its own on which pairs of clients exchange messages at a fixed
// rate, and measures how long each message takes from end to end: in turn
// without and with a subscriber that does not read at all, one that reads 1 KB/s
// and a publisher that sends as fast as it can, all three on everybody's topics.
// It prints a line of JSON for each run and the ratio of the medians of p99.
//
//	make build && go run ./bench/neighbours --linkstead dist/linkstead
//
// Everything shares the machine: read the ratio, not the milliseconds.
package main

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/linkstead/linkstead/bench/house"
	"github.com/linkstead/linkstead/mqtt"
)

type options struct {
	binary               string
	pairs, rate, payload int
	qos                  int
	rounds               int
	duration             time.Duration
	offenders            string
	offender, address    string
	settings             string
}

func main() {
	var o options
	flag.StringVar(&o.binary, "linkstead", "dist/linkstead", "the server to measure")
	flag.IntVar(&o.pairs, "pairs", 50, "pairs of a publisher and a subscriber")
	flag.IntVar(&o.rate, "rate", 20, "messages a second of each pair")
	flag.IntVar(&o.payload, "payload", 200, "bytes of a message")
	flag.IntVar(&o.qos, "qos", 1, "QoS of the pairs")
	flag.IntVar(&o.rounds, "rounds", 5, "runs without and runs with the three, in turn")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "of a run")
	flag.StringVar(&o.offenders, "offenders", "frozen,slow,flood", "which of them misbehave")
	flag.StringVar(&o.settings, "settings", "", "settings of the server as environment variables, separated by spaces")
	flag.StringVar(&o.offender, "offender", "", "be this one, of the server at --address; what the command starts itself as")
	flag.StringVar(&o.address, "address", "", "see --offender")
	flag.Parse()
	if o.offender != "" {
		offend(o)
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "neighbours:", err)
		os.Exit(1)
	}
}

const user, password = "bench", "bench-password"

func run(o options) error {
	data, err := os.MkdirTemp("", "neighbours")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	h, err := house.Start(o.binary, data, "127.0.0.1:0", strings.Fields(o.settings)...)
	if err != nil {
		return err
	}
	defer h.Stop()
	if err := h.AddUser(user, password, "#"); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	p99 := map[bool][]float64{}
	for round := range 2*o.rounds + 1 {
		with := round%2 == 0
		f, err := measure(o, h, with)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, h.Log)
		}
		if round == 0 {
			continue // everything that is allocated once has been
		}
		if err := out.Encode(f); err != nil {
			return err
		}
		p99[with] = append(p99[with], f.P99)
	}
	alone, crowded := median(p99[false]), median(p99[true])
	return out.Encode(map[string]float64{"p99_ms_without": alone, "p99_ms_with": crowded, "ratio": crowded / alone})
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// figures are those of one run.
type figures struct {
	With        bool    `json:"with_offenders"`
	Messages    int     `json:"messages"`
	Lost        int     `json:"lost"`
	P50         float64 `json:"p50_ms"`
	P90         float64 `json:"p90_ms"`
	P99         float64 `json:"p99_ms"`
	Flooded     int64   `json:"flooded"` // messages of the flooding publisher
	ServerMB    int64   `json:"server_rss_mb"`
	ServerCores float64 `json:"server_cores"`
}

// measure runs the pairs once.
func measure(o options, h *house.House, with bool) (figures, error) {
	flooded := func() int64 { return 0 }
	if with {
		var err error
		if flooded, err = misbehave(o, h); err != nil {
			return figures{}, err
		}
	}
	var mu sync.Mutex
	var waits []time.Duration
	var failed error
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if failed == nil {
			failed = err
		}
	}
	var pairs sync.WaitGroup
	each := int(o.duration.Seconds() * float64(o.rate))
	cpu, begun := h.CPU(), time.Now()
	for i := range o.pairs {
		pairs.Go(func() {
			w, err := pair(o, h, i, each)
			if err != nil {
				fail(err)
			}
			mu.Lock()
			defer mu.Unlock()
			waits = append(waits, w...)
		})
	}
	pairs.Wait()
	f := figures{With: with, Messages: len(waits), Lost: o.pairs*each - len(waits), ServerMB: h.RSS() >> 20}
	f.ServerCores = float64(h.CPU()-cpu) / float64(time.Since(begun))
	f.Flooded = flooded()
	if failed != nil {
		return f, failed
	}
	slices.Sort(waits)
	quantile := func(q float64) float64 { return float64(waits[int(q*float64(len(waits)-1))].Microseconds()) / 1000 }
	f.P50, f.P90, f.P99 = quantile(0.5), quantile(0.9), quantile(0.99)
	return f, nil
}

// pair sends each messages from one client to another and returns how long they
// took.
func pair(o options, h *house.House, i, each int) ([]time.Duration, error) {
	sub, err := house.Dial(h.Address, "", fmt.Sprintf("sub%d", i), user, password, true, 64<<10)
	if err != nil {
		return nil, err
	}
	defer sub.Conn.Close()
	topic := fmt.Sprintf("pair/%d", i)
	if err := sub.Subscribe(topic, byte(o.qos)); err != nil {
		return nil, err
	}
	pub, err := house.Dial(h.Address, "", fmt.Sprintf("pub%d", i), user, password, true, 4<<10)
	if err != nil {
		return nil, err
	}
	defer pub.Conn.Close()
	go func() { // acknowledgements
		for {
			if _, err := pub.Next(); err != nil {
				return
			}
		}
	}()
	begun := time.Now()
	go func() {
		m := mqtt.Publish{Topic: []byte(topic), QoS: byte(o.qos), Payload: make([]byte, max(8, o.payload))}
		gap := time.Second / time.Duration(o.rate)
		next := begun.Add(gap * time.Duration(i) / time.Duration(o.pairs))
		var out []byte
		for n := range each {
			time.Sleep(time.Until(next))
			next = next.Add(gap)
			m.PacketID = 0
			if o.qos > 0 {
				m.PacketID = uint16(n%60_000 + 1)
			}
			binary.LittleEndian.PutUint64(m.Payload, uint64(time.Since(begun)))
			out = m.Append(out[:0], mqtt.V311)
			if _, err := pub.Conn.Write(out); err != nil {
				return
			}
		}
	}()
	_ = sub.Conn.SetReadDeadline(begun.Add(o.duration + 20*time.Second))
	var waits []time.Duration
	var p mqtt.Publish
	for len(waits) < each {
		f, err := sub.Next()
		if err != nil {
			return waits, fmt.Errorf("pair %d after %d of %d messages: %w", i, len(waits), each, err)
		}
		if err := p.Decode(f, mqtt.V311, 0); err != nil {
			return waits, err
		}
		waits = append(waits, time.Since(begun)-time.Duration(binary.LittleEndian.Uint64(p.Payload)))
		if p.QoS > 0 {
			if _, err := sub.Conn.Write(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, p.PacketID, 0)); err != nil {
				return waits, err
			}
		}
	}
	return waits, nil
}
