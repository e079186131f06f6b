package main

import (
	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/mqtt"
)

// connectFlags say what a CONNECT carries beside the login.
type connectFlags struct {
	triple      tripleFlags
	login       loginFlags
	keepAlive   uint16
	keepSession bool
	willTopic   string
	willPayload string
	willQoS     uint8
	willRetain  bool
}

func newFrameConnectCommand(flags *frameFlags) *cobra.Command {
	var c connectFlags
	cmd := &cobra.Command{
		Use:   "connect",
		Short: "Build the CONNECT a device logs in with",
		Long: `Builds a CONNECT with the login of a device, as sign computes it. The packet contains
the password, though not the DeviceSecret.`,
		Example: `  linkstead frame connect -k a1ji0qFv6Jf -d STC15 --secret bc0834e2beeb03d37eeb7361cc387918
  linkstead frame connect --triple stc15.json --keepalive 60 --format c
  linkstead frame connect --triple stc15.json --mqtt 5 --keep-session --explain`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := parseVersion(flags.version)
			if err != nil {
				return err
			}
			p, err := c.packet(cmd, v)
			if err != nil {
				return err
			}
			return flags.print(cmd, "connect", v, p.Append(nil))
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	c.triple.add(f)
	c.login.add(f)
	f.Uint16Var(&c.keepAlive, "keepalive", 100, "seconds after which silence means the device is lost; 0: never")
	f.BoolVar(&c.keepSession, "keep-session", false, "go on with the session of the last connection")
	f.StringVar(&c.willTopic, "will-topic", "", "topic of the message to publish when the device is lost")
	f.StringVar(&c.willPayload, "will-payload", "", "text of that message")
	f.Uint8Var(&c.willQoS, "will-qos", 0, "its QoS: 0, 1 or 2")
	f.BoolVar(&c.willRetain, "will-retain", false, "retain it")
	return cmd
}

// packet composes the CONNECT.
func (c *connectFlags) packet(cmd *cobra.Command, v mqtt.Version) (*mqtt.Connect, error) {
	d, err := c.triple.read(cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	o, err := c.login.options()
	if err != nil {
		return nil, err
	}
	login := signTriple(d, o)
	p := &mqtt.Connect{
		Version: v, CleanStart: !c.keepSession, KeepAlive: c.keepAlive,
		HasUsername: true, Username: []byte(login.Username),
		HasPassword: true, Password: []byte(login.Password),
	}
	if p.ClientID, err = fitting("client id", login.ClientID); err != nil {
		return nil, err
	}
	if c.willTopic == "" {
		for _, name := range []string{"will-payload", "will-qos", "will-retain"} {
			if cmd.Flags().Changed(name) {
				return nil, usageError("--%s needs --will-topic", name)
			}
		}
		return p, nil
	}
	if c.willQoS > 2 {
		return nil, usageError("--will-qos is 0, 1 or 2, not %d", c.willQoS)
	}
	p.HasWill = true
	p.Will = mqtt.Will{QoS: c.willQoS, Retain: c.willRetain}
	if p.Will.Topic, err = fitting("will topic", c.willTopic); err != nil {
		return nil, err
	}
	if p.Will.Payload, err = fitting("will payload", c.willPayload); err != nil {
		return nil, err
	}
	return p, nil
}
