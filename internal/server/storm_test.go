package server_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/mqtt"
)

// TestLoginStorm: after a start all clients of a user come at once with a password
// that was not checked yet. It is checked once and all are let in; a wrong one is
// checked once and all are refused.
func TestLoginStorm(t *testing.T) {
	const clients = 1500 // more than wait for different passwords
	s := start(t, func(c *config.Config) { c.Limits.OpeningTimeout = config.Duration(10 * time.Minute) })
	for _, tt := range []struct {
		password string
		want     byte
	}{{"ann's password", 0}, {"somebody's password", 4}} {
		var wg sync.WaitGroup
		var other atomic.Int64
		begun := time.Now()
		for range clients {
			wg.Go(func() {
				conn, err := net.Dial("tcp", s.Addresses()[0])
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				p := mqtt.Connect{Version: mqtt.V311, CleanStart: true, KeepAlive: 60,
					HasUsername: true, Username: []byte("ann"), HasPassword: true, Password: []byte(tt.password)}
				_ = conn.SetDeadline(time.Now().Add(3 * time.Minute))
				_, _ = conn.Write(p.Append(nil))
				b := make([]byte, 4)
				n, _ := conn.Read(b)
				switch {
				case n != 4:
					t.Error("no CONNACK")
				case b[3] == tt.want:
				case tt.want == 4 && b[3] == 3: // held off meanwhile
				default:
					other.Add(1)
				}
			})
		}
		wg.Wait()
		t.Logf("%d logins with %q: %v", clients, tt.password, time.Since(begun))
		if n := other.Load(); n > 0 {
			t.Errorf("%d of %d logins have another code than %d", n, clients, tt.want)
		}
	}
}
