package house

import (
	"bufio"
	"fmt"
	"net"
	"time"

	"github.com/linkstead/linkstead/mqtt"
)

// Client is one MQTT 3.1.1 connection.
type Client struct {
	Conn    net.Conn
	In      *bufio.Reader
	Present bool          // the server knew the session
	Login   time.Duration // from CONNECT to CONNACK
}

// RefusedError is a login that the server answered with a refusal.
type RefusedError struct{ Code byte }

// Error names the return code.
func (e *RefusedError) Error() string { return fmt.Sprintf("refused with return code %d", e.Code) }

// Dial logs in and awaits the CONNACK. local is the source address, "" for any;
// buffer the size of the reader's buffer in bytes.
func Dial(address, local, id, user, password string, clean bool, buffer int) (*Client, error) {
	d := net.Dialer{Timeout: 30 * time.Second, KeepAlive: -1}
	if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	conn, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &Client{Conn: conn, In: bufio.NewReaderSize(conn, buffer)}
	p := mqtt.Connect{
		Version: mqtt.V311, CleanStart: clean, KeepAlive: 600, ClientID: []byte(id),
		HasUsername: true, Username: []byte(user), HasPassword: true, Password: []byte(password),
	}
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	begun := time.Now()
	f, err := c.ask(p.Append(nil))
	switch {
	case err != nil:
		err = fmt.Errorf("login of %s: %w", id, err)
	case f.Type != mqtt.CONNACK || len(f.Body) < 2:
		err = fmt.Errorf("login of %s: unexpected answer % X", id, f.Raw)
	case f.Body[1] != 0:
		err = fmt.Errorf("login of %s: %w", id, &RefusedError{f.Body[1]})
	default:
		c.Login, c.Present = time.Since(begun), f.Body[0] == 1
	}
	_ = conn.SetDeadline(time.Time{})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// Subscribe subscribes to a filter and awaits the SUBACK.
func (c *Client) Subscribe(filter string, qos byte) error {
	p := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: []byte(filter), QoS: qos}}}
	f, err := c.ask(p.Append(nil, mqtt.V311))
	if err != nil || f.Type != mqtt.SUBACK || f.Raw[len(f.Raw)-1] > 2 {
		return fmt.Errorf("subscription to %s: %w, % X", filter, err, f.Raw)
	}
	return nil
}

func (c *Client) ask(packet []byte) (mqtt.Frame, error) {
	if _, err := c.Conn.Write(packet); err != nil {
		return mqtt.Frame{}, err
	}
	return c.Next()
}

// Next returns the next packet, valid until the one after it. It must fit into
// the buffer.
func (c *Client) Next() (mqtt.Frame, error) {
	for want := 2; ; {
		if _, err := c.In.Peek(want); err != nil {
			return mqtt.Frame{}, err
		}
		b, err := c.In.Peek(c.In.Buffered())
		if err != nil {
			return mqtt.Frame{}, err
		}
		f, n, err := mqtt.Split(b, 0)
		if err != nil {
			return f, err
		}
		if n > 0 {
			_, err = c.In.Discard(n)
			return f, err
		}
		want = len(b) + 1
	}
}
