package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
)

// newCancelCommand makes the command that ends a job or an upgrade, of which cancel
// returns for how many devices it ended.
func newCancelCommand(t *target, short, example string, cancel func(c *client.Client, ctx context.Context, id int64, all bool) (int64, error)) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "cancel ID",
		Short:   short,
		Example: example,
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			n, err := idArg(args[0])
			if err != nil {
				return err
			}
			k, err := cancel(c, cmd.Context(), n, all)
			if err != nil {
				return err
			}
			return output(cmd, map[string]int64{"cancelled": k}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "cancelled for %d devices\n", k)
				return err
			})
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "also for devices that have begun")
	return cmd
}
