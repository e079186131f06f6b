package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// frames is the state of WebSocket framing on one connection (RFC 6455). MQTT
// packets may be split and joined over frames in any way [MQTT-6.0.0-2], so
// messages are not assembled: the payload of binary frames is a stream.
type frames struct {
	left       uint64 // payload bytes of the current frame still to come
	mask       [4]byte
	position   uint8 // where in the mask the next payload byte is
	op         uint8 // of the current frame
	have       uint8 // bytes in head
	head       [frameHeader + 4]byte
	fragmented bool   // a message is open: the next data frame continues it
	control    []byte // payload of the current control frame
	pending    []byte // control frames to send
	closeCode  uint16 // status to answer, 0 if there was no reason to close yet
}

const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10

	frameFinal  = 0x80
	frameMasked = 0x80

	frameHeader = 10 // longest header of a frame that we send

	// frameMost is the longest frame payload: the largest MQTT packet.
	frameMost = 268_435_455 + 5

	// pongsMost is what may wait of answers to pings; the rest is dropped, as
	// RFC 6455 section 5.5.3 allows.
	pongsMost = 4 << 10
)

// Close status codes (RFC 6455 section 7.4.1).
const (
	closeNormal      = 1000
	closeGoingAway   = 1001
	closeProtocol    = 1002
	closeUnsupported = 1003
	closeInvalid     = 1007
	closePolicy      = 1008
	closeTooBig      = 1009
	closeInternal    = 1011
)

// frameError is a violation, with the status to close with.
type frameError struct {
	code   uint16
	reason string
}

func (e *frameError) Error() string { return "WebSocket: " + e.reason }

// Unwrap makes it a *ProtocolError for errors.As.
func (e *frameError) Unwrap() error { return &ProtocolError{Reason: e.Error()} }

// deframe takes frames from buf[start:end] and delivers their payload, as one
// piece however many frames there are: payload is moved down over the headers.
func (l *Loop) deframe(c *Conn, buf []byte, start, end int) {
	f := c.layer.ws
	var err error
	to := start // payload gathered so far ends here
	for at := start; at < end && err == nil; {
		if f.left == 0 {
			var complete bool
			at, complete, err = f.header(buf, at, end)
			if !complete || err != nil {
				continue
			}
		}
		n := int(min(f.left, uint64(end-at)))
		if f.op < opClose {
			f.unmask(buf[to:], buf[at:at+n])
			to += n
		} else {
			f.control = append(f.control, buf[at:at+n]...)
			payload := f.control[len(f.control)-n:]
			f.unmask(payload, payload)
		}
		at += n
		f.left -= uint64(n)
		if f.left == 0 && f.op >= opClose {
			err = f.controlled(c)
		}
	}
	l.deliver(c, buf, start, to)
	if err != nil && c.flags&flagEnding == 0 {
		l.broke(c, err)
	}
}

// broke ends a connection with a broken or a close frame.
func (l *Loop) broke(c *Conn, err error) {
	if err == io.EOF {
		c.Close(io.EOF)
		return
	}
	if c.flags&flagEstablished == 0 {
		l.server.refused(l, c, RefusedProtocol, err)
	}
	c.Close(err)
}

// header takes as much of a frame header as there is and returns where it ends.
func (f *frames) header(buf []byte, at, end int) (next int, complete bool, err error) {
	for {
		need := 2
		if f.have >= 2 {
			need = 6
			switch f.head[1] & 0x7f {
			case 126:
				need = 8
			case 127:
				need = 14
			}
		}
		n := copy(f.head[f.have:need], buf[at:end])
		at += n
		f.have += uint8(n)
		if int(f.have) < need {
			return at, false, nil
		}
		if need == 2 {
			if err := f.checkHead(); err != nil {
				return at, false, err
			}
			continue
		}
		f.have = 0
		return at, true, f.begin(need)
	}
}

// checkHead checks the first two bytes.
func (f *frames) checkHead() error {
	b0, b1 := f.head[0], f.head[1]
	op, final := b0&0x0f, b0&frameFinal != 0
	switch {
	case b0&0x70 != 0:
		return &frameError{closeProtocol, fmt.Sprintf("reserved bits are set in a frame that begins with %02x %02x; no extension was negotiated", b0, b1)}
	case b1&frameMasked == 0:
		return &frameError{closeProtocol, "a frame of the client is not masked"}
	case op == opText:
		return &frameError{closeUnsupported, "a text frame; MQTT packets go into binary frames [MQTT-6.0.0-1]"}
	case op == opContinuation && !f.fragmented:
		return &frameError{closeProtocol, "a continuation frame without a message to continue"}
	case op == opBinary && f.fragmented:
		return &frameError{closeProtocol, "a new message before the last fragment of the one before"}
	case op >= opClose && (!final || b1&0x7f > 125):
		return &frameError{closeProtocol, "a control frame that is fragmented or longer than 125 bytes"}
	case op > opBinary && op < opClose || op > opPong:
		return &frameError{closeProtocol, fmt.Sprintf("unknown frame type %d", op)}
	}
	return nil
}

