package transport

// Kind says how a connection carries MQTT.
type Kind uint8

// The four ways to carry MQTT.
const (
	TCP             Kind = iota // MQTT on the bare stream
	TLS                         // MQTT in TLS
	WebSocket                   // MQTT in WebSocket binary frames
	SecureWebSocket             // MQTT in WebSocket binary frames in TLS
	kinds                       // how many there are
)

// String returns "tcp", "tls", "ws" or "wss".
func (k Kind) String() string {
	switch k {
	case TCP:
		return "tcp"
	case TLS:
		return "tls"
	case WebSocket:
		return "ws"
	case SecureWebSocket:
		return "wss"
	}
	return "unknown"
}

// Secure reports whether the connection is encrypted.
func (k Kind) Secure() bool { return k == TLS || k == SecureWebSocket }
