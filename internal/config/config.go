// Package config is what linkstead can be told: one documented structure with
// defaults, filled from a TOML file, the environment and flags, in that order.
// An unknown key, an unreadable file or a value out of range stops the start
// with the place of the mistake (design: fail closed).
package config

import (
	"fmt"
	"net"
	"strings"
	"time"
	"unicode/utf8"
)

// Config is the configuration of a server. The toml name of a field is its key
// in the file; the environment variable is LINKSTEAD_ and the path of keys in
// upper case, joined by underscores.
type Config struct {
	// Data is the directory that holds everything the server stores. It is made
	// with mode 0700 if it is missing.
	Data string `toml:"data" env:"DATA"`
	// KeyFile holds the master key that device secrets are encrypted under; empty
	// means master.key in Data. Keep a copy of it apart from backups of Data.
	KeyFile string `toml:"key_file" env:"KEY_FILE"`
	// Listen are the addresses for devices and MQTT clients, see Listener. Each takes
	// plain MQTT, TLS and WebSocket, told apart by the first byte, unless it says what
	// it takes.
	Listen []string `toml:"listen" env:"LISTEN"`
	// Admin is the address of the admin API. Anything but a loopback address has
	// to be allowed with admin_remote.
	Admin string `toml:"admin" env:"ADMIN"`
	// AdminRemote allows Admin to be reached from other machines.
	AdminRemote bool `toml:"admin_remote" env:"ADMIN_REMOTE"`
	// Durability says what an acknowledgement means: "disk": it is fsynced and
	// survives a power cut; "os": it is handed to the operating system and
	// survives a killed process; "memory": it is accepted. Only "disk" is durable.
	Durability string `toml:"durability" env:"DURABILITY"`
	// OnDamage is what a start does when files of the message store are damaged:
	// "contain" sets the store aside and goes on with what can be read of it, "stop"
	// names the files and ends.
	OnDamage string `toml:"on_damage" env:"ON_DAMAGE"`
	// Loops is the number of event loops; 0 is one per core.
	Loops int `toml:"loops" env:"LOOPS"`
	// DrainTimeout is how long a server that is told to stop may take to finish
	// what clients have begun and to take leave of them.
	DrainTimeout Duration `toml:"drain_timeout" env:"DRAIN_TIMEOUT"`
	// DrainServer is the server that MQTT 5.0 clients are sent to when this one
	// stops (reason 0x9C); empty: none (0x8B).
	DrainServer string `toml:"drain_server" env:"DRAIN_SERVER"`
	// DrainMoved says that they are to stay there (0x9D).
	DrainMoved bool `toml:"drain_moved" env:"DRAIN_MOVED"`

	TLS     TLS     `toml:"tls" envPrefix:"TLS_"`
	Log     Log     `toml:"log" envPrefix:"LOG_"`
	Limits  Limits  `toml:"limits" envPrefix:"LIMITS_"`
	Device  Device  `toml:"device" envPrefix:"DEVICE_"`
	History History `toml:"history" envPrefix:"HISTORY_"`
	Observe Observe `toml:"observe" envPrefix:"OBSERVE_"`
	Auth    Auth    `toml:"auth" envPrefix:"AUTH_"`
	Shared  Shared  `toml:"shared" envPrefix:"SHARED_"`
	Files   Files   `toml:"files" envPrefix:"FILES_"`
	CoAP    CoAP    `toml:"coap" envPrefix:"COAP_"`
}

// TLS configures encrypted connections.
type TLS struct {
	// Cert and Key are PEM files of the server's own certificate. Without them a
	// certificate authority and a certificate are made in the data directory.
	Cert string `toml:"cert" env:"CERT"`
	Key  string `toml:"key" env:"KEY"`
	// Hosts are the names and addresses in the certificate that is made.
	Hosts []string `toml:"hosts" env:"HOSTS"`
	// MinVersion is the oldest version accepted: "1.0", "1.1", "1.2" or "1.3".
	MinVersion string `toml:"min_version" env:"MIN_VERSION"`
	// ClientCertificates asks TLS clients for a certificate, by which devices may log
	// in. A client without one is welcome all the same.
	ClientCertificates bool `toml:"client_certificates" env:"CLIENT_CERTIFICATES"`
}

// Log configures the log on standard error.
type Log struct {
	// Level is "debug", "info", "warn" or "error".
	Level string `toml:"level" env:"LEVEL"`
	// Format is "text" or "json".
	Format string `toml:"format" env:"FORMAT"`
}

