package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
)

func newReloadCommand() *cobra.Command {
	t := new(target)
	return online(&cobra.Command{
		Use:   "reload",
		Short: "Have the server read its configuration and certificates again",
		Long: `Have the server read its configuration file and its certificates again. Environment and
flags stay as they were at its start. No connection is closed. If anything in the new
configuration is wrong nothing changes and the command ends with 1. Settings that cannot
be taken over by a running server are named: they stay as they are until it is started
again. "linkstead config check" looks at a file without a server.`,
		Example: "  linkstead reload",
		Args:    cobra.NoArgs,
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			r, err := c.Reload(cmd.Context())
			if err != nil {
				return err
			}
			return output(cmd, r, func(w io.Writer) error {
				if len(r.Changes) == 0 {
					_, err := fmt.Fprintln(w, "No setting has changed; the certificate was read again.")
					return err
				}
				var rows [][]string
				var waiting []string
				for _, c := range r.Changes {
					state := "in use"
					if !c.Live {
						state = "NEEDS A RESTART"
						waiting = append(waiting, c.Key)
					}
					rows = append(rows, []string{c.Key, fmt.Sprint(c.Old), fmt.Sprint(c.New), state})
				}
				if err := printTable(w, []string{"KEY", "OLD", "NEW", ""}, rows); err != nil {
					return err
				}
				if len(waiting) > 0 {
					_, err := fmt.Fprintf(w, "\nRestart the server for %s; until then the old values stay in use.\n", strings.Join(waiting, ", "))
					return err
				}
				return nil
			})
		}),
	}, t)
}
