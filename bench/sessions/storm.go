package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/linkstead/linkstead/bench/house"
	"github.com/linkstead/linkstead/mqtt"
)

// storm is all clients coming back at once.
type storm struct {
	o       options
	address string
	clients []*house.Client
	serving atomic.Int64 // when the server said that it serves, Unix ns

	attempts, refused, failed, early, lost atomic.Int64
	mu                                     sync.Mutex
	waits                                  []time.Duration // from CONNECT to CONNACK, of logins that succeeded
}

// comeBack tries until session n is connected again: at once, and again after
// half a second to one and a half.
func (s *storm) comeBack(n int) *house.Client {
	for {
		c, err := house.Dial(s.address, source(n), name(n), user, password, false, 128)
		if err == nil {
			s.attempts.Add(1)
			if !c.Present {
				s.lost.Add(1)
			}
			s.mu.Lock()
			s.waits = append(s.waits, c.Login)
			s.mu.Unlock()
			return c
		}
		var no *house.RefusedError
		switch {
		case errors.As(err, &no):
			s.attempts.Add(1)
			s.refused.Add(1)
		case errors.Is(err, syscall.ECONNREFUSED): // nobody is there
		case s.serving.Load() == 0: // the kernel took it for the server that was dying
			s.early.Add(1)
		default:
			s.attempts.Add(1)
			s.failed.Add(1)
		}
		time.Sleep(500*time.Millisecond + rand.N(time.Second))
	}
}

func (s *storm) quantile(q float64) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.waits)
	return float64(s.waits[int(q*float64(len(s.waits)-1))].Microseconds()) / 1000
}

// check sends a message to every tenth client that came back: its subscription
// has to be there.
func (s *storm) check(first int) error {
	pub, err := house.Dial(s.address, "", "checker", user, password, true, 4<<10)
	if err != nil {
		return err
	}
	defer pub.Conn.Close()
	for i := 0; i < len(s.clients); i += 10 {
		m := mqtt.Publish{Topic: []byte(topic(first + i)), QoS: 1, PacketID: 1, Payload: []byte("still there?")}
		if _, err := pub.Conn.Write(m.Append(nil, mqtt.V311)); err != nil {
			return err
		}
		if f, err := pub.Next(); err != nil || f.Type != mqtt.PUBACK {
			return fmt.Errorf("a message is not acknowledged: %w, % X", err, f.Raw)
		}
		c := s.clients[i]
		_ = c.Conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		f, err := c.Next()
		if err != nil || f.Type != mqtt.PUBLISH {
			return fmt.Errorf("%s has lost its subscription: %w", name(first+i), err)
		}
	}
	return nil
}
