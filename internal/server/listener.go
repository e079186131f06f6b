package server

import (
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/transport"
)

var listenerKinds = map[string][]transport.Kind{
	"auto": nil, "tcp": {transport.TCP}, "tls": {transport.TLS}, "ws": {transport.WebSocket}, "wss": {transport.SecureWebSocket},
}

// listeners are those of the configuration.
func listeners(cfg *config.Config) ([]transport.Listener, error) {
	var out []transport.Listener
	for _, text := range cfg.Listen {
		l, err := config.ParseListener(text)
		if err != nil {
			return nil, err
		}
		out = append(out, transport.Listener{
			Network: l.Network, Address: l.Address, Mode: l.Mode,
			Kinds: listenerKinds[l.Kind], Proxies: l.Proxies, Proxied: l.Proxied,
		})
	}
	return out, nil
}
