// Package mqtt is the wire of MQTT 3.1, 3.1.1 and 5.0: every control packet,
// decoded in place from bytes and appended to bytes.
package mqtt
