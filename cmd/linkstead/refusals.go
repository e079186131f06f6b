package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
)

func newRefusalsCommand() *cobra.Command {
	t := new(target)
	return online(&cobra.Command{
		Use:     "refusals",
		Short:   "Show why the latest logins were refused",
		Example: "  linkstead refusals\n  linkstead refusals --json",
		Args:    cobra.NoArgs,
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			list, err := c.Refusals(cmd.Context())
			if err != nil {
				return err
			}
			return output(cmd, list, func(w io.Writer) error {
				var rows [][]string
				for _, r := range list {
					rows = append(rows, []string{localTime(r.AtMS), r.Identity, r.Remote, r.Code, r.Cause})
				}
				return printTable(w, []string{"TIME", "WHO", "FROM", "CODE", "CAUSE"}, rows)
			})
		}),
	}, t)
}
