package main

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/mqtt"
)

// payloadLimit bounds the payload read from a file, in bytes.
const payloadLimit = 64 << 20

// publishFlags say what a PUBLISH carries.
type publishFlags struct {
	triple      tripleFlags
	topic       string
	payload     string
	payloadHex  string
	payloadFile string
	alink       bool
	properties  []string
	method      string
	messageID   string
	qos         uint8
	id          uint16
	dup, retain bool
}

func newFramePublishCommand(flags *frameFlags) *cobra.Command {
	var p publishFlags
	cmd := &cobra.Command{
		Use:   "publish",
		Short: "Build a PUBLISH: any message, or properties as Alink wants them",
		Long: `Builds a PUBLISH. The payload is any text, hex or file.

With --property it is the Alink message that posts these properties, and the topic
that of the device's property posts unless --topic says otherwise. With --alink the
payload is taken as the params of an Alink message. Values of properties are JSON;
what is not JSON is sent as text.

${productKey} and ${deviceName} in a topic stand for the device.`,
		Example: `  linkstead frame publish -k a1ji0qFv6Jf -d STC15 --property Temp=6 --property Hum=6 --property Gas=6
  linkstead frame publish --topic /a1ji0qFv6Jf/STC15/user/temp --payload "23.5" --qos 1 --id 21
  linkstead frame publish --triple stc15.json --topic '/sys/${productKey}/${deviceName}/thing/event/Alarm/post' --alink --payload '{"Level":2}' --explain`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := parseVersion(flags.version)
			if err != nil {
				return err
			}
			packet, err := p.packet(cmd)
			if err != nil {
				return err
			}
			return flags.print(cmd, "publish", v, packet.Append(nil, v))
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&p.topic, "topic", "", "topic to publish to")
	f.StringVar(&p.payload, "payload", "", "payload as text")
	f.StringVar(&p.payloadHex, "payload-hex", "", "payload as hex in any spelling")
	f.StringVar(&p.payloadFile, "payload-file", "", `file with the payload, "-" for standard input`)
	f.StringArrayVar(&p.properties, "property", nil, "Name=value to post as an Alink property (repeatable)")
	f.BoolVar(&p.alink, "alink", false, "wrap the payload, a JSON object, as the params of an Alink message")
	f.StringVar(&p.messageID, "message-id", "1", "id inside the Alink message")
	f.StringVar(&p.method, "method", "", "method inside the Alink message (default: that of the topic)")
	f.Uint8Var(&p.qos, "qos", 0, "0, 1 or 2")
	f.Uint16Var(&p.id, "id", 1, "packet identifier, with QoS 1 and 2")
	f.BoolVar(&p.dup, "dup", false, "mark as sent before")
	f.BoolVar(&p.retain, "retain", false, "keep as the topic's last message")
	p.triple.add(f)
	return cmd
}

// packet composes the PUBLISH.
func (p *publishFlags) packet(cmd *cobra.Command) (*mqtt.Publish, error) {
	if p.qos > 2 {
		return nil, usageError("--qos is 0, 1 or 2, not %d", p.qos)
	}
	if p.qos == 0 && cmd.Flags().Changed("id") {
		return nil, usageError("a message with QoS 0 has no packet identifier: drop --id or give --qos 1")
	}
	wrap := p.alink || len(p.properties) > 0
	for _, name := range []string{"message-id", "method"} {
		if !wrap && cmd.Flags().Changed(name) {
			return nil, usageError("--%s is part of an Alink message: give --property or --alink", name)
		}
	}
	topic, err := p.topicName(cmd)
	if err != nil {
		return nil, err
	}
	payload, err := p.content(cmd)
	if err != nil {
		return nil, err
	}
	if wrap {
		if payload, err = p.wrap(topic, payload); err != nil {
			return nil, err
		}
	}
	m := &mqtt.Publish{Dup: p.dup, Retain: p.retain, QoS: p.qos, Payload: payload}
	if p.qos > 0 {
		m.PacketID = p.id
	}
	m.Topic, err = fitting("topic", topic)
	return m, err
}

// topicName returns the topic the flags name or imply.
func (p *publishFlags) topicName(cmd *cobra.Command) (string, error) {
	if p.topic == "" && len(p.properties) == 0 {
		return "", usageError("--topic is missing; only --property knows where it goes")
	}
	if p.topic != "" && !p.triple.given() {
		return p.topic, nil
	}
	d, err := p.triple.identity(cmd.InOrStdin())
	if err != nil {
		return "", err
	}
	if p.topic == "" {
		return alink.PropertyPostTopic(d.ProductKey, d.DeviceName), nil
	}
	return fillTopic(p.topic, d), nil
}

// fillTopic puts a device into a topic as the cloud's documents write it.
func fillTopic(topic string, d alink.Triple) string {
	return strings.NewReplacer("${productKey}", d.ProductKey, "${deviceName}", d.DeviceName).Replace(topic)
}

// content returns the payload given, or the params made of the properties.
func (p *publishFlags) content(cmd *cobra.Command) ([]byte, error) {
	given := 0
	for _, name := range []string{"payload", "payload-hex", "payload-file", "property"} {
		if cmd.Flags().Changed(name) {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, usageError("give one of --payload, --payload-hex, --payload-file and --property")
	case p.payloadHex != "":
		b, err := mqtt.ParseHex(p.payloadHex)
		return b, invalidHex(err)
	case p.payloadFile != "":
		return readInput(p.payloadFile, cmd.InOrStdin(), payloadLimit)
	case len(p.properties) > 0:
		return propertyParams(p.properties)
	}
	return []byte(p.payload), nil
}

// wrap puts params into the envelope of an Alink request.
func (p *publishFlags) wrap(topic string, params []byte) ([]byte, error) {
	params = bytes.TrimSpace(params)
	if len(params) > 0 && !json.Valid(params) {
		return nil, usageError("the payload is to become the params of an Alink message, but it is not JSON")
	}
	method := p.method
	if method == "" {
		t, _ := alink.ParseTopic(topic)
		if method = t.Method(); method == "" {
			return nil, usageError("no Alink message belongs to topic %s: name its --method", topic)
		}
	}
	return alink.AppendRequest(nil, method, p.messageID, params, true), nil
}

// propertyParams writes properties as the JSON object of a post, in the order given.
func propertyParams(properties []string) ([]byte, error) {
	dst := []byte{'{'}
	for i, s := range properties {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, usageError("--property %q is not Name=value", s)
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = devjson.AppendString(dst, name)
		dst = append(dst, ": "...)
		if json.Valid([]byte(value)) {
			dst = append(dst, value...)
			continue
		}
		if strings.Trim(value, "+-.0123456789") == "" && value != "" {
			return nil, usageError("the value of property %s, %s, is no JSON number; as text it is written %s='%q'", name, value, name, value)
		}
		dst = devjson.AppendString(dst, value)
	}
	return append(dst, '}'), nil
}
