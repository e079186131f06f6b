package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
)

// idArg reads the id of a package or a job.
func idArg(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, usageError("%q is no id; ids are positive numbers, as lists show them", s)
	}
	return n, nil
}

func newFirmwareCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:     "firmware",
		Short:   "Keep the firmware that devices can be upgraded to",
		Example: "  linkstead firmware add a1ji0qFv6Jf lamp.bin --version 1.1\n  linkstead firmware list a1ji0qFv6Jf",
	}), t)
	cmd.AddCommand(newFirmwareAddCommand(t), newFirmwareListCommand(t), newFirmwareDeleteCommand(t))
	return cmd
}

func newFirmwareAddCommand(t *target) *cobra.Command {
	var in platform.Firmware
	cmd := &cobra.Command{
		Use:   "add PRODUCTKEY FILE",
		Short: "Upload a file as a version of a product's firmware",
		Example: `  linkstead firmware add a1ji0qFv6Jf lamp.bin --version 1.1
  linkstead firmware add a1ji0qFv6Jf radio.delta --module radio --version 2.0 --source 1.9 --sign SHA256`,
		Args: cobra.ExactArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			in.ProductKey = args[0]
			var r = cmd.InOrStdin()
			if args[1] != "-" {
				f, err := os.Open(args[1])
				if err != nil {
					return usageError("%w", err)
				}
				defer func() { _ = f.Close() }()
				r = f
			}
			f, err := c.AddFirmware(cmd.Context(), in, r)
			if err != nil {
				return err
			}
			return output(cmd, f, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "firmware %d: %s %s, %d bytes, MD5 %s\n", f.ID, f.Module, f.Version, f.Size, f.MD5)
				return err
			})
		}),
	}
	cmd.Flags().StringVar(&in.Version, "version", "", "its `version`, as devices report it when they run it")
	cmd.Flags().StringVar(&in.Module, "module", "", "the `module` it is for; the firmware itself if not given")
	cmd.Flags().StringVar(&in.SourceVersion, "source", "", "the `version` it is a difference to")
	cmd.Flags().StringVar(&in.SignMethod, "sign", "Md5", "Md5 or SHA256: what devices check it with")
	cmd.Flags().StringVar(&in.UDI, "udi", "", "`text` that devices get with it")
	_ = cmd.MarkFlagRequired("version")
	return cmd
}

func newFirmwareListCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "list PRODUCTKEY",
		Short:   "List a product's firmware, newest first",
		Example: "  linkstead firmware list a1ji0qFv6Jf",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			list, err := c.Firmware(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return output(cmd, list, func(w io.Writer) error {
				var rows [][]string
				for _, f := range list {
					rows = append(rows, []string{strconv.FormatInt(f.ID, 10), f.Module, f.Version, f.SourceVersion, strconv.FormatInt(f.Size, 10), f.MD5, localTime(f.CreatedAt)})
				}
				return printTable(w, []string{"ID", "MODULE", "VERSION", "FROM", "BYTES", "MD5", "ADDED"}, rows)
			})
		}),
	}
}

func newFirmwareDeleteCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "delete ID",
		Short:   "Remove firmware and the upgrades to it",
		Example: "  linkstead firmware delete 3",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			n, err := idArg(args[0])
			if err != nil {
				return err
			}
			if err := c.DeleteFirmware(cmd.Context(), n); err != nil {
				return err
			}
			return printDone(cmd, "firmware "+args[0]+" is gone")
		}),
	}
}

func newUpgradeCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:   "upgrade",
		Short: "Bring firmware to devices (OTA)",
		Long: `An upgrade tells devices of firmware: those that are online at once, others when they
connect or report their version. It succeeded when a device reports the new version.`,
		Example: "  linkstead upgrade start 3 --percent 10\n  linkstead upgrade list a1ji0qFv6Jf\n  linkstead upgrade show 1",
	}), t)
	cmd.AddCommand(newUpgradeStartCommand(t), newUpgradeListCommand(t), newUpgradeShowCommand(t), newUpgradeCancelCommand(t))
	return cmd
}

