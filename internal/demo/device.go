package demo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Observer sees every frame of the device, in order.
type Observer func(fromServer bool, frame []byte)

// Device is the simulated STC15: one TCP connection, packets built by hand,
// answers compared byte by byte.
type Device struct {
	conn    net.Conn
	in      *bufio.Reader
	observe Observer
	mu      sync.Mutex // one writer at a time
}

// answerWithin is how long the device waits for what has to come.
const answerWithin = 10 * time.Second

// Dial opens the device's connection.
func Dial(address string, observe Observer) (*Device, error) {
	conn, err := net.DialTimeout("tcp", address, answerWithin)
	if err != nil {
		return nil, err
	}
	return New(conn, observe), nil
}

// New makes a device of a connection that is open already, such as one with TLS.
// It closes the connection with Close.
func New(conn net.Conn, observe Observer) *Device {
	if observe == nil {
		observe = func(bool, []byte) {}
	}
	return &Device{conn: conn, in: bufio.NewReader(conn), observe: observe}
}

// Close closes the connection without a DISCONNECT.
func (d *Device) Close() error { return d.conn.Close() }

// Send sends one frame.
func (d *Device) Send(frame []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.observe(false, frame)
	_, err := d.conn.Write(frame)
	return err
}

// Receive returns the next frame, waiting at most wait (for ever if 0).
func (d *Device) Receive(wait time.Duration) ([]byte, error) {
	deadline := time.Time{}
	if wait > 0 {
		deadline = time.Now().Add(wait)
	}
	if err := d.conn.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	first, err := d.in.ReadByte()
	if err != nil {
		return nil, err
	}
	frame := []byte{first}
	size := 0
	for shift := 0; ; shift += 7 {
		b, err := d.in.ReadByte()
		if err != nil {
			return nil, err
		}
		frame = append(frame, b)
		size |= int(b&0x7F) << shift
		if b&0x80 == 0 {
			break
		}
		if shift > 14 {
			return nil, errors.New("the server sent a remaining length of more than three bytes, which the device cannot take")
		}
	}
	head := len(frame)
	frame = append(frame, make([]byte, size)...)
	if _, err := io.ReadFull(d.in, frame[head:]); err != nil {
		return nil, err
	}
	d.observe(true, frame)
	return frame, nil
}

// Expect receives one frame and compares it with what the device needs.
func (d *Device) Expect(what string, want []byte) error {
	got, err := d.Receive(answerWithin)
	if err != nil {
		return fmt.Errorf("%s did not come: %w", what, err)
	}
	return compare(what, got, want)
}

// compare names the first byte that differs.
func compare(what string, got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	n := min(len(got), len(want))
	for i := range n {
		if got[i] != want[i] {
			return fmt.Errorf("%s differs at byte %d: got %02X, want %02X\n  got  % X\n  want % X", what, i, got[i], want[i], got, want)
		}
	}
	return fmt.Errorf("%s has %d bytes, want %d\n  got  % X\n  want % X", what, len(got), len(want), got, want)
}
