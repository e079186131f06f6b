package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
)

func newDropsCommand() *cobra.Command {
	t := new(target)
	return online(&cobra.Command{
		Use:     "drops",
		Short:   "Show which messages were not delivered, and why",
		Example: "  linkstead drops\n  linkstead drops --json",
		Args:    cobra.NoArgs,
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			d, err := c.Drops(cmd.Context())
			if err != nil {
				return err
			}
			return output(cmd, d, func(w io.Writer) error {
				var rows [][]string
				for _, m := range d.Latest {
					rows = append(rows, []string{localTime(m.AtMS), m.Key, m.Reason, strconv.Itoa(m.Count), m.Topic})
				}
				if err := printTable(w, []string{"TIME", "WHO", "REASON", "COUNT", "TOPIC"}, rows); err != nil {
					return err
				}
				for _, reason := range slices.Sorted(maps.Keys(d.Totals)) {
					if _, err := fmt.Fprintf(w, "since the start, %s: %d\n", reason, d.Totals[reason]); err != nil {
						return err
					}
				}
				return nil
			})
		}),
	}, t)
}
