package transport

import "time"

// Limits bound what connections can cost before their login. What is zero gets the
// default that the field of the same name in Options has.
type Limits struct {
	MaxConnections int
	MaxOpening     int
	OpeningTimeout time.Duration
	OpeningBytes   int
}

// SetLimits changes the limits for connections that come from now on. Any
// goroutine.
func (s *Server) SetLimits(limits Limits) {
	o := Options{
		MaxConnections: limits.MaxConnections, MaxOpening: limits.MaxOpening,
		OpeningTimeout: limits.OpeningTimeout, OpeningBytes: limits.OpeningBytes,
	}
	o.setDefaults()
	s.limits.Store(o.limits())
}

func (o *Options) limits() *Limits {
	return &Limits{o.MaxConnections, o.MaxOpening, o.OpeningTimeout, o.OpeningBytes}
}
