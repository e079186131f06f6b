// Command connects measures what a login costs a server: clients connect, log in,
// await the CONNACK, disconnect and come again, in a loop of a few generator
// threads, and the server's own CPU time is divided by the logins. linkstead's are
// devices with their triples (an HMAC, the device's record, its rights); with
// -mosquitto the same generator does the same to a mosquitto with a password file,
// in turn, and the ratio is printed. One line of JSON for each round, one for the
// medians.
//
//	make build && go run ./bench/connects --linkstead dist/linkstead --mosquitto /usr/sbin/mosquitto
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/bench/house"
)

type options struct {
	linkstead, mosquitto string
	devices, threads     int
	rounds               int
	warmup, duration     time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.linkstead, "linkstead", "dist/linkstead", "the server to measure")
	flag.StringVar(&o.mosquitto, "mosquitto", "", "a mosquitto 2.0 to compare it with; mosquitto_passwd has to be in PATH")
	flag.IntVar(&o.devices, "devices", 2000, "devices that log in, one after the other")
	flag.IntVar(&o.threads, "threads", 64, "logins at the same time")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds, in turn")
	flag.DurationVar(&o.warmup, "warmup", time.Second, "before counting, in each round")
	flag.DurationVar(&o.duration, "duration", 4*time.Second, "counted, in each round")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "connects:", err)
		os.Exit(1)
	}
}

// server is one that is measured.
type server struct {
	name, address string
	pid           int
	logins        []alink.Login // of all clients; each thread has its own share
	cpu           []float64     // µs a login, by round
}

func run(o options) (err error) {
	if o.threads < 1 || o.devices < o.threads || o.rounds < 1 {
		return errors.New("there have to be a round, a thread, and a device for each thread")
	}
	dir, err := os.MkdirTemp("", "connects")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours, stop, err := startLinkstead(o, dir)
	if err != nil {
		return err
	}
	defer stop()
	servers := []*server{ours}
	if o.mosquitto != "" {
		peer, stop, err := startMosquitto(o, dir)
		if err != nil {
			return err
		}
		defer stop()
		servers = append(servers, peer)
	}
	out := json.NewEncoder(os.Stdout)
	for round := range o.rounds {
		for _, s := range servers {
			f, err := s.round(o)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			s.cpu = append(s.cpu, f.CPU)
			f.Round, f.Server = round+1, s.name
			if err := out.Encode(f); err != nil {
				return err
			}
		}
	}
	medians := map[string]any{}
	for _, s := range servers {
		medians["cpu_us_per_login_"+s.name] = median(s.cpu)
	}
	if len(servers) == 2 {
		var ratios []float64 // of the same round: what else runs slows both down
		for i := range servers[0].cpu {
			ratios = append(ratios, servers[0].cpu[i]/servers[1].cpu[i])
		}
		medians["ratio"] = median(ratios)
	}
	return out.Encode(medians)
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	if n := len(values); n%2 == 0 {
		return (values[n/2-1] + values[n/2]) / 2
	}
	return values[len(values)/2]
}

// figures are those of one round.
type figures struct {
	Server string  `json:"server"`
	Round  int     `json:"round"`
	Logins int64   `json:"logins"`
	Rate   float64 `json:"logins_s"`
	CPU    float64 `json:"cpu_us_per_login"`
	Cores  float64 `json:"broker_cores"`
}

// round has all clients come and go for a while.
func (s *server) round(o options) (f figures, err error) {
	var (
		n      atomic.Int64
		stop   atomic.Bool
		failed atomic.Pointer[error]
		work   sync.WaitGroup
	)
	for i := range o.threads {
		work.Go(func() {
			// An address has 28,000 ports, and a port rests for a minute.
			local := fmt.Sprintf("127.0.2.%d", i%250+1)
			for at := i; !stop.Load(); at += o.threads {
				if at >= len(s.logins) {
					at = i
				}
				if err := s.come(local, s.logins[at]); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				n.Add(1)
			}
		})
	}
	time.Sleep(o.warmup)
	before, used, begun := n.Load(), house.CPU(s.pid), time.Now()
	time.Sleep(o.duration)
	f.Logins, used = n.Load()-before, house.CPU(s.pid)-used
	took := time.Since(begun).Seconds()
	stop.Store(true)
	work.Wait()
	if err := failed.Load(); err != nil {
		return f, *err
	}
	if f.Logins == 0 {
		return f, errors.New("nobody logged in")
	}
	f.Rate, f.CPU, f.Cores = float64(f.Logins)/took, used.Seconds()*1e6/float64(f.Logins), used.Seconds()/took
	return f, nil
}

// come logs in, says DISCONNECT and awaits the end of the connection.
func (s *server) come(local string, l alink.Login) error {
	c, err := house.Dial(s.address, local, l.ClientID, l.Username, l.Password, true, 256)
	if err != nil {
		return err
	}
	defer c.Conn.Close()
	if _, err := c.Conn.Write([]byte{0xE0, 0}); err != nil {
		return err
	}
	_ = c.Conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.Copy(io.Discard, c.In); err != nil {
		var e net.Error
		if errors.As(err, &e) && e.Timeout() {
			return fmt.Errorf("the server does not close the connection of %s after its DISCONNECT", l.ClientID)
		}
	}
	return nil
}