func newUpgradeStartCommand(t *target) *cobra.Command {
	var in platform.UpgradeJob
	var tag map[string]string
	var overMQTT bool
	var at string
	var retryAfter, timeout time.Duration
	cmd := &cobra.Command{
		Use:   "start FIRMWARE-ID",
		Short: "Tell devices to upgrade",
		Long: `Tells devices of the firmware's product to upgrade: all of them, or those that the flags
select. Devices that have the version already or are upgrading are left out.`,
		Example: `  linkstead upgrade start 3 --device STC15 --device STC16
  linkstead upgrade start 3 --percent 10 --from 1.0 --retries 2 --retry-after 10m --timeout 48h`,
		Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) (err error) {
			if in.Firmware, err = idArg(args[0]); err != nil {
				return err
			}
			if len(tag) > 1 {
				return usageError("--tag is given more than once")
			}
			for in.TagKey, in.TagValue = range tag {
			}
			if overMQTT {
				in.Protocol = "mqtt"
			}
			in.RetryAfterMS, in.TimeoutMS = retryAfter.Milliseconds(), timeout.Milliseconds()
			if in.StartAt, err = moment(at, time.Now()); err != nil {
				return err
			}
			r, err := c.StartUpgrade(cmd.Context(), in)
			if err != nil {
				return err
			}
			return output(cmd, r, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "upgrade %d of %d devices\n", r.ID, r.Devices)
				return err
			})
		}),
	}
	f := cmd.Flags()
	f.StringSliceVar(&in.Devices, "device", nil, "only this `device`; may be repeated")
	f.StringToStringVar(&tag, "tag", nil, "only devices with this tag, `KEY=VALUE`")
	f.IntVar(&in.Percent, "percent", 0, "only this part of them, always the same devices; 0: all")
	f.StringSliceVar(&in.Sources, "from", nil, "only devices that reported this `version`; may be repeated")
	f.BoolVar(&overMQTT, "mqtt", false, "let devices fetch it over MQTT instead of HTTPS")
	f.IntVar(&in.Retries, "retries", 0, "how often a device that failed is told again, at most 5")
	f.DurationVar(&retryAfter, "retry-after", 0, "how long after it failed")
	f.StringVar(&at, "at", "", "`when` it begins: 2026-11-23 or '2026-11-23 15:04'; at once if not given")
	f.DurationVar(&timeout, "timeout", 0, "how long it takes at most; 0: without end")
	return cmd
}

// stateOrder is the order in which states are shown.
var stateOrder = []string{"pending", "pushed", "upgrading", "success", "failure", "cancelled"}

func newUpgradeListCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "list PRODUCTKEY",
		Short:   "List a product's upgrades and how far they are",
		Example: "  linkstead upgrade list a1ji0qFv6Jf",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			list, err := c.Upgrades(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return output(cmd, list, func(w io.Writer) error {
				header := []string{"ID", "MODULE", "VERSION", "BEGAN"}
				for _, s := range stateOrder {
					header = append(header, map[string]string{"pending": "PENDING", "pushed": "PUSHED", "upgrading": "UPGRADING", "success": "SUCCESS", "failure": "FAILURE", "cancelled": "CANCELLED"}[s])
				}
				var rows [][]string
				for _, u := range list {
					row := []string{strconv.FormatInt(u.ID, 10), u.Firmware.Module, u.Firmware.Version, localTime(u.StartAt)}
					for _, s := range stateOrder {
						row = append(row, strconv.Itoa(u.States[s]))
					}
					rows = append(rows, row)
				}
				return printTable(w, header, rows)
			})
		}),
	}
}

func newUpgradeShowCommand(t *target) *cobra.Command {
	var after int64
	var limit int
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show the devices of an upgrade",
		Example: "  linkstead upgrade show 1",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			n, err := idArg(args[0])
			if err != nil {
				return err
			}
			list, err := c.UpgradeTasks(cmd.Context(), n, after, limit)
			if err != nil {
				return err
			}
			return output(cmd, list, func(w io.Writer) error {
				var rows [][]string
				for _, k := range list {
					rows = append(rows, []string{k.DeviceName, k.Reported, k.State, strconv.Itoa(k.Step), localTime(k.ChangedAt), k.Reason})
				}
				return printTable(w, []string{"DEVICE", "VERSION", "STATE", "STEP", "SINCE", "REASON"}, rows)
			})
		}),
	}
	cmd.Flags().Int64Var(&after, "after", 0, "only tasks with a greater `id` than this")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most")
	return cmd
}

func newUpgradeCancelCommand(t *target) *cobra.Command {
	return newCancelCommand(t, "End an upgrade for the devices that have not begun", "  linkstead upgrade cancel 1", (*client.Client).CancelUpgrade)
}
