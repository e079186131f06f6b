package alink

import "log/slog"

// Triple is a device's identity and the secret that proves it (spec/connect.md §1). Printing or logging
// one never shows the secret.
type Triple struct {
	ProductKey   string
	DeviceName   string
	DeviceSecret string
}

// String returns "DeviceName&ProductKey", the form devices log in with.
func (t Triple) String() string { return t.Username() }

// GoString keeps the secret out of %#v.
func (t Triple) GoString() string {
	return `alink.Triple{ProductKey:"` + t.ProductKey + `", DeviceName:"` + t.DeviceName + `", DeviceSecret:"[hidden]"}`
}

// LogValue keeps the secret out of structured logs.
func (t Triple) LogValue() slog.Value {
	return slog.GroupValue(slog.String("productKey", t.ProductKey), slog.String("deviceName", t.DeviceName))
}

// Username returns the MQTT user name, "DeviceName&ProductKey".
func (t Triple) Username() string { return t.DeviceName + "&" + t.ProductKey }

// ValidProductKey tells whether s can be a ProductKey: 1 to 20 letters and digits. The cloud's own have 11,
// its documentation uses "pk".
func ValidProductKey(s string) bool {
	if s == "" || len(s) > 20 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !alphanumeric(s[i]) {
			return false
		}
	}
	return true
}

// ValidDeviceName tells whether s can be a DeviceName: 4 to 32 letters, digits and - _ @ . :
func ValidDeviceName(s string) bool {
	if len(s) < 4 || len(s) > 32 {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case alphanumeric(c), c == '-', c == '_', c == '@', c == '.', c == ':':
		default:
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
