package e2e

import (
	"net"
	"net/url"
	"sync"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// breakable opens a client library's TCP connection and can cut it, as if the power of the client failed.
type breakable struct {
	mu   sync.Mutex
	conn *net.TCPConn
}

func (b *breakable) open(uri *url.URL, o paho.ClientOptions) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", uri.Host, o.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conn = c.(*net.TCPConn)
	return c, nil
}

// cut resets the connection. It reports false if there is none.
func (b *breakable) cut() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil {
		return false
	}
	_ = b.conn.SetLinger(0)
	_ = b.conn.Close()
	return true
}
