// Command sessions shows what very many persistent sessions cost and how a server
// takes a storm. It starts a server of its own, makes the sessions over TCP in
// waves of as many connections as a process may have, each with a subscription,
// and measures the server's memory with one wave connected and with none. Then it
// kills the server while a wave is connected, starts it again, and lets all
// clients come back at once, as fast as they can. It prints one line of JSON for
// each step.
//
//	make build && go run ./bench/sessions --linkstead dist/linkstead
//
// Connections come from several loopback addresses, 127.0.1.1 and up, because one
// has only 28,000 ports.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/bench/house"
	"github.com/linkstead/linkstead/mqtt"
)

type options struct {
	binary              string
	sessions, connected int
	at                  int
	settings            string
	kill                bool
}

func main() {
	var o options
	flag.StringVar(&o.binary, "linkstead", "dist/linkstead", "the server to measure")
	flag.IntVar(&o.sessions, "sessions", 100_000, "persistent sessions")
	flag.IntVar(&o.connected, "connected", 18_000, "of these, connected at a time")
	flag.IntVar(&o.at, "at-once", 64, "logins at the same time while the sessions are made")
	flag.BoolVar(&o.kill, "kill", true, "end the server with SIGKILL; otherwise with SIGTERM")
	flag.StringVar(&o.settings, "settings", "", "settings of the server as environment variables, separated by spaces")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "sessions:", err)
		os.Exit(1)
	}
}

const user, password = "bench", "bench-password"

var out = json.NewEncoder(os.Stdout)

type figures map[string]any

func run(o options) error {
	data, err := os.MkdirTemp("", "sessions")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	settings := strings.Fields(o.settings)
	h, err := house.Start(o.binary, data, "127.0.0.1:0", settings...)
	if err != nil {
		return err
	}
	defer func() { h.Stop() }()
	if err := h.AddUser(user, password, "#"); err != nil {
		return err
	}
	if _, err := house.Dial(h.Address, "", "first", user, password, true, 512); err != nil {
		return err // what a first login allocates is there
	}
	empty := h.Settled()
	if err := out.Encode(figures{"step": "empty", "rss_mb": mb(empty)}); err != nil {
		return err
	}
	begun := time.Now()
	for from := 0; from < o.sessions; from += o.connected {
		wave, err := connect(o, h, from, min(from+o.connected, o.sessions))
		if err != nil {
			return err
		}
		hangUp(wave)
	}
	took := time.Since(begun)
	without := h.Settled()
	// The last ones are there when the server goes.
	first := max(0, o.sessions-o.connected)
	wave, err := connect(o, h, first, o.sessions)
	if err != nil {
		return err
	}
	with := h.Settled()
	if err := out.Encode(figures{
		"step": "made", "sessions": o.sessions, "seconds": took.Seconds(), "connected": len(wave), "rss_mb_connected": mb(with), "rss_mb_none_connected": mb(without),
		"bytes_per_session": (without - empty) / int64(o.sessions), "more_bytes_connected": (with - without) / int64(len(wave)),
	}); err != nil {
		return err
	}
	s := &storm{o: o, address: h.Address, clients: make([]*house.Client, len(wave))}
	var back sync.WaitGroup
	for i, c := range wave {
		back.Go(func() {
			_, _ = c.Next() // its end
			_ = c.Conn.Close()
			s.clients[i] = s.comeBack(first + i)
		})
	}
	down := time.Now()
	if o.kill {
		h.Kill()
	} else {
		h.Stop()
	}
	gone := time.Since(down)
	starting := time.Now()
	h2, err := house.Start(o.binary, data, h.Address, settings...)
	if err != nil {
		return err
	}
	h = h2
	serving := time.Now()
	s.serving.Store(serving.UnixNano())
	back.Wait()
	all := time.Since(serving)
	if err := out.Encode(figures{
		"step": "storm", "clients": len(wave), "stop_seconds": gone.Seconds(), "load_seconds": serving.Sub(starting).Seconds(),
		"all_back_seconds": all.Seconds(), "attempts": s.attempts.Load(), "refused_by_server": s.refused.Load(), "cut_or_timed_out": s.failed.Load(), "cut_before_it_served": s.early.Load(),
		"session_lost": s.lost.Load(), "connack_p50_ms": s.quantile(0.5), "connack_p99_ms": s.quantile(0.99), "connack_max_ms": s.quantile(1),
	}); err != nil {
		return err
	}
	if err := s.check(first); err != nil {
		return err
	}
	after := h.Settled()
	for _, c := range s.clients {
		_ = c.Conn.Close()
	}
	rest := h.Settled()
	return out.Encode(figures{"step": "after", "rss_mb_connected": mb(after), "rss_mb_none_connected": mb(rest),
		"bytes_per_session": (rest - empty) / int64(o.sessions), "more_bytes_connected": (after - rest) / int64(len(wave))})
}

func mb(n int64) float64 { return float64(n*10>>20) / 10 }

// source is the address from which session n comes.
func source(n int) string { return fmt.Sprintf("127.0.1.%d", 1+n%16) }

func name(n int) string { return fmt.Sprintf("session-%06d", n) }

func topic(n int) string { return fmt.Sprintf("sessions/%06d/commands", n) }

// connect logs the sessions from to below to in, and subscribes those that are
// new.
func connect(o options, h *house.House, from, to int) ([]*house.Client, error) {
	clients := make([]*house.Client, to-from)
	var next atomic.Int64
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	for range o.at {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(clients) {
					return
				}
				c, err := house.Dial(h.Address, source(from+i), name(from+i), user, password, false, 128)
				if err == nil && !c.Present {
					err = c.Subscribe(topic(from+i), 1)
				}
				if err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
				clients[i] = c
			}
		})
	}
	wg.Wait()
	if failed != nil {
		hangUp(clients)
	}
	return clients, failed
}

// hangUp takes leave and waits until the server has closed every connection.
func hangUp(clients []*house.Client) {
	for _, c := range clients {
		if c != nil {
			p := mqtt.Disconnect{}
			_, _ = c.Conn.Write(p.Append(nil, mqtt.V311))
		}
	}
	for _, c := range clients {
		if c != nil {
			_ = c.Conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			_, _ = c.Next()
			_ = c.Conn.(*net.TCPConn).SetLinger(0)
			_ = c.Conn.Close()
		}
	}
}
