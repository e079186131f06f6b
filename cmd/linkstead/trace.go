package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
)

// followEvery is how often --follow asks for what is new.
const followEvery = 500 * time.Millisecond

func newTraceCommand() *cobra.Command {
	t := new(target)
	var since time.Duration
	var limit int
	var follow bool
	cmd := online(&cobra.Command{
		Use:   "trace PRODUCTKEY/DEVICENAME",
		Short: "Show what became of a device's messages: accepted, queued, delivered, acknowledged, expired, dropped",
		Long: `Prints the server's record of a device's messages, oldest first: time, → from the device
or ← to it, what happened, packet, QoS, bytes, topic, and why a message was dropped. The
record is kept on disk and bounded (settings observe.trace_bytes and trace_device_bytes);
what came too fast to be kept is counted in it. Messages of a sub-device are in its own
record and in that of its gateway, with the sub-device's name in brackets.`,
		Example: `  linkstead trace a1ji0qFv6Jf/STC15
  linkstead trace a1ji0qFv6Jf/STC15 --since 10m --json
  linkstead trace a1ji0qFv6Jf/STC15 --follow`,
		Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			var from int64
			if since > 0 {
				from = time.Now().Add(-since).UnixMilli()
			}
			ctx := cmd.Context()
			entries, err := c.Trace(ctx, pk, dn, 0, from, limit)
			if err != nil {
				return err
			}
			if !follow {
				return output(cmd, entries, func(w io.Writer) error { return printTrace(w, entries) })
			}
			ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return followTrace(ctx, cmd, c, pk, dn, entries)
		}),
	}, t)
	cmd.Flags().DurationVar(&since, "since", 0, "only what happened within this `time`, such as 10m")
	cmd.Flags().IntVar(&limit, "limit", 0, "only the newest `N`")
	cmd.Flags().BoolVar(&follow, "follow", false, "go on with what happens, until Ctrl-C")
	return cmd
}

// followTrace prints entries, and what comes after them until ctx ends.
func followTrace(ctx context.Context, cmd *cobra.Command, c *client.Client, pk, dn string, entries []admin.TraceEntry) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var last uint64
	for {
		for _, e := range entries {
			last = e.ID
			if wantJSON(cmd) {
				if err := printJSONLine(cmd.OutOrStdout(), e); err != nil {
					return err
				}
			}
		}
		if !wantJSON(cmd) {
			if err := printTrace(cmd.OutOrStdout(), entries); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var err error
		if entries, err = c.Trace(ctx, pk, dn, last, 0, 0); err != nil {
			if errors.Is(err, context.Canceled) || ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

func printTrace(w io.Writer, entries []admin.TraceEntry) error {
	for _, e := range entries {
		if _, err := io.WriteString(w, traceLine(e)); err != nil {
			return err
		}
	}
	return nil
}

// traceLine shows an entry on one line.
func traceLine(e admin.TraceEntry) string {
	arrow := "←"
	if e.Direction == "up" {
		arrow = "→"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %-12s", time.UnixMilli(e.Time).Format("2006-01-02 15:04:05.000"), arrow, e.Event)
	if e.SubDevice != "" {
		b.WriteString(" [" + e.SubDevice + "]")
	}
	if e.Event == "left out" {
		fmt.Fprintf(&b, " %d records: too many at once", e.Count)
		return b.String() + "\n"
	}
	if e.PacketID != 0 {
		b.WriteString(" #" + strconv.Itoa(int(e.PacketID)))
	}
	fmt.Fprintf(&b, " q%d", e.QoS)
	if e.Event != "acknowledged" {
		fmt.Fprintf(&b, " %d B", e.Bytes)
	}
	if e.Count > 1 {
		fmt.Fprintf(&b, " %d messages", e.Count)
	}
	if e.Topic != "" {
		b.WriteString(" " + e.Topic)
	}
	if e.Reason != "" {
		b.WriteString(": " + e.Reason)
	}
	return strings.ReplaceAll(printable(b.String()), "\n", `\n`) + "\n"
}
