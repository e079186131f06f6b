package main

import (
	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
)

func newServiceCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:     "service",
		Short:   "Call the services of devices",
		Example: "  linkstead service call a1ji0qFv6Jf/STC15 blink times=3",
	}), t)
	cmd.AddCommand(newServiceCallCommand(t))
	return cmd
}

func newServiceCallCommand(t *target) *cobra.Command {
	var flags callFlags
	var document string
	cmd := &cobra.Command{
		Use:   "call PRODUCTKEY/DEVICENAME SERVICE [NAME=VALUE…]",
		Short: "Call a service of a device and await its reply",
		Long: `Calls a service of a device, after a check against the thing model, and awaits its reply.
A value that is JSON is sent as it is, anything else as a text.`,
		Example: `  linkstead service call a1ji0qFv6Jf/STC15 blink times=3
  linkstead service call a1ji0qFv6Jf/STC15 blink --params '{"times": 3}' --timeout 2s`,
		Args: cobra.MinimumNArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			p, err := params(args[2:], document)
			if err != nil {
				return err
			}
			r, err := c.CallService(cmd.Context(), pk, dn, args[1], admin.ServiceRequest{Params: p, CallRequest: flags.request()})
			if err != nil {
				return err
			}
			return printCall(cmd, args[0], r)
		}),
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&document, "params", "", "the parameters as one JSON `object`")
	return cmd
}
