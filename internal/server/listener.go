package server

import (
	"fmt"
	"os"
	"slices"

	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/transport"
)

var listenerKinds = map[string][]transport.Kind{
	"auto": nil, "tcp": {transport.TCP}, "tls": {transport.TLS}, "ws": {transport.WebSocket}, "wss": {transport.SecureWebSocket},
}

// listeners are those of the configuration. sockets, by name, were opened by the
// service manager; each has to be somebody's.
func listeners(cfg *config.Config, sockets map[string][]*os.File) ([]transport.Listener, error) {
	var out []transport.Listener
	var taken []string
	for _, text := range cfg.Listen {
		l, err := config.ParseListener(text)
		if err != nil {
			return nil, err
		}
		listener := transport.Listener{
			Network: l.Network, Address: l.Address, Mode: l.Mode,
			Kinds: listenerKinds[l.Kind], Proxies: l.Proxies, Proxied: l.Proxied,
		}
		if l.Network != "systemd" {
			out = append(out, listener)
			continue
		}
		if len(sockets[l.Address]) == 0 || slices.Contains(taken, l.Address) {
			return nil, fmt.Errorf("listen has %q, but systemd has handed over no such socket, or it is named twice; give one FileDescriptorName=%s in its unit and start the server with the service", text, l.Address)
		}
		taken = append(taken, l.Address)
		for _, socket := range sockets[l.Address] {
			listener.Socket = socket
			out = append(out, listener)
		}
	}
	for name := range sockets {
		if !slices.Contains(taken, name) {
			return nil, fmt.Errorf("systemd has handed over a socket %q that nothing listens on; set listen = [\"systemd:%s\"]", name, name)
		}
	}
	return out, nil
}
