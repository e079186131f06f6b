package main

import (
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
)

func newPublishCommand() *cobra.Command {
	t := new(target)
	var in admin.PublishRequest
	var properties propertyFlags
	var file string
	cmd := online(&cobra.Command{
		Use:   "publish TOPIC [PAYLOAD]",
		Short: "Publish a message to devices and applications",
		Long: `Publishes a message as the server itself: to everybody who has subscribed to the topic,
and to the device that a system topic belongs to. With --qos 1 it waits for who is away.`,
		Example: `  linkstead publish /a1ji0qFv6Jf/STC15/user/get 'hello' --qos 1
  linkstead publish home/light on --retain
  linkstead publish home/picture --file picture.jpg`,
		Args: cobra.RangeArgs(1, 2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			var payload []byte
			switch {
			case len(args) == 2 && file != "":
				return usageError("the payload is given twice")
			case len(args) == 2:
				payload = []byte(args[1])
			case file != "":
				b, err := readArgument(cmd.InOrStdin(), file)
				if err != nil {
					return err
				}
				payload = b
			}
			in.Properties = properties.properties()
			in.Topic, in.Text, in.Base64 = args[0], "", nil
			if utf8.Valid(payload) {
				in.Text = string(payload)
			} else {
				in.Base64 = payload
			}
			if err := c.Publish(cmd.Context(), in); err != nil {
				return err
			}
			return printDone(cmd, "published to "+args[0])
		}),
	}, t)
	properties.register(cmd)
	cmd.Flags().Uint8Var(&in.QoS, "qos", 0, "0 or 1")
	cmd.Flags().BoolVar(&in.Retain, "retain", false, "keep it for who subscribes later; an empty payload removes it")
	cmd.Flags().StringVar(&file, "file", "", "`file` that is the payload, - for standard input")
	return cmd
}
