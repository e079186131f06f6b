package main

import (
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
)

// payloadArg is a payload given as the argument at i, or as a file.
func payloadArg(cmd *cobra.Command, args []string, i int, file string) ([]byte, error) {
	switch {
	case len(args) > i && file != "":
		return nil, usageError("the payload is given twice")
	case len(args) > i:
		return []byte(args[i]), nil
	case file != "":
		return readArgument(cmd.InOrStdin(), file)
	}
	return []byte{}, nil
}

func newRRPCCommand() *cobra.Command {
	t := new(target)
	var in admin.RRPCRequest
	var properties propertyFlags
	var file string
	timeout := 5 * time.Second
	cmd := online(&cobra.Command{
		Use:   "rrpc PRODUCTKEY/DEVICENAME [PAYLOAD]",
		Short: "Send a device a request of any bytes and print its answer",
		Long: `Sends a device a synchronous request (RRPC) and prints its answer. Without --topic it goes to
/sys/…/rrpc/request/…; with a custom topic of the device to /ext/rrpc/…, which the device
must have asked for at its login (ext=1).`,
		Example: `  linkstead rrpc a1ji0qFv6Jf/STC15 ping
  linkstead rrpc a1ji0qFv6Jf/STC15 ping --topic /a1ji0qFv6Jf/STC15/user/get --timeout 2s`,
		Args: cobra.RangeArgs(1, 2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			if in.Payload, err = payloadArg(cmd, args, 1, file); err != nil {
				return err
			}
			in.Properties = properties.properties()
			in.TimeoutMS = timeout.Milliseconds()
			r, err := c.RRPC(cmd.Context(), pk, dn, in)
			if err != nil {
				return err
			}
			return output(cmd, r, func(w io.Writer) error {
				if utf8.Valid(r.Payload) {
					_, err = fmt.Fprintln(w, printable(string(r.Payload)))
				} else {
					_, err = fmt.Fprintf(w, "% x\n", r.Payload)
				}
				if err != nil {
					return err
				}
				return printProperties(w, r.Properties)
			})
		}),
	}, t)
	properties.register(cmd)
	cmd.Flags().StringVar(&in.Topic, "topic", "", "a custom `topic` of the device")
	cmd.Flags().StringVar(&file, "file", "", "`file` that is the payload, - for standard input")
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "how long the answer is awaited, 1s to 8s")
	return cmd
}

func newBroadcastCommand() *cobra.Command {
	t := new(target)
	var in admin.BroadcastRequest
	var file string
	cmd := online(&cobra.Command{
		Use:   "broadcast PRODUCTKEY [PAYLOAD]",
		Short: "Send a message to all devices of a product that are online",
		Long: `Sends a message to all devices of a product that are online, without their having
subscribed; with --topic NAME to those that subscribed to /broadcast/PRODUCTKEY/NAME.
Devices that are away do not get it.`,
		Example: "  linkstead broadcast a1ji0qFv6Jf 'good night'\n  linkstead broadcast a1ji0qFv6Jf 'good night' --topic floor/2",
		Args:    cobra.RangeArgs(1, 2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) (err error) {
			if in.Payload, err = payloadArg(cmd, args, 1, file); err != nil {
				return err
			}
			r, err := c.Broadcast(cmd.Context(), args[0], in)
			if err != nil {
				return err
			}
			return output(cmd, r, func(w io.Writer) error {
				if r.Topic != "" {
					_, err = fmt.Fprintf(w, "published to %s\n", r.Topic)
				} else {
					_, err = fmt.Fprintf(w, "sent to %d devices with id %s\n", r.Devices, r.ID)
				}
				return err
			})
		}),
	}, t)
	cmd.Flags().StringVar(&in.Topic, "topic", "", "the `name` behind /broadcast/PRODUCTKEY/")
	cmd.Flags().StringVar(&file, "file", "", "`file` that is the payload, - for standard input")
	return cmd
}

func newDeviceAccountCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "account PRODUCTKEY/DEVICENAME Bind|Unbind|Reset",
		Short: "Tell consumer firmware that its owner bound, unbound or reset it",
		Long: `Tells a device that its owner bound, unbound or reset it. Firmware made for consumers' apps
waits for this after it has reported its token.`,
		Example: "  linkstead device account a1ji0qFv6Jf/STC15 Bind",
		Args:    cobra.ExactArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			if err := c.AccountEvent(cmd.Context(), pk, dn, args[1]); err != nil {
				return err
			}
			return printDone(cmd, "told "+args[0])
		}),
	}
}
