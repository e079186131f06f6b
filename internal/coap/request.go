package coap

import (
	"context"
	"fmt"
	"net/netip"
)

// Method is the method of a request, as its code in the packet.
type Method uint8

// The methods that there are (RFC 7252 section 12.1.1).
const (
	GET    Method = 1
	POST   Method = 2
	PUT    Method = 3
	DELETE Method = 4
)

// Code is the code of an answer, class and detail as in the packet.
type Code uint8

// The codes that devices know (spec/services.md §15), and two of the standard for
// what those leave open.
const (
	Content           Code = 2<<5 | 5
	BadRequest        Code = 4 << 5
	Unauthorized      Code = 4<<5 | 1
	BadOption         Code = 4<<5 | 2
	Forbidden         Code = 4<<5 | 3
	NotFound          Code = 4<<5 | 4
	MethodNotAllowed  Code = 4<<5 | 5
	NotAcceptable     Code = 4<<5 | 6
	TooLarge          Code = 4<<5 | 13
	UnsupportedFormat Code = 4<<5 | 15
	ServerError       Code = 5 << 5
	Unavailable       Code = 5<<5 | 3
)

// String writes a code as the standard does: 2.05.
func (c Code) String() string { return fmt.Sprintf("%d.%02d", c>>5, c&31) }

// The content formats that matter here; None is no such option.
const (
	None        = -1
	Text        = 0
	OctetStream = 42
	JSON        = 50
	CBOR        = 60
)

// Request is one request. Its slices belong to the handler.
type Request struct {
	Remote netip.AddrPort
	// Secure tells that it came over DTLS; Identity is what the client has proven to
	// be with a pre-shared key there, "" if it has shown none.
	Secure   bool
	Identity string

	Method      Method
	Confirmable bool
	Path        string   // "/" and the Uri-Path options with slashes between
	Query       []string // Uri-Query options
	Format      int      // Content-Format
	Accept      int
	Token       string // option 2088
	Seq         []byte // option 2089, nil if there is none
	Payload     []byte
}

// Response is the answer to one request.
type Response struct {
	Code      Code
	Format    int // of Payload
	Payload   []byte
	MessageID string // option 2090, "" for none
	// Known tells that the client has shown who it is. Its answer is remembered for
	// when the request comes again.
	Known bool
}

// Handler answers requests.
type Handler interface {
	// ServeCoAP is called from many goroutines and may block.
	ServeCoAP(ctx context.Context, r *Request) Response
	// PSK returns the key of a client that names itself with identity in a DTLS
	// handshake. It may block.
	PSK(identity string) ([]byte, error)
	// PSKEnded tells how a handshake ended that PSK was asked in.
	PSKEnded(identity, remote string, err error)
}
