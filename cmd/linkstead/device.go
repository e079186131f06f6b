package main

import (
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
)

func newDeviceCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:     "device",
		Short:   "Register, import, show, disable and delete devices",
		Long:    "A device is written ProductKey/DeviceName everywhere.",
		Example: "  linkstead device create a1ji0qFv6Jf/STC15\n  linkstead device list a1ji0qFv6Jf\n  linkstead device import devices.csv",
	}), t)
	cmd.AddCommand(newDeviceCreateCommand(t), newDeviceListCommand(t), newDeviceShowCommand(t), newDeviceImportCommand(t),
		newDeviceEnabledCommand(t, true), newDeviceEnabledCommand(t, false), newDeviceDeleteCommand(t), newDeviceSecretCommand(t),
		newDeviceLogCommand(t), newDeviceAccountCommand(t), newDeviceResetCommand(t), newDeviceBootstrapCommand(t),
		newDeviceCertificateCommand(t))
	return cmd
}

func newDeviceCreateCommand(t *target) *cobra.Command {
	var in platform.NewDevice
	var secretFile string
	cmd := &cobra.Command{
		Use:   "create PRODUCTKEY[/DEVICENAME]",
		Short: "Register a device, with the secret it has or a new one",
		Long: `Registers a device. Name and DeviceSecret are made up if they are not given; a device
that comes from the cloud keeps its own. The DeviceSecret is shown this once.`,
		Example: "  linkstead device create a1ji0qFv6Jf/STC15\n  linkstead device create a1ji0qFv6Jf/STC15 --secret-file secret.txt",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			in.ProductKey, in.DeviceName = args[0], ""
			if strings.Contains(args[0], "/") {
				var err error
				if in.ProductKey, in.DeviceName, err = deviceArg(args[0]); err != nil {
					return err
				}
			}
			if secretFile != "" {
				b, err := readArgument(cmd.InOrStdin(), secretFile)
				if err != nil {
					return err
				}
				in.DeviceSecret = strings.TrimSpace(string(b))
			}
			d, err := c.CreateDevice(cmd.Context(), in)
			if err != nil {
				return err
			}
			return output(cmd, d, func(w io.Writer) error {
				return printFields(w, [2]string{"ProductKey", d.ProductKey}, [2]string{"DeviceName", d.DeviceName},
					[2]string{"DeviceSecret", d.DeviceSecret + "  (shown this once)"})
			})
		}),
	}
	cmd.Flags().StringVar(&in.DeviceSecret, "secret", "", "DeviceSecret it has; made up if not given")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "`file` with the DeviceSecret it has, - for standard input")
	cmd.Flags().StringVar(&in.Nickname, "nickname", "", "name for people")
	cmd.MarkFlagsMutuallyExclusive("secret", "secret-file")
	return cmd
}

func newDeviceListCommand(t *target) *cobra.Command {
	var prefix string
	var limit int
	cmd := &cobra.Command{
		Use:     "list [PRODUCTKEY]",
		Short:   "List the devices of a product, or of all",
		Example: "  linkstead device list\n  linkstead device list a1ji0qFv6Jf --prefix STC --limit 20",
		Args:    cobra.MaximumNArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			keys := args
			if len(keys) == 0 {
				products, err := c.Products(cmd.Context(), "", listPage)
				if err != nil {
					return err
				}
				for _, p := range products {
					keys = append(keys, p.ProductKey)
				}
			}
			all := []platform.Device{}
			for _, pk := range keys {
				for after := ""; len(all) < limit; {
					n := min(listPage, limit-len(all))
					page, err := c.Devices(cmd.Context(), pk, after, prefix, n)
					if err != nil {
						return err
					}
					all = append(all, page...)
					if len(page) < n {
						break
					}
					after = page[len(page)-1].DeviceName
				}
			}
			return output(cmd, all, func(w io.Writer) error {
				var rows [][]string
				for _, d := range all {
					rows = append(rows, []string{d.ProductKey + "/" + d.DeviceName, deviceState(d), localTime(d.LastOnlineAt), d.LastAddr, d.Nickname})
				}
				return printTable(w, []string{"DEVICE", "STATE", "LAST ONLINE", "FROM", "NICKNAME"}, rows)
			})
		}),
	}
	cmd.Flags().StringVar(&prefix, "prefix", "", "only names that begin with this")
	cmd.Flags().IntVar(&limit, "limit", 1000, "at most this many")
	return cmd
}

// deviceState is the state as the cloud's console names it.
func deviceState(d platform.Device) string {
	switch {
	case !d.Enabled:
		return "disabled"
	case d.Online:
		return "online"
	case d.ActivatedAt == 0:
		return "inactive"
	}
	return "offline"
}

func newDeviceShowCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "show PRODUCTKEY/DEVICENAME",
		Short:   "Show a device, its connection, subscriptions and waiting messages",
		Example: "  linkstead device show a1ji0qFv6Jf/STC15",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			d, err := c.Device(cmd.Context(), pk, dn)
			if err != nil {
				return err
			}
			return output(cmd, d, func(w io.Writer) error {
				fields := [][2]string{
					{"device", d.ProductKey + "/" + d.DeviceName}, {"iot id", d.IotID}, {"nickname", d.Nickname},
					{"state", deviceState(d.Device)}, {"created", localTime(d.CreatedAt)}, {"first login", localTime(d.ActivatedAt)},
					{"last online", localTime(d.LastOnlineAt)}, {"last offline", localTime(d.LastOfflineAt)}, {"last from", d.LastAddr},
				}
				if s := d.Session; s != nil {
					if s.Online && s.Via != "" {
						fields = append(fields, [2]string{"connection", "through its gateway"})
					} else if s.Online {
						fields = append(fields, [2]string{"connection", s.Transport + " from " + s.Remote + ", MQTT " + s.Version},
							[2]string{"client id", s.ClientID}, [2]string{"keep-alive", strconv.Itoa(int(s.KeepAlive)) + " s"})
					}
					fields = append(fields, [2]string{"subscriptions", strings.Join(s.Subscriptions, " ")},
						[2]string{"waiting", strconv.Itoa(s.Queued)})
				}
				if d.Gateway != nil {
					fields = append(fields, [2]string{"gateway", d.Gateway.ProductKey + "/" + d.Gateway.DeviceName})
				}
				for _, tag := range d.Tags {
					fields = append(fields, [2]string{"tag " + tag.Key, tag.Value})
				}
				return printFields(w, fields...)
			})
		}),
	}
}

func newDeviceEnabledCommand(t *target, enabled bool) *cobra.Command {
	use, short, done := "disable", "Disconnect a device and refuse its logins", "disabled"
	if enabled {
		use, short, done = "enable", "Let a disabled device log in again", "enabled"
	}
	return &cobra.Command{
		Use:     use + " PRODUCTKEY/DEVICENAME",
		Short:   short,
		Example: "  linkstead device " + use + " a1ji0qFv6Jf/STC15",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			if err := c.SetEnabled(cmd.Context(), pk, dn, enabled); err != nil {
				return err
			}
			return printDone(cmd, "device "+args[0]+" is "+done)
		}),
	}
}

func newDeviceDeleteCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "delete PRODUCTKEY/DEVICENAME",
		Short:   "Delete a device with its data and disconnect it",
		Example: "  linkstead device delete a1ji0qFv6Jf/STC15",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			if err := c.DeleteDevice(cmd.Context(), pk, dn); err != nil {
				return err
			}
			return printDone(cmd, "device "+args[0]+" is deleted")
		}),
	}
}

func newDeviceSecretCommand(t *target) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "secret PRODUCTKEY/DEVICENAME --reason TEXT",
		Short:   "Show a device's DeviceSecret; the reason is kept in the audit log",
		Example: "  linkstead device secret a1ji0qFv6Jf/STC15 --reason 'the board is flashed again'",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			if reason == "" {
				return usageError("--reason is missing: it is kept in the audit log")
			}
			secret, err := c.RevealSecret(cmd.Context(), pk, dn, reason)
			if err != nil {
				return err
			}
			triple := map[string]string{"ProductKey": pk, "DeviceName": dn, "DeviceSecret": secret}
			return output(cmd, triple, func(w io.Writer) error {
				_, err := io.WriteString(w, secret+"\n")
				return err
			})
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why it is shown")
	return cmd
}

func newDeviceResetCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "reset PRODUCTKEY/DEVICENAME",
		Short: "Let a device that has been online register once more",
		Long: `Lets a device fetch its secret again by dynamic registration: it counts as never activated,
tokens it was given are void, and its connection is closed. Its DeviceSecret stays.`,
		Example: "  linkstead device reset a1ji0qFv6Jf/STC15",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			if err := c.ResetDevice(cmd.Context(), pk, dn); err != nil {
				return err
			}
			return printDone(cmd, "device "+args[0]+" may register again")
		}),
	}
}

func newDeviceBootstrapCommand(t *target) *cobra.Command {
	var flags callFlags
	cmd := &cobra.Command{
		Use:     "bootstrap PRODUCTKEY/DEVICENAME",
		Short:   "Tell a device to read its endpoint again, and await its reply",
		Example: "  linkstead device bootstrap a1ji0qFv6Jf/STC15",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			r, err := c.Bootstrap(cmd.Context(), pk, dn, flags.request())
			if err != nil {
				return err
			}
			return printCall(cmd, args[0], r)
		}),
	}
	flags.register(cmd)
	return cmd
}