// Limits bound what clients can cost.
type Limits struct {
	// Memory is the bound of the process's memory, in bytes. Above four fifths of it
	// what may be refused is refused. 0 is the environment's GOMEMLIMIT, or none.
	Memory int `toml:"memory" env:"MEMORY"`
	// Connections is the most open connections; 0 is what the system allows.
	Connections int `toml:"connections" env:"CONNECTIONS"`
	// Opening is the most connections that have not logged in; the oldest gives
	// way to a new one.
	Opening int `toml:"opening" env:"OPENING"`
	// OpeningTimeout is how long a connection may take to log in.
	OpeningTimeout Duration `toml:"opening_timeout" env:"OPENING_TIMEOUT"`
	// OpeningBytes is the largest CONNECT packet.
	OpeningBytes int `toml:"opening_bytes" env:"OPENING_BYTES"`
	// Accept is how many connections are accepted in a second, of all addresses
	// together; more wait. 0 is as many as can be dealt with.
	Accept int `toml:"accept" env:"ACCEPT"`
	// AcceptPerAddress is how many connections a second one address may open, and
	// twenty times as many at once; more are closed. 0 is any number.
	AcceptPerAddress int `toml:"accept_per_address" env:"ACCEPT_PER_ADDRESS"`
	// AcceptExempt are addresses or prefixes that AcceptPerAddress is not for.
	AcceptExempt []string `toml:"accept_exempt" env:"ACCEPT_EXEMPT"`
	// FailedLogins is how many logins of one name from one address may fail in a
	// minute; further ones are refused without a look. 0 is any number.
	FailedLogins int `toml:"failed_logins" env:"FAILED_LOGINS"`
	// Packet is the largest packet of an application, in bytes.
	Packet int `toml:"packet" env:"PACKET"`
	// Queued is the most messages that wait for one application.
	Queued int `toml:"queued" env:"QUEUED"`
	// QueuedBytes is the most bytes that wait for one application.
	QueuedBytes int `toml:"queued_bytes" env:"QUEUED_BYTES"`
	// Output is how many bytes an application may leave unread: beyond it QoS 0
	// messages for it are dropped, and QoS 1 and 2 wait in its queue.
	Output int `toml:"output" env:"OUTPUT"`
	// Subscriptions is the most filters of one application.
	Subscriptions int `toml:"subscriptions" env:"SUBSCRIPTIONS"`
	// Inflight is the most messages at QoS 1 and 2 that are sent to an application
	// and not acknowledged by it.
	Inflight int `toml:"inflight" env:"INFLIGHT"`
	// PublishRate and PublishBytes are how many messages and bytes an application may
	// publish in a second, on average; one that is faster is read from more slowly.
	// 0 is any number.
	PublishRate  int `toml:"publish_rate" env:"PUBLISH_RATE"`
	PublishBytes int `toml:"publish_bytes" env:"PUBLISH_BYTES"`
	// TopicBytes and TopicLevels are the longest and deepest topic and filter of an
	// application; 0 is what the standard and the server allow: 65535 and 128.
	TopicBytes  int `toml:"topic_bytes" env:"TOPIC_BYTES"`
	TopicLevels int `toml:"topic_levels" env:"TOPIC_LEVELS"`
	// SessionsPerUser is how many sessions the clients of one user may have together,
	// connected or not; 0 is any number.
	SessionsPerUser int `toml:"sessions_per_user" env:"SESSIONS_PER_USER"`
	// Retained is the most retained messages, of all topics.
	Retained int `toml:"retained" env:"RETAINED"`
	// MessageExpiry is how long a message waits for a client that is away.
	MessageExpiry Duration `toml:"message_expiry" env:"MESSAGE_EXPIRY"`
	// SessionExpiry is how long an application's session outlives its
	// connection.
	SessionExpiry Duration `toml:"session_expiry" env:"SESSION_EXPIRY"`
}

