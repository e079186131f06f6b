// Command idle opens many connections to a server, each with one subscription,
// lets them rest, and tells what the server's memory has grown by. It covers
// what plain generators do not: TLS and WebSocket.
//
//	idle --address 127.0.0.1:1883 --user bench --password bench-pw --pid $(pidof linkstead) --over tls --n 5000
//
// RSS is read after the server has been quiet for --settle, before as well as
// after the connections are opened, so that memory that the server gives back
// when it rests counts on neither side.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/linkstead/linkstead/bench/house"
	"github.com/linkstead/linkstead/mqtt"
)

type options struct {
	address, over, user, password string
	n, conc, pid                  int
	settle                        time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.address, "address", "127.0.0.1:1883", "the server's MQTT address")
	flag.StringVar(&o.over, "over", "tcp", "tcp, tls or ws")
	flag.StringVar(&o.user, "user", "", "user name")
	flag.StringVar(&o.password, "password", "", "password")
	flag.IntVar(&o.n, "n", 5000, "connections")
	flag.IntVar(&o.conc, "conc", 16, "logins at once")
	flag.IntVar(&o.pid, "pid", 0, "process id of the server")
	flag.DurationVar(&o.settle, "settle", 20*time.Second, "rest before memory is read")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "idle:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	// What the first logins cost once, such as a password's hash, is not a connection's.
	for i := range 2 * o.conc {
		c, err := open(o, -1-i)
		if err != nil {
			return err
		}
		_ = c.Close()
	}
	time.Sleep(o.settle)
	before := house.RSS(o.pid)
	if before == 0 {
		return fmt.Errorf("the memory of process %d cannot be read; give the server's with --pid", o.pid)
	}
	conns := make([]net.Conn, o.n)
	next := make(chan int)
	var work sync.WaitGroup
	var once sync.Once
	var failed error
	for range o.conc {
		work.Go(func() {
			for i := range next {
				c, err := open(o, i)
				if err != nil {
					once.Do(func() { failed = fmt.Errorf("connection %d: %w", i, err) })
					continue
				}
				conns[i] = c
			}
		})
	}
	for i := range conns {
		next <- i
	}
	close(next)
	work.Wait()
	if failed != nil {
		return failed
	}
	time.Sleep(o.settle)
	after := house.RSS(o.pid)
	alive := 0
	for _, c := range conns { // the server must still know each of them
		if _, err := c.Write(mqtt.AppendPingreq(nil)); err == nil {
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			var b [2]byte
			if _, err := io.ReadFull(c, b[:]); err == nil && mqtt.Type(b[0]>>4) == mqtt.PINGRESP {
				alive++
			}
		}
		_ = c.Close()
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"over": o.over, "connections": o.n, "alive": alive, "rss_before_kb": before >> 10, "rss_after_kb": after >> 10,
		"bytes_per_connection": (after - before) / int64(o.n),
	})
}

// open logs in and subscribes to one topic.
func open(o options, i int) (net.Conn, error) {
	var d net.Dialer
	d.Timeout = 30 * time.Second
	// Several addresses of this machine, for more connections than one has ports.
	if host, _, _ := net.SplitHostPort(o.address); strings.HasPrefix(host, "127.") {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+(i+1<<20)%8))}
	}
	conn, err := d.Dial("tcp", o.address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return nil, err
	}
	switch o.over {
	case "tls":
		// The server is this machine's own, its certificate signed by itself.
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a measurement, no secret beyond its own
	case "ws":
		if conn, err = upgrade(conn, o.address); err != nil {
			return nil, err
		}
	}
	id := "idle-" + strconv.Itoa(i)
	c := mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: []byte(id), KeepAlive: 600,
		HasUsername: o.user != "", Username: []byte(o.user), HasPassword: o.password != "", Password: []byte(o.password)}
	s := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: []byte("idle/" + strconv.Itoa(i))}}}
	if _, err := conn.Write(s.Append(c.Append(nil), mqtt.V311)); err != nil {
		return nil, err
	}
	var got [9]byte // CONNACK and SUBACK
	if _, err := io.ReadFull(conn, got[:]); err != nil {
		return nil, err
	}
	if got[3] != 0 || got[8] != 0 {
		return nil, fmt.Errorf("the login or the subscription was refused: % X", got)
	}
	return conn, conn.SetDeadline(time.Time{})
}

// upgrade makes a connection a WebSocket whose Write and Read carry one binary
// frame's payload, as far as this program needs it.
func upgrade(conn net.Conn, host string) (net.Conn, error) {
	_, err := fmt.Fprintf(conn, "GET /mqtt HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", host)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(conn, 512)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	return &webSocket{Conn: conn, in: in}, nil
}

type webSocket struct {
	net.Conn
	in   *bufio.Reader
	left int
}

// Write sends one masked frame of at most 125 bytes, or up to 65535.
func (w *webSocket) Write(p []byte) (int, error) {
	b := []byte{0x82}
	if len(p) < 126 {
		b = append(b, 0x80|byte(len(p)))
	} else {
		b = append(b, 0x80|126, byte(len(p)>>8), byte(len(p)))
	}
	b = append(append(b, 0, 0, 0, 0), p...) // a mask of zeros
	if _, err := w.Conn.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Read returns payload of binary frames that are shorter than 126 bytes.
func (w *webSocket) Read(p []byte) (int, error) {
	for w.left == 0 {
		var head [2]byte
		if _, err := io.ReadFull(w.in, head[:]); err != nil {
			return 0, err
		}
		if head[0] != 0x82 || head[1] > 125 {
			return 0, errors.New("a frame that this program does not read")
		}
		w.left = int(head[1])
	}
	n, err := w.in.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, err
}
