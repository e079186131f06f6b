package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
)

func newStatusCommand() *cobra.Command {
	t := new(target)
	return online(&cobra.Command{
		Use:     "status",
		Short:   "Show how the server is",
		Example: "  linkstead status\n  linkstead status --json",
		Args:    cobra.NoArgs,
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			return output(cmd, s, func(w io.Writer) error {
				up := (time.Duration(s.UptimeMS) * time.Millisecond).Round(time.Second)
				dropped := uint64(0)
				for reason, n := range s.Broker.Dropped {
					if reason != "no receiver" { // nobody wanted it: nothing was lost
						dropped += n
					}
				}
				store := "available"
				if !s.Queue.Available {
					store = "NOT AVAILABLE: see the server's log"
				}
				return printFields(w,
					[2]string{"version", s.Version}, [2]string{"up", fmt.Sprintf("%v, since %s", up, localTime(s.StartedAt))},
					[2]string{"devices at", strings.Join(s.Addresses, ", ")}, [2]string{"admin at", s.Admin},
					[2]string{"authority", s.CAFile},
					[2]string{"connected", fmt.Sprintf("%d of %d sessions, %d subscriptions", s.Broker.Connected, s.Broker.Sessions, s.Broker.Subscriptions)},
					[2]string{"logins", fmt.Sprintf("%d, %d refused", s.Broker.Logins, s.Broker.Refused)},
					[2]string{"messages", fmt.Sprintf("%d in, %d out, %d dropped, %d retained", s.Broker.Received, s.Broker.Delivered, dropped, s.Broker.Retained)},
					[2]string{"store", fmt.Sprintf("%s, %d KiB on disk, last sync %.1f ms", store, s.Queue.DiskBytes>>10, s.Queue.LastSyncMS)},
					[2]string{"memory", fmt.Sprintf("%d MiB heap", s.Heap>>20)})
			})
		}),
	}, t)
}
