package main

import (
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
)

func newPropertyDesiredCommand(t *target) *cobra.Command {
	var document string
	var versions map[string]int64
	cmd := &cobra.Command{
		Use:   "desired PRODUCTKEY/DEVICENAME [NAME=VALUE…]",
		Short: "Show or change what properties of a device should become",
		Long: `Without values it shows what properties of a device should become. With values it changes
them: a device that is online is told at once, one that is away when it connects. null
clears a value. --version lets a change pass only if the value has that version.`,
		Example: `  linkstead property desired a1ji0qFv6Jf/STC15
  linkstead property desired a1ji0qFv6Jf/STC15 Light=1 --version Light=3`,
		Args: cobra.MinimumNArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			var values []platform.DesiredValue
			if len(args) == 1 && document == "" {
				values, err = c.Desired(cmd.Context(), pk, dn)
			} else {
				var in admin.DesiredRequest
				if in.Params, err = params(args[1:], document); err != nil {
					return err
				}
				in.Versions = versions
				values, err = c.SetDesired(cmd.Context(), pk, dn, in)
			}
			if err != nil {
				return err
			}
			return output(cmd, values, func(w io.Writer) error {
				var rows [][]string
				for _, v := range values {
					rows = append(rows, []string{v.Identifier, string(v.Value), strconv.FormatInt(v.Version, 10)})
				}
				return printTable(w, []string{"PROPERTY", "DESIRED", "VERSION"}, rows)
			})
		}),
	}
	cmd.Flags().StringVar(&document, "json-params", "", "the values as one JSON `object`")
	cmd.Flags().StringToInt64Var(&versions, "version", nil, "the `NAME=NUMBER` that a value must have, 0 for none yet")
	return cmd
}