// Device configures how devices are treated.
type Device struct {
	// Strict reproduces the cloud's refusals, so that firmware can be tested against
	// them: keep-alive outside 30 to 1200 seconds, and its limits of logins, rates,
	// topics and sizes. Settings that are narrower still hold.
	Strict bool `toml:"strict" env:"STRICT"`
	// Packet is the largest packet of a device, in bytes.
	Packet int `toml:"packet" env:"PACKET"`
	// Subscriptions is the most filters of one device.
	Subscriptions int `toml:"subscriptions" env:"SUBSCRIPTIONS"`
	// Queued is the most messages that wait for one device.
	Queued int `toml:"queued" env:"QUEUED"`
	// QueuedBytes is the most bytes that wait for one device.
	QueuedBytes int `toml:"queued_bytes" env:"QUEUED_BYTES"`
	// Inflight, PublishRate, PublishBytes, TopicBytes and TopicLevels are those of
	// Limits, for a device.
	Inflight     int `toml:"inflight" env:"INFLIGHT"`
	PublishRate  int `toml:"publish_rate" env:"PUBLISH_RATE"`
	PublishBytes int `toml:"publish_bytes" env:"PUBLISH_BYTES"`
	TopicBytes   int `toml:"topic_bytes" env:"TOPIC_BYTES"`
	TopicLevels  int `toml:"topic_levels" env:"TOPIC_LEVELS"`
	// Output is Limits.Output for a device.
	Output int `toml:"output" env:"OUTPUT"`
	// CallTimeout is how long the reply to a property set or a service call is
	// awaited.
	CallTimeout Duration `toml:"call_timeout" env:"CALL_TIMEOUT"`
	// Pace is the gap between packets to a device in its first seconds, so that
	// hand-written clients see them one by one; 0 switches it off.
	Pace Duration `toml:"pace" env:"PACE"`
	// Settle is how long after login the first unasked message is sent.
	Settle Duration `toml:"settle" env:"SETTLE"`
	// SubDevices is the most sub-devices of one gateway.
	SubDevices int `toml:"sub_devices" env:"SUB_DEVICES"`
	// SubLogins is how often one sub-device may be logged in per minute.
	SubLogins int `toml:"sub_logins" env:"SUB_LOGINS"`
	// ShadowRate is how many requests to its shadow a device may send in a second, on
	// average; five seconds' worth may come at once. 0 is any number.
	ShadowRate int `toml:"shadow_rate" env:"SHADOW_RATE"`
	// BroadcastEvery is the least time between two broadcasts to all devices of a
	// product; 0 is none.
	BroadcastEvery Duration `toml:"broadcast_every" env:"BROADCAST_EVERY"`
}

// Auth configures how applications log in.
type Auth struct {
	// SCRAM offers 5.0 clients the extended authentication SCRAM-SHA-256. A verifier
	// for it is kept with each password that is set while it is on; a thief of the
	// database can try passwords on a verifier faster than on what is kept otherwise.
	SCRAM bool `toml:"scram" env:"SCRAM"`
}

// History configures what is kept of devices' data.
type History struct {
	// Retention is how long properties and events are kept.
	Retention Duration `toml:"retention" env:"RETENTION"`
	// Reserve is how many bytes of the data directory's disk history leaves free: with
	// less, points are refused until there is room. Messages and sessions go on until
	// 64 MiB are left. 0: none.
	Reserve int64 `toml:"reserve" env:"RESERVE"`
}

// Duration is a time.Duration written as "90s", "15m", "7d" or "36h30m".
type Duration time.Duration

// UnmarshalText reads a duration; "d" stands for 24 hours.
func (d *Duration) UnmarshalText(b []byte) error {
	s := string(b)
	var days time.Duration
	if head, rest, ok := strings.Cut(s, "d"); ok {
		var n int
		if _, err := fmt.Sscanf(head, "%d", &n); err != nil || fmt.Sprint(n) != head || n < 0 || n > 36500 {
			return fmt.Errorf("%q is not a duration; write for example 90s, 15m or 7d", s)
		}
		if days = time.Duration(n) * 24 * time.Hour; rest == "" {
			*d = Duration(days)
			return nil
		}
		s = rest
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a duration; write for example 90s, 15m or 7d", string(b))
	}
	*d = Duration(days + v)
	return nil
}

// MarshalText writes whole days as "7d" and everything else as Go does.
func (d Duration) MarshalText() ([]byte, error) {
	v := time.Duration(d)
	if v >= 24*time.Hour && v%(24*time.Hour) == 0 {
		return fmt.Appendf(nil, "%dd", v/(24*time.Hour)), nil
	}
	return []byte(v.String()), nil
}

// String is MarshalText as a string.
func (d Duration) String() string { b, _ := d.MarshalText(); return string(b) }

