package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
)

func newGatewayCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:   "gateway",
		Short: "Show and change the sub-devices of gateways",
		Long: `A gateway is a device of a product with --node gateway. It connects for its sub-devices,
which have no connection of their own, logs them in and carries their messages.`,
		Example: "  linkstead gateway list a1Gateway01/gateway1\n  linkstead gateway add a1Gateway01/gateway1 a1SubSubSub/sub001",
	}), t)
	cmd.AddCommand(newGatewayListCommand(t), newGatewayAddCommand(t), newGatewayRemoveCommand(t), newGatewayNotifyCommand(t), newGatewayPermitCommand(t), newGatewayConfigureCommand(t))
	return cmd
}

func newGatewayListCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "list PRODUCTKEY/DEVICENAME",
		Short:   "List the sub-devices of a gateway",
		Example: "  linkstead gateway list a1Gateway01/gateway1",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			subs, err := c.SubDevices(cmd.Context(), pk, dn)
			if err != nil {
				return err
			}
			return output(cmd, subs, func(w io.Writer) error {
				var rows [][]string
				for _, d := range subs {
					rows = append(rows, []string{d.ProductKey + "/" + d.DeviceName, deviceState(d), localTime(d.LastOnlineAt), d.Nickname})
				}
				return printTable(w, []string{"SUB-DEVICE", "STATE", "LAST ONLINE", "NICKNAME"}, rows)
			})
		}),
	}
}

func newGatewayConfigureCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "configure PRODUCTKEY/DEVICENAME FILE",
		Short: "Tell a gateway to fetch the configuration of its channels",
		Long: `Tells a gateway that is online to fetch a JSON document with the configuration of its channels
(Modbus, OPC UA), over HTTP: files.listen has to be set.`,
		Example: "  linkstead gateway configure a1Gateway01/gateway1 channels.json",
		Args:    cobra.ExactArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			b, err := readArgument(cmd.InOrStdin(), args[1])
			if err != nil {
				return err
			}
			r, err := c.ConfigureGateway(cmd.Context(), pk, dn, b)
			if err != nil {
				return err
			}
			return output(cmd, r, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s was told of %d bytes, SHA-256 %s\n", args[0], r.Bytes, r.SHA256)
				return err
			})
		}),
	}
}

// gatewayArgs reads a gateway and the sub-devices behind it.
func gatewayArgs(args []string) (pk, dn string, subs []platform.DeviceRef, err error) {
	if pk, dn, err = deviceArg(args[0]); err != nil {
		return "", "", nil, err
	}
	for _, a := range args[1:] {
		var s platform.DeviceRef
		if s.ProductKey, s.DeviceName, err = deviceArg(a); err != nil {
			return "", "", nil, err
		}
		subs = append(subs, s)
	}
	return pk, dn, subs, nil
}

func newGatewayAddCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "add GATEWAY SUBDEVICE…",
		Short: "Make devices the sub-devices of a gateway and tell it",
		Long: `Makes devices the sub-devices of a gateway, whoever had them before; the gateways are told
(topo/change). Gateways do the same by themselves, signed with the sub-devices' secrets.`,
		Example: "  linkstead gateway add a1Gateway01/gateway1 a1SubSubSub/sub001 a1SubSubSub/sub002",
		Args:    cobra.MinimumNArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, subs, err := gatewayArgs(args)
			if err != nil {
				return err
			}
			if err := c.AddSubDevices(cmd.Context(), pk, dn, subs); err != nil {
				return err
			}
			return printDone(cmd, "gateway "+args[0]+" has them")
		}),
	}
}

func newGatewayRemoveCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "remove GATEWAY SUBDEVICE…",
		Short:   "Take sub-devices from their gateway and tell it",
		Example: "  linkstead gateway remove a1Gateway01/gateway1 a1SubSubSub/sub001",
		Args:    cobra.MinimumNArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, subs, err := gatewayArgs(args)
			if err != nil {
				return err
			}
			for _, s := range subs {
				if err := c.RemoveSubDevice(cmd.Context(), pk, dn, s); err != nil {
					return err
				}
			}
			return printDone(cmd, "gateway "+args[0]+" has them no more")
		}),
	}
}

func newGatewayNotifyCommand(t *target) *cobra.Command {
	var flags callFlags
	cmd := &cobra.Command{
		Use:     "notify GATEWAY SUBDEVICE…",
		Short:   "Ask a gateway to register and add devices, and await its reply",
		Example: "  linkstead gateway notify a1Gateway01/gateway1 a1SubSubSub/sub001",
		Args:    cobra.MinimumNArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, subs, err := gatewayArgs(args)
			if err != nil {
				return err
			}
			r, err := c.NotifySubDevices(cmd.Context(), pk, dn, admin.SubsRequest{Devices: subs, CallRequest: flags.request()})
			if err != nil {
				return err
			}
			return printCall(cmd, args[0], r)
		}),
	}
	flags.register(cmd)
	return cmd
}

func newGatewayPermitCommand(t *target) *cobra.Command {
	var flags callFlags
	var seconds int
	cmd := &cobra.Command{
		Use:     "permit GATEWAY PRODUCTKEY",
		Short:   "Let new devices of a product join a gateway for some time, and await its reply",
		Example: "  linkstead gateway permit a1Gateway01/gateway1 a1SubSubSub --seconds 60",
		Args:    cobra.ExactArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			r, err := c.PermitJoin(cmd.Context(), pk, dn, admin.PermitRequest{ProductKey: args[1], Seconds: seconds, CallRequest: flags.request()})
			if err != nil {
				return err
			}
			return printCall(cmd, args[0], r)
		}),
	}
	flags.register(cmd)
	cmd.Flags().IntVar(&seconds, "seconds", 60, "how long devices may join; 0 ends it")
	return cmd
}
