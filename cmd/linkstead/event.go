package main

import (
	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
)

func newEventCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:     "event",
		Short:   "Read the events of devices",
		Example: "  linkstead event history a1ji0qFv6Jf/STC15 alarm",
	}), t)
	cmd.AddCommand(newHistoryCommand(t, "Show the stored outputs of an event",
		"  linkstead event history a1ji0qFv6Jf/STC15 alarm --from 7d", (*client.Client).EventHistory))
	return cmd
}