// Default is the configuration of a server that was told nothing.
func Default() Config {
	return Config{
		Data:         "linkstead-data",
		Listen:       []string{":1883"},
		Admin:        "127.0.0.1:8080",
		Durability:   "disk",
		OnDamage:     "contain",
		DrainTimeout: Duration(10 * time.Second),
		TLS:          TLS{MinVersion: "1.2"},
		Log:          Log{Level: "info", Format: "text"},
		Limits: Limits{
			Opening:          5000,
			OpeningTimeout:   Duration(10 * time.Second),
			OpeningBytes:     16 << 10,
			AcceptPerAddress: 1000,
			AcceptExempt:     []string{"127.0.0.0/8", "::1"},
			FailedLogins:     20,
			Packet:           1 << 20,
			Queued:           100_000,
			QueuedBytes:      64 << 20,
			Output:           4 << 20,
			Subscriptions:    100_000,
			Inflight:         1024,
			Retained:         1_000_000,
			MessageExpiry:    Duration(7 * 24 * time.Hour),
			SessionExpiry:    Duration(30 * 24 * time.Hour),
		},
		Device: Device{
			Packet:        256<<10 + 1024,
			Subscriptions: 100,
			Queued:        10_000,
			QueuedBytes:   16 << 20,
			Output:        1 << 20,
			Inflight:      32,
			CallTimeout:   Duration(8 * time.Second),
			Pace:          Duration(30 * time.Millisecond),
			Settle:        Duration(300 * time.Millisecond),
			SubDevices:    1500,
			SubLogins:     60,
			ShadowRate:    20,
		},
		History: History{Retention: Duration(30 * 24 * time.Hour), Reserve: 256 << 20},
		CoAP:    CoAP{Rate: 500, Sessions: 10_000},
		Files:   Files{UploadBytes: 1 << 30, UploadDeviceBytes: 256 << 20},
		Shared:  Shared{Strategy: "round_robin", Key: "topic"},
		Observe: Observe{SysInterval: Duration(10 * time.Second), TraceBytes: 64 << 20, TraceDeviceBytes: 16 << 10},
	}
}

