package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/mqtt"
)

// frameFlags are common to all packets frame builds.
type frameFlags struct {
	version string
	format  string
	explain bool
}

func newFrameCommand() *cobra.Command {
	var flags frameFlags
	cmd := parent(&cobra.Command{
		Use:   "frame",
		Short: "Build an MQTT packet byte by byte, for firmware and tests",
		Long: `Builds one MQTT packet and prints it as hex digits, as a C array or as the bytes
themselves. A device is named by its triple, and its login, topics and messages
follow from that. What would break a rule of MQTT is refused, with the rule.

No server is needed.`,
		Example: `  linkstead frame connect --triple stc15.json
  linkstead frame publish -k a1ji0qFv6Jf -d STC15 --property Temp=6 --property Hum=6
  linkstead frame subscribe --topic /a1ji0qFv6Jf/STC15/user/get --qos 1 --format c
  linkstead frame ping`,
		GroupID: groupOffline,
	})
	f := cmd.PersistentFlags()
	f.StringVar(&flags.version, "mqtt", "3.1.1", "version of MQTT: 3.1, 3.1.1 or 5")
	f.StringVar(&flags.format, "format", "hex", `hex ("10 70 00"), c (an array) or raw (the bytes)`)
	f.BoolVar(&flags.explain, "explain", false, "say below what every byte means, secrets masked")
	cmd.AddCommand(
		newFrameConnectCommand(&flags),
		newFramePublishCommand(&flags),
		newFrameSubscribeCommand(&flags),
		newFrameUnsubscribeCommand(&flags),
		newFrameBareCommand(&flags, "ping", "Build a PINGREQ, which keeps a connection alive",
			func(mqtt.Version) []byte { return mqtt.AppendPingreq(nil) }),
		newFrameBareCommand(&flags, "disconnect", "Build a DISCONNECT, which ends a session in order",
			func(v mqtt.Version) []byte { return new(mqtt.Disconnect).Append(nil, v) }),
	)
	return cmd
}

// newFrameBareCommand returns the command of a packet without arguments.
func newFrameBareCommand(flags *frameFlags, name, short string, build func(mqtt.Version) []byte) *cobra.Command {
	return &cobra.Command{
		Use:     name,
		Short:   short,
		Example: "  linkstead frame " + name + "\n  linkstead frame " + name + " --format c --explain",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := parseVersion(flags.version)
			if err != nil {
				return err
			}
			return flags.print(cmd, name, v, build(v))
		},
	}
}

// frameResult is what frame prints as JSON.
type frameResult struct {
	Packet  string          `json:"packet"`
	Version string          `json:"version"`
	Length  int             `json:"length"` // bytes
	Hex     string          `json:"hex"`
	Explain *explainedFrame `json:"explain,omitempty"` // with --explain
}

// print checks the packet b and prints it in the format asked for. name is that of the C array.
func (f *frameFlags) print(cmd *cobra.Command, name string, v mqtt.Version, b []byte) error {
	e := mqtt.Explain(b, mqtt.ExplainOptions{Version: v, Direction: mqtt.FromClient, Payload: explainPayload})
	if err := firstError(e); err != nil && !longClientID(v, b) {
		return err
	}
	if wantJSON(cmd) {
		r := frameResult{Packet: e.Name, Version: v.String(), Length: len(b), Hex: mqtt.FormatHex(b)}
		if f.explain {
			x := newExplainedFrame(e)
			r.Explain = &x
		}
		return printJSON(cmd.OutOrStdout(), r)
	}
	var text string
	switch f.format {
	case "hex":
		text = mqtt.FormatHex(b) + "\n"
	case "c":
		text = mqtt.FormatC("mqtt_"+name, b)
	case "raw":
		if f.explain {
			return usageError("--explain has no place among the bytes of --format raw")
		}
		text = string(b)
	default:
		return usageError("--format is hex, c or raw, not %q", f.format)
	}
	if f.explain {
		text += "\n" + strings.TrimRight(e.String(), "\n") + "\n"
	}
	_, err := io.WriteString(cmd.OutOrStdout(), text)
	return err
}

// longClientID reports whether b is a CONNECT of MQTT 3.1 in which nothing but the length of the client id is
// wrong. A device's login never fits its 23 characters, and servers for such devices take it.
func longClientID(v mqtt.Version, b []byte) bool {
	f, n, err := mqtt.Split(b, 0)
	if v != mqtt.V31 || n == 0 || err != nil || f.Type != mqtt.CONNECT {
		return false
	}
	var p mqtt.Connect
	return p.Decode(f, mqtt.TolerateLongClientID) == nil
}

// firstError refuses a packet that breaks a rule, which only the arguments can be the reason for.
func firstError(e mqtt.Explanation) error {
	for _, n := range e.Problems() {
		if n.Severity != mqtt.SeverityError {
			continue
		}
		msg := fmt.Sprintf("this would be no correct %s: %s: %s", e.Name, n.Field, n.Problem)
		if n.Clause != "" {
			msg += " [" + n.Clause + "]"
		}
		if n.Expected != "" {
			return withHint(usageError("%s", msg), "Should be: "+n.Expected)
		}
		return usageError("%s", msg)
	}
	return nil
}

// fitting returns s as bytes if it fits the length prefix of a string field.
func fitting(what, s string) ([]byte, error) {
	if len(s) > mqtt.MaxStringLength {
		return nil, usageError("the %s has %d bytes; MQTT allows %d", what, len(s), mqtt.MaxStringLength)
	}
	return []byte(s), nil
}
