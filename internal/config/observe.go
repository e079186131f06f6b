package config

import "time"

// Observe configures what the server tells about itself.
type Observe struct {
	// MetricsTokenFile is a file that holds a token with which /metrics may be read
	// and nothing else. Only its owner may read it; without one, the admin token is
	// the only key to /metrics.
	MetricsTokenFile string `toml:"metrics_token_file" env:"METRICS_TOKEN_FILE"`
	// SysInterval is how often the topics below $SYS are published while somebody
	// has subscribed to them; 0 is never.
	SysInterval Duration `toml:"sys_interval" env:"SYS_INTERVAL"`
	// TraceBytes is the most that the records of devices' messages take on disk; 0
	// keeps none.
	TraceBytes int64 `toml:"trace_bytes" env:"TRACE_BYTES"`
	// TraceDeviceBytes is the most of them that one device has.
	TraceDeviceBytes int64 `toml:"trace_device_bytes" env:"TRACE_DEVICE_BYTES"`
}

func (o *Observe) validate(check func(ok bool, key, want string)) {
	check(o.SysInterval == 0 || time.Duration(o.SysInterval) >= 100*time.Millisecond, "observe.sys_interval", "must be 0 or at least 100ms")
	check(o.TraceBytes == 0 || o.TraceBytes >= 64<<10 && o.TraceBytes <= 1<<40, "observe.trace_bytes", "must be 0, or 65536 to 1099511627776")
	check(o.TraceDeviceBytes >= 2<<10 && o.TraceDeviceBytes <= 16<<20, "observe.trace_device_bytes", "must be 2048 to 16777216")
}
