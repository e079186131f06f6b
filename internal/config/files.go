package config

import (
	"fmt"
	"net"
	"net/url"
)

// Files configures where devices fetch firmware and configuration files.
type Files struct {
	// Listen is the address for downloads, HTTPS and HTTP told apart by the first
	// byte. Empty: files are fetched over MQTT only.
	Listen string `toml:"listen" env:"LISTEN"`
	// URL is what the addresses of files begin with, such as
	// https://home.example:8443. Empty: the server's address as each device reaches
	// it, with https for devices that are connected with TLS and http for others.
	URL string `toml:"url" env:"URL"`
	// UploadBytes is how many bytes the files that devices send may have together, 0
	// takes none; UploadDeviceBytes is how many those of one device may have.
	UploadBytes       int `toml:"upload_bytes" env:"UPLOAD_BYTES"`
	UploadDeviceBytes int `toml:"upload_device_bytes" env:"UPLOAD_DEVICE_BYTES"`
}

func (f *Files) validate(check func(ok bool, key, want string)) {
	check(f.UploadBytes >= 0, "files.upload_bytes", "must not be negative")
	check(f.UploadDeviceBytes >= 0, "files.upload_device_bytes", "must not be negative")
	if f.Listen != "" {
		_, _, err := net.SplitHostPort(f.Listen)
		check(err == nil, "files.listen", fmt.Sprintf("%q is not host:port", f.Listen))
	}
	if f.URL != "" {
		u, err := url.Parse(f.URL)
		check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && (u.Path == "" || u.Path == "/") && u.RawQuery == "" && len(f.URL) <= 100,
			"files.url", fmt.Sprintf("%q is not http://host:port or https://host:port of at most 100 bytes", f.URL))
		check(f.Listen != "", "files.url", "needs files.listen")
	}
}
