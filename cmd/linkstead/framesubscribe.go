package main

import (
	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/mqtt"
)

// subscribeFlags name the filters of a SUBSCRIBE or UNSUBSCRIBE.
type subscribeFlags struct {
	triple tripleFlags
	topics []string
	qos    uint8
	id     uint16
}

func newFrameSubscribeCommand(flags *frameFlags) *cobra.Command {
	var s subscribeFlags
	cmd := &cobra.Command{
		Use:   "subscribe",
		Short: "Build a SUBSCRIBE for one or more topics",
		Long: `Builds a SUBSCRIBE. ${productKey} and ${deviceName} in a topic stand for the device, if
one is named.`,
		Example: `  linkstead frame subscribe --topic /a1ji0qFv6Jf/STC15/user/get --qos 1
  linkstead frame subscribe -k a1ji0qFv6Jf -d STC15 --topic '/sys/${productKey}/${deviceName}/thing/service/property/set' --explain
  linkstead frame subscribe --topic home/+/temp --topic home/+/light --id 11 --format c`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := parseVersion(flags.version)
			if err != nil {
				return err
			}
			if s.qos > 2 {
				return usageError("--qos is 0, 1 or 2, not %d", s.qos)
			}
			filters, err := s.filters(cmd)
			if err != nil {
				return err
			}
			p := mqtt.Subscribe{PacketID: s.id}
			for _, f := range filters {
				p.Filters = append(p.Filters, mqtt.Subscription{Filter: f, QoS: s.qos})
			}
			return flags.print(cmd, "subscribe", v, p.Append(nil, v))
		},
	}
	s.add(cmd)
	cmd.Flags().Uint8Var(&s.qos, "qos", 0, "highest QoS wanted: 0, 1 or 2")
	return cmd
}

func newFrameUnsubscribeCommand(flags *frameFlags) *cobra.Command {
	var s subscribeFlags
	cmd := &cobra.Command{
		Use:   "unsubscribe",
		Short: "Build an UNSUBSCRIBE for one or more topics",
		Long: `Builds an UNSUBSCRIBE. The topics are spelled as they were subscribed.
${productKey} and ${deviceName} in a topic stand for the device, if one is named.`,
		Example: `  linkstead frame unsubscribe --topic /a1ji0qFv6Jf/STC15/user/get`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := parseVersion(flags.version)
			if err != nil {
				return err
			}
			p := mqtt.Unsubscribe{PacketID: s.id}
			if p.Filters, err = s.filters(cmd); err != nil {
				return err
			}
			return flags.print(cmd, "unsubscribe", v, p.Append(nil, v))
		},
	}
	s.add(cmd)
	return cmd
}

// add defines the flags both packets have.
func (s *subscribeFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVar(&s.topics, "topic", nil, "topic or filter with + and # (repeatable)")
	f.Uint16Var(&s.id, "id", 10, "packet identifier")
	s.triple.add(f)
}

// filters returns the filters as they go into the packet.
func (s *subscribeFlags) filters(cmd *cobra.Command) ([][]byte, error) {
	if len(s.topics) == 0 {
		return nil, usageError("--topic is missing: %s needs one at least", cmd.Name())
	}
	topics := s.topics
	if s.triple.given() {
		d, err := s.triple.identity(cmd.InOrStdin())
		if err != nil {
			return nil, err
		}
		topics = make([]string, len(s.topics))
		for i, t := range s.topics {
			topics[i] = fillTopic(t, d)
		}
	}
	out := make([][]byte, len(topics))
	for i, t := range topics {
		b, err := fitting("topic", t)
		if err != nil {
			return nil, err
		}
		out[i] = b
	}
	return out, nil
}
