package simulate

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/mqtt"
)

// link is the connection of one device. It belongs to one goroutine.
type link struct {
	conn net.Conn
	in   *bufio.Reader
	max  int
	skip int // bytes of the packet handed out last
}

// maxPacket is the largest packet a simulated device takes: the cloud's largest
// payload and its head.
const maxPacket = 257 << 10

// refusedError is a login that the server has refused.
type refusedError struct{ code mqtt.ReasonCode }

// Error names the CONNACK return code.
func (e *refusedError) Error() string {
	return fmt.Sprintf("the server refused the login: CONNACK return code %d; \"linkstead refusals\" tells why", e.code)
}

// dial connects a device and logs it in.
func dial(ctx context.Context, o *Options, t alink.Triple) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", o.Address)
	if err != nil {
		return nil, err
	}
	if o.TLS != nil {
		secure := tls.Client(conn, o.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secure
	}
	l := &link{conn: conn, in: bufio.NewReaderSize(conn, 1024), max: maxPacket}
	if err := l.login(o, t); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return l, nil
}

func (l *link) login(o *Options, t alink.Triple) error {
	in := t.Login(alink.LoginOptions{Method: alink.HMACSHA256})
	c := mqtt.Connect{
		Version: mqtt.V311, CleanStart: !o.Persistent, KeepAlive: uint16(o.KeepAlive / time.Second), ClientID: []byte(in.ClientID),
		HasUsername: true, Username: []byte(in.Username), HasPassword: true, Password: []byte(in.Password),
	}
	deadline := time.Now().Add(o.Timeout)
	if err := l.conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	if _, err := l.conn.Write(c.Append(nil)); err != nil {
		return err
	}
	f, err := l.next(deadline)
	if err != nil {
		return fmt.Errorf("no CONNACK came: %w", err)
	}
	var ack mqtt.Connack
	if err := ack.Decode(f, mqtt.V311); err != nil {
		return err
	}
	if ack.Code != mqtt.Success {
		return &refusedError{ack.Code}
	}
	return nil
}

// errDue is the end of a wait for a packet.
var errDue = errors.New("no packet until then")

// next returns the next packet, valid until the one after it, or errDue if none
// is complete at the deadline.
func (l *link) next(deadline time.Time) (mqtt.Frame, error) {
	if _, err := l.in.Discard(l.skip); err != nil {
		return mqtt.Frame{}, err
	}
	l.skip = 0
	if err := l.conn.SetReadDeadline(deadline); err != nil {
		return mqtt.Frame{}, err
	}
	for want := 2; ; {
		if want > l.in.Size() { // the packet is larger than the room for it: a rare one
			l.in = bufio.NewReaderSize(l.in, max(want, 2*l.in.Size()))
		}
		if _, err := l.in.Peek(want); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return mqtt.Frame{}, errDue
			}
			return mqtt.Frame{}, err
		}
		b, _ := l.in.Peek(l.in.Buffered())
		f, n, err := mqtt.Split(b, l.max)
		if err != nil {
			return f, err
		}
		if n > 0 {
			l.skip = n
			return f, nil
		}
		want = len(b) + 1
	}
}

// send writes packets.
func (l *link) send(b []byte, within time.Duration) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	_, err := l.conn.Write(b)
	return err
}

func (l *link) close() { _ = l.conn.Close() }
