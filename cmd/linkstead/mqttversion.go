package main

import "github.com/linkstead/linkstead/mqtt"

// parseVersion reads the version of MQTT as people and libraries write it.
func parseVersion(s string) (mqtt.Version, error) {
	switch s {
	case "3.1.1", "311", "4":
		return mqtt.V311, nil
	case "5", "5.0":
		return mqtt.V5, nil
	case "3.1", "31", "3":
		return mqtt.V31, nil
	}
	return 0, usageError("--mqtt is 3.1, 3.1.1 or 5, not %q", s)
}
