package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
)

// readHistory is a method of the client that reads a series.
type readHistory func(c *client.Client, ctx context.Context, pk, dn, id string, q platform.HistoryQuery) ([]platform.Value, error)

// newHistoryCommand makes the command that shows one kind of series.
func newHistoryCommand(t *target, short, example string, read readHistory) *cobra.Command {
	var from, to string
	var q platform.HistoryQuery
	cmd := &cobra.Command{
		Use:   "history PRODUCTKEY/DEVICENAME IDENTIFIER",
		Short: short,
		Long: short + `, oldest first. --from and --to take a date
(2026-11-23), a date and time ('2026-11-23 15:04'), how long ago (2h, 7d) or Unix
milliseconds.`,
		Example: example,
		Args:    cobra.ExactArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			now := time.Now()
			if q.From, err = moment(from, now); err != nil {
				return err
			}
			if q.To, err = moment(to, now); err != nil {
				return err
			}
			values, err := read(c, cmd.Context(), pk, dn, args[1], q)
			if err != nil {
				return err
			}
			return output(cmd, values, func(w io.Writer) error {
				var rows [][]string
				for _, v := range values {
					rows = append(rows, []string{time.UnixMilli(v.Time).Format("2006-01-02 15:04:05.000"), string(v.Value)})
				}
				return printTable(w, []string{"TIME", "VALUE"}, rows)
			})
		}),
	}
	cmd.Flags().StringVar(&from, "from", "", "only from this `time` on")
	cmd.Flags().StringVar(&to, "to", "", "only up to this `time`")
	cmd.Flags().IntVar(&q.Limit, "limit", 1000, "at most this many, 100000 at most")
	cmd.Flags().BoolVar(&q.Descending, "newest", false, "newest first, and with --limit the newest")
	return cmd
}