// begin starts the frame whose header of need bytes is complete.
func (f *frames) begin(need int) error {
	f.op = f.head[0] & 0x0f
	switch need {
	case 8:
		f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 14:
		f.left = binary.BigEndian.Uint64(f.head[2:])
	default:
		f.left = uint64(f.head[1] & 0x7f)
	}
	copy(f.mask[:], f.head[need-4:])
	f.position = 0
	if f.op < opClose {
		f.fragmented = f.head[0]&frameFinal == 0
	}
	if f.left > frameMost {
		return &frameError{closeTooBig, fmt.Sprintf("a frame of %d bytes; the largest MQTT packet has %d", f.left, frameMost)}
	}
	return nil
}

// unmask copies src to dst, which may be the same bytes or lie before them.
func (f *frames) unmask(dst, src []byte) {
	var mask [8]byte
	for i := range mask {
		mask[i] = f.mask[(int(f.position)+i)&3]
	}
	word := binary.LittleEndian.Uint64(mask[:])
	n := len(src)
	dst = dst[:n]
	i := 0
	for ; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], binary.LittleEndian.Uint64(src[i:])^word)
	}
	for ; i < n; i++ {
		dst[i] = src[i] ^ mask[i&7]
	}
	f.position = uint8((int(f.position) + n) & 3)
}

// controlled acts on a complete control frame.
func (f *frames) controlled(c *Conn) error {
	payload := f.control
	f.control = f.control[:0]
	switch f.op {
	case opPing:
		if len(f.pending)+len(payload) < pongsMost {
			f.pending = append(f.pending, frameFinal|opPong, byte(len(payload)))
			f.pending = append(f.pending, payload...)
			c.touch()
		}
	case opClose:
		switch len(payload) {
		case 0:
			f.closeCode = closeNormal
		case 1:
			return &frameError{closeProtocol, "a close frame with one byte of payload"}
		default:
			code := binary.BigEndian.Uint16(payload)
			if !sendable(code) { // it would be answered with itself
				return &frameError{closeProtocol, fmt.Sprintf("a close frame with status %d, which may not be sent", code)}
			}
			if !utf8.Valid(payload[2:]) {
				return &frameError{closeInvalid, "a close frame whose reason is not UTF-8"}
			}
			f.closeCode = code
		}
		return io.EOF
	}
	return nil
}

// sendable reports whether a status may stand in a close frame: 1004 is not
// defined, 1005, 1006 and 1015 stand for frames that did not come, and what lies
// below 1000 or between those registered and 3000 nobody uses (RFC 6455 section
// 7.4, and the registry it opens).
func sendable(code uint16) bool {
	switch {
	case code < 1000, code >= 5000:
		return false
	case code < 3000:
		return code <= 1014 && code != 1004 && code != 1005 && code != 1006
	}
	return true
}

// appendFrames appends the pending control frames, and the payload as one
// binary frame.
func (f *frames) appendFrames(dst, payload []byte) []byte {
	if len(f.pending) > 0 {
		dst = append(dst, f.pending...)
		f.pending = nil
	}
	n := len(payload)
	switch {
	case n == 0:
		return dst
	case n < 126:
		dst = append(dst, frameFinal|opBinary, byte(n))
	case n < 1<<16:
		dst = append(dst, frameFinal|opBinary, 126, byte(n>>8), byte(n))
	default:
		dst = append(dst, frameFinal|opBinary, 127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	return append(dst, payload...)
}

// appendClose appends a close frame: the peer's own status in answer to its
// close, else what the cause suggests.
func (f *frames) appendClose(dst []byte, cause error) []byte {
	code := uint16(closeNormal)
	var broken *frameError
	var limit *LimitError
	var internal *PanicError
	switch {
	case f.closeCode != 0:
		code = f.closeCode
	case errors.As(cause, &broken):
		code = broken.code
	case errors.As(cause, &limit):
		code = closeTooBig
	case errors.As(cause, &internal):
		code = closeInternal
	case errors.Is(cause, ErrServerClosed):
		code = closeGoingAway
	case errors.Is(cause, ErrIdle):
		code = closePolicy
	}
	return append(dst, frameFinal|opClose, 2, byte(code>>8), byte(code))
}
