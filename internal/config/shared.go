package config

import (
	"fmt"
	"strings"
)

// Shared configures how messages of shared subscriptions are spread over their
// members.
type Shared struct {
	// Strategy is "round_robin": one member after the other; "least_in_flight": the
	// one with the fewest messages it has not acknowledged; "sticky": the same for
	// the same key, as long as it is connected.
	Strategy string `toml:"strategy" env:"STRATEGY"`
	// Key is what sticky goes by: "topic", "client" (the publisher's client
	// identifier) or "property:NAME" (a user property of MQTT 5.0, the topic if a
	// message has none of that name).
	Key string `toml:"key" env:"KEY"`
}

func (s *Shared) validate(check func(ok bool, key, want string)) {
	switch s.Strategy {
	case "round_robin", "least_in_flight", "sticky":
	default:
		check(false, "shared.strategy", fmt.Sprintf("%q is not round_robin, least_in_flight or sticky", s.Strategy))
	}
	name, property := strings.CutPrefix(s.Key, "property:")
	check(s.Key == "topic" || s.Key == "client" || property && name != "", "shared.key",
		fmt.Sprintf("%q is not topic, client or property:NAME", s.Key))
}