// Validate reports everything that cannot work, by key, as an *InvalidError.
func (c *Config) Validate() error {
	var bad []Problem
	check := func(ok bool, key, want string) {
		if !ok {
			bad = append(bad, Problem{Key: key, Message: want})
		}
	}
	check(c.Data != "", "data", "must name a directory")
	check(len(c.Listen) > 0, "listen", "must name at least one address, such as \":1883\"")
	for _, a := range c.Listen {
		if _, err := ParseListener(a); err != nil {
			check(false, "listen", err.Error())
		}
	}
	check(len(c.Listen) <= 100, "listen", "has more than 100 entries")
	host, _, err := net.SplitHostPort(c.Admin)
	check(err == nil, "admin", fmt.Sprintf("%q is not host:port", c.Admin))
	if err == nil && !c.AdminRemote {
		ip := net.ParseIP(host)
		check(host == "localhost" || ip != nil && ip.IsLoopback(), "admin",
			fmt.Sprintf("%q can be reached from other machines; set admin_remote = true if that is meant", c.Admin))
	}
	switch c.Durability {
	case "disk", "os", "memory":
	default:
		check(false, "durability", fmt.Sprintf("%q is not disk, os or memory", c.Durability))
	}
	check(c.OnDamage == "contain" || c.OnDamage == "stop", "on_damage", fmt.Sprintf("%q is not contain or stop", c.OnDamage))
	switch c.TLS.MinVersion {
	case "1.0", "1.1", "1.2", "1.3":
	default:
		check(false, "tls.min_version", fmt.Sprintf("%q is not 1.0, 1.1, 1.2 or 1.3", c.TLS.MinVersion))
	}
	check((c.TLS.Cert == "") == (c.TLS.Key == ""), "tls", "cert and key go together")
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		check(false, "log.level", fmt.Sprintf("%q is not debug, info, warn or error", c.Log.Level))
	}
	check(c.Log.Format == "text" || c.Log.Format == "json", "log.format", fmt.Sprintf("%q is not text or json", c.Log.Format))
	check(c.Loops >= 0 && c.Loops <= 1024, "loops", "must be 0 to 1024")
	check(c.DrainTimeout > 0 && c.DrainTimeout <= Duration(time.Hour), "drain_timeout", "must be more than 0s, at most 1h")
	check(len(c.DrainServer) <= 1024 && utf8.ValidString(c.DrainServer), "drain_server", "must be UTF-8 text of at most 1024 bytes, such as host:port")
	check(!c.DrainMoved || c.DrainServer != "", "drain_moved", "needs a drain_server")
	check(c.Limits.Memory == 0 || c.Limits.Memory >= 64<<20, "limits.memory", "must be 0 or at least 67108864 (64 MiB)")
	check(c.Limits.Connections >= 0, "limits.connections", "must not be negative")
	check(c.Limits.Opening > 0, "limits.opening", "must be at least 1")
	check(c.Limits.OpeningTimeout > 0, "limits.opening_timeout", "must be more than 0")
	check(c.Limits.OpeningBytes >= 256 && c.Limits.OpeningBytes <= 1<<20, "limits.opening_bytes", "must be 256 to 1048576")
	check(c.Limits.Accept >= 0, "limits.accept", "must not be negative")
	check(c.Limits.AcceptPerAddress >= 0, "limits.accept_per_address", "must not be negative")
	check(c.Limits.FailedLogins >= 0, "limits.failed_logins", "must not be negative")
	_, err = c.Limits.Exempt()
	check(err == nil, "limits.accept_exempt", fmt.Sprint(err))
	check(c.Limits.Packet >= 128 && c.Limits.Packet <= 268_435_460, "limits.packet", "must be 128 to 268435460")
	check(c.Limits.Queued > 0 && c.Limits.QueuedBytes > 0, "limits.queued", "and limits.queued_bytes must be at least 1")
	check(c.Device.Packet >= 128 && c.Device.Packet <= 268_435_460, "device.packet", "must be 128 to 268435460")
	check(c.Device.Subscriptions > 0, "device.subscriptions", "must be at least 1")
	check(c.Device.Queued > 0, "device.queued", "must be at least 1")
	check(c.Device.QueuedBytes > 0, "device.queued_bytes", "must be at least 1")
	check(c.Limits.Retained > 0, "limits.retained", "must be at least 1")
	check(c.Limits.Subscriptions > 0, "limits.subscriptions", "must be at least 1")
	for _, n := range []struct {
		key    string
		value  int
		lo, hi int
	}{
		{"limits.inflight", c.Limits.Inflight, 1, 65535}, {"device.inflight", c.Device.Inflight, 1, 65535},
		{"limits.publish_rate", c.Limits.PublishRate, 0, 1 << 30}, {"device.publish_rate", c.Device.PublishRate, 0, 1 << 30},
		{"limits.publish_bytes", c.Limits.PublishBytes, 0, 1 << 40}, {"device.publish_bytes", c.Device.PublishBytes, 0, 1 << 40},
		{"limits.topic_bytes", c.Limits.TopicBytes, 0, 65535}, {"device.topic_bytes", c.Device.TopicBytes, 0, 65535},
		{"limits.topic_levels", c.Limits.TopicLevels, 0, 128}, {"device.topic_levels", c.Device.TopicLevels, 0, 128},
		{"device.shadow_rate", c.Device.ShadowRate, 0, 1 << 30},
		{"limits.sessions_per_user", c.Limits.SessionsPerUser, 0, 1 << 30},
	} {
		check(n.value >= n.lo && n.value <= n.hi, n.key, fmt.Sprintf("must be %d to %d", n.lo, n.hi))
	}
	const leastOutput = 1 << 10
	check(c.Limits.Output >= leastOutput && c.Limits.Output <= 1<<30, "limits.output", "must be 1024 to 1073741824")
	check(c.Device.Output >= leastOutput && c.Device.Output <= 1<<30, "device.output", "must be 1024 to 1073741824")
	check(c.Device.CallTimeout > 0, "device.call_timeout", "must be more than 0")
	check(c.Device.SubDevices > 0, "device.sub_devices", "must be at least 1")
	check(c.Device.SubLogins > 0, "device.sub_logins", "must be at least 1")
	check(c.History.Retention > 0, "history.retention", "must be more than 0")
	check(c.History.Reserve == 0 || c.History.Reserve >= 64<<20, "history.reserve", "must be 0 or at least 67108864: messages stop at 64 MiB")
	c.Observe.validate(check)
	c.Shared.validate(check)
	c.Files.validate(check)
	c.CoAP.validate(check)
	if len(bad) > 0 {
		return &InvalidError{bad}
	}
	return nil
}
