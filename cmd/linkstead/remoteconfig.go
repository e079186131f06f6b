package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
)

func newRemoteConfigCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:     "remote-config",
		Short:   "Keep the configuration file that a product's devices fetch",
		Example: "  linkstead remote-config put a1ji0qFv6Jf settings.json\n  linkstead remote-config push a1ji0qFv6Jf",
	}), t)
	cmd.AddCommand(newRemoteConfigPutCommand(t), newRemoteConfigShowCommand(t), newRemoteConfigPushCommand(t),
		newRemoteConfigSwitchCommand(t, true), newRemoteConfigSwitchCommand(t, false))
	return cmd
}

func printRemoteConfig(cmd *cobra.Command, c platform.RemoteConfig) error {
	return output(cmd, c, func(w io.Writer) error {
		state := "on"
		if !c.Enabled {
			state = "off"
		}
		return printFields(w, [2]string{"id", c.ConfigID}, [2]string{"bytes", fmt.Sprint(len(c.Content))}, [2]string{"SHA-256", c.SHA256},
			[2]string{"changed", localTime(c.ChangedAt)}, [2]string{"service", state})
	})
}

func newRemoteConfigPutCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "put PRODUCTKEY FILE",
		Short: "Make a JSON file the configuration of a product's devices",
		Long: `Makes a JSON file of at most 64 KB the configuration of a product's devices. They get it when
they ask, or when it is pushed.`,
		Example: "  linkstead remote-config put a1ji0qFv6Jf settings.json",
		Args:    cobra.ExactArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			b, err := readArgument(cmd.InOrStdin(), args[1])
			if err != nil {
				return err
			}
			r, err := c.PutRemoteConfig(cmd.Context(), args[0], b)
			if err != nil {
				return err
			}
			return printRemoteConfig(cmd, r)
		}),
	}
}

func newRemoteConfigShowCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "show PRODUCTKEY",
		Short:   "Show a product's configuration file; the file itself with --json",
		Example: "  linkstead remote-config show a1ji0qFv6Jf",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			r, err := c.RemoteConfig(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printRemoteConfig(cmd, r)
		}),
	}
}

func newRemoteConfigPushCommand(t *target) *cobra.Command {
	var dn string
	cmd := &cobra.Command{
		Use:     "push PRODUCTKEY",
		Short:   "Tell devices that are online of the configuration file",
		Example: "  linkstead remote-config push a1ji0qFv6Jf\n  linkstead remote-config push a1ji0qFv6Jf --device STC15",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			n, err := c.PushRemoteConfig(cmd.Context(), args[0], dn)
			if err != nil {
				return err
			}
			return output(cmd, map[string]int{"devices": n}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "sent to %d devices\n", n)
				return err
			})
		}),
	}
	cmd.Flags().StringVar(&dn, "device", "", "only this `device`")
	return cmd
}

func newRemoteConfigSwitchCommand(t *target, on bool) *cobra.Command {
	use, short := "off", "Switch it off: devices that ask are told so"
	if on {
		use, short = "on", "Switch it on again"
	}
	return &cobra.Command{
		Use:     use + " PRODUCTKEY",
		Short:   short,
		Example: "  linkstead remote-config " + use + " a1ji0qFv6Jf",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if err := c.SwitchRemoteConfig(cmd.Context(), args[0], on); err != nil {
				return err
			}
			return printDone(cmd, "remote configuration of "+args[0]+" is "+use)
		}),
	}
}
