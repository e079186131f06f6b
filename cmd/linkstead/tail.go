package main

import (
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
)

func newTailCommand() *cobra.Command {
	t := new(target)
	var o client.TailOptions
	var count int
	cmd := online(&cobra.Command{
		Use:   "tail [PRODUCTKEY/DEVICENAME]",
		Short: "Watch what devices and the server say to each other, live",
		Long: `Prints every MQTT packet of a device, or of all devices and applications, as it comes and
goes: time, who, → to the server or ← from it, packet, topic, payload. Ctrl-C ends it.
What a gateway says for a sub-device has the sub-device's name in brackets; a sub-device can
be watched by its own name.
Watching never slows a device down; what is missed is counted. Passwords are masked.`,
		Example: `  linkstead tail
  linkstead tail a1ji0qFv6Jf/STC15 --explain
  linkstead tail --session a:dashboard --hex`,
		Args: cobra.MaximumNArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if len(args) > 0 {
				if _, _, err := deviceArg(args[0]); err != nil {
					return err
				}
				o.Device = args[0]
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			left := count
			started := func() { fmt.Fprintln(cmd.ErrOrStderr(), "watching; Ctrl-C ends") }
			err := c.Tail(ctx, o, started, func(p admin.Packet) error {
				if err := printPacket(cmd, p); err != nil {
					return err
				}
				if left--; left == 0 {
					stop()
				}
				return nil
			})
			if ctx.Err() != nil {
				return nil
			}
			return err
		}),
	}, t)
	cmd.Flags().BoolVar(&o.Hex, "hex", false, "print the bytes below each packet")
	cmd.Flags().BoolVar(&o.Explain, "explain", false, "say below each packet what every byte means")
	cmd.Flags().StringVar(&o.Session, "session", "", "watch the `session` of this key: a: and the client id of an application")
	cmd.Flags().IntVar(&count, "count", 0, "end after this many packets")
	return cmd
}

func printPacket(cmd *cobra.Command, p admin.Packet) error {
	w := cmd.OutOrStdout()
	if wantJSON(cmd) {
		return printJSONLine(w, p)
	}
	if p.Missed > 0 {
		if _, err := fmt.Fprintf(w, "… %d packets were missed\n", p.Missed); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, packetLine(p))
	if err == nil && p.Hex != "" {
		_, err = fmt.Fprintf(w, "    %s\n", p.Hex)
	}
	if err == nil && len(p.Explain) > 0 {
		_, err = fmt.Fprintf(w, "    %s\n", strings.Join(p.Explain, "\n    "))
	}
	return err
}

// packetLine shows a packet on one line.
func packetLine(p admin.Packet) string {
	name, arrow := p.Device, "→"
	if name == "" {
		name = p.Session
	}
	if p.SubDevice != "" {
		name += " [" + p.SubDevice + "]"
	}
	if p.Direction == "down" {
		arrow = "←"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %s", time.UnixMilli(p.Time).Format("15:04:05.000"), name, arrow, p.Packet)
	if p.PacketID != 0 {
		fmt.Fprintf(&b, " #%d", p.PacketID)
	}
	if p.Topic != "" {
		if p.QoS > 0 {
			fmt.Fprintf(&b, " q%d", p.QoS)
		}
		if p.Dup {
			b.WriteString(" dup")
		}
		if p.Retain {
			b.WriteString(" retain")
		}
		b.WriteString(" " + p.Topic)
	}
	switch {
	case p.Text != "":
		b.WriteString(" " + p.Text)
	case len(p.Base64) > 0:
		fmt.Fprintf(&b, " [% x]", p.Base64)
	}
	if p.Properties != nil {
		if lines := p.Properties.Lines(); len(lines) > 0 {
			b.WriteString(" {" + strings.Join(lines, ", ") + "}")
		}
	}
	if p.Info != "" {
		b.WriteString(" " + p.Info)
	}
	return strings.ReplaceAll(printable(b.String()), "\n", `\n`) + "\n"
}
