package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
)

func newDeviceLogCommand(t *target) *cobra.Command {
	var limit int
	var before int64
	var turn string
	cmd := &cobra.Command{
		Use:   "log PRODUCTKEY/DEVICENAME",
		Short: "Show what a device logged and what was wrong with its messages",
		Long: `Shows the newest lines of a device's log: what the device reported itself, and what the
server found wrong with its messages, scripts included. --switch on tells the device to
report its log, --switch off to stop.`,
		Example: "  linkstead device log a1ji0qFv6Jf/STC15 --limit 20\n  linkstead device log a1ji0qFv6Jf/STC15 --switch on",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			switch turn {
			case "":
			case "on", "off":
				return c.SwitchLog(cmd.Context(), pk, dn, turn == "on")
			default:
				return usageError("--switch %s is neither on nor off", turn)
			}
			lines, err := c.DeviceLog(cmd.Context(), pk, dn, before, limit)
			if err != nil {
				return err
			}
			return output(cmd, lines, func(w io.Writer) error {
				var rows [][]string
				for _, l := range lines {
					rows = append(rows, []string{localTime(l.Time), l.Source, l.Level, l.Module, l.Code, l.Content})
				}
				return printTable(w, []string{"TIME", "FROM", "LEVEL", "MODULE", "CODE", "CONTENT"}, rows)
			})
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "how many lines at most")
	cmd.Flags().Int64Var(&before, "before", 0, "only lines with a smaller `id` than this")
	cmd.Flags().StringVar(&turn, "switch", "", "`on` or off: tell the device to report its log, or not to")
	return cmd
}
