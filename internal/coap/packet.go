package coap

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/udp/coder"
)

// The options of the protocol of devices (spec/services.md §15).
const (
	optionToken     = 2088
	optionSeq       = 2089
	optionMessageID = 2090
)

const (
	// maxPacket is the largest packet that is read, in bytes: a message of 1 KB,
	// encrypted, with its options, and room to see that one is larger.
	maxPacket = 2048
	// maxOptions is how many options a packet may have.
	maxOptions = 64
)

// packet is one message as it came.
type packet struct {
	kind    message.Type
	code    uint8
	id      uint16
	token   []byte
	options message.Options
	payload []byte
}

var errNoCoAP = errors.New("not a CoAP packet")

// parse reads a packet; it refers to b. An error other than errNoCoAP is one of a
// packet whose kind and id are known.
func (p *packet) parse(b []byte) error {
	if len(b) < 4 || b[0]>>6 != 1 {
		return errNoCoAP
	}
	p.kind, p.code, p.id = message.Type(b[0]>>4&3), b[1], binary.BigEndian.Uint16(b[2:])
	m := message.Message{Options: make(message.Options, 0, maxOptions)}
	n, err := coder.DefaultCoder.Decode(b, &m)
	switch {
	case err != nil:
		return err
	case n != len(b):
		return errors.New("bytes are left over")
	case p.code == 0 && len(b) > 4:
		return errors.New("an empty message has more than a header") // RFC 7252 section 4.1
	}
	p.token, p.options, p.payload = m.Token, m.Options, m.Payload
	return nil
}

// request reads what a packet asks for. The Code is that of the refusal if it cannot
// be understood, 0 otherwise.
func (p *packet) request(r *Request) Code {
	r.Method, r.Confirmable, r.Format, r.Accept, r.Payload = Method(p.code), p.kind == message.Confirmable, None, None, p.payload
	var path strings.Builder
	seen := 0
	for _, o := range p.options {
		switch o.ID {
		case message.URIPath:
			path.WriteByte('/')
			path.Write(o.Value)
		case message.URIQuery:
			r.Query = append(r.Query, string(o.Value))
		case message.ContentFormat, message.Accept:
			v, n, err := message.DecodeUint32(o.Value)
			if err != nil || n != len(o.Value) {
				return BadRequest
			}
			if o.ID == message.Accept {
				r.Accept = int(v)
			} else {
				r.Format = int(v)
			}
		case message.URIHost, message.URIPort:
		case optionToken:
			if seen |= 1; r.Token != "" || len(o.Value) > 256 {
				return BadOption
			}
			r.Token = string(o.Value)
		case optionSeq:
			if r.Seq != nil {
				return BadOption
			}
			r.Seq = append([]byte{}, o.Value...)
		default:
			if o.ID&1 != 0 { // critical: it may not be left unread (section 5.4.1)
				return BadOption
			}
		}
	}
	r.Path = path.String()
	return 0
}

// answer appends the packet that answers p. id is that of an answer to a packet that
// is not acknowledged.
func (p *packet) answer(dst []byte, a Response, id uint16) []byte {
	m := message.Message{Type: message.Acknowledgement, MessageID: int32(p.id), Code: codes.Code(a.Code), Token: p.token, Payload: a.Payload}
	if p.kind != message.Confirmable {
		m.Type, m.MessageID = message.NonConfirmable, int32(id)
	}
	if len(a.Payload) > 0 && a.Format != None {
		v := make([]byte, 4)
		n, _ := message.EncodeUint32(v, uint32(a.Format))
		m.Options = append(m.Options, message.Option{ID: message.ContentFormat, Value: v[:n]})
	}
	if a.MessageID != "" {
		m.Options = append(m.Options, message.Option{ID: optionMessageID, Value: []byte(a.MessageID)})
	}
	size, err := coder.DefaultCoder.Size(m)
	if err != nil {
		return dst
	}
	at := len(dst)
	dst = append(dst, make([]byte, size)...)
	if _, err := coder.DefaultCoder.Encode(m, dst[at:]); err != nil {
		return dst[:at]
	}
	return dst
}

// reset is the packet that says that p was not understood (section 4.2).
func (p *packet) reset() []byte {
	return binary.BigEndian.AppendUint16([]byte{1<<6 | byte(message.Reset)<<4, 0}, p.id)
}
