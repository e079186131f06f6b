package main

import (
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
)

func newPropertyCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:     "property",
		Short:   "Read and set the properties of devices",
		Example: "  linkstead property get a1ji0qFv6Jf/STC15\n  linkstead property set a1ji0qFv6Jf/STC15 Light=1",
	}), t)
	cmd.AddCommand(newPropertyGetCommand(t), newPropertySetCommand(t), newPropertyDesiredCommand(t), newPropertyHistoryCommand(t))
	return cmd
}

func newPropertyGetCommand(t *target) *cobra.Command {
	var ask bool
	var flags callFlags
	cmd := &cobra.Command{
		Use:   "get PRODUCTKEY/DEVICENAME [IDENTIFIER…]",
		Short: "Show the values a device reported last, or ask it for them",
		Example: `  linkstead property get a1ji0qFv6Jf/STC15
  linkstead property get a1ji0qFv6Jf/STC15 Temp Hum --from-device`,
		Args: cobra.MinimumNArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			ids := args[1:]
			if ask {
				return askProperties(cmd, c, pk, dn, ids, flags)
			}
			all, err := c.LatestProperties(cmd.Context(), pk, dn)
			if err != nil {
				return err
			}
			values := []platform.Value{}
			for _, v := range all {
				if len(ids) == 0 || slices.Contains(ids, v.Identifier) {
					values = append(values, v)
				}
			}
			for _, id := range ids {
				if !slices.ContainsFunc(values, func(v platform.Value) bool { return v.Identifier == id }) {
					return notFoundError("device %s has not reported a property %s", args[0], id)
				}
			}
			return output(cmd, values, func(w io.Writer) error {
				var rows [][]string
				for _, v := range values {
					rows = append(rows, []string{v.Identifier, string(v.Value), localTime(v.Time)})
				}
				return printTable(w, []string{"PROPERTY", "VALUE", "TIME"}, rows)
			})
		}),
	}
	cmd.Flags().BoolVar(&ask, "from-device", false, "ask the device itself; without identifiers for all of its thing model")
	cmd.Flags().DurationVar(&flags.timeout, "timeout", 0, "how long the device's reply is awaited; 0: as the server is configured")
	return cmd
}

func askProperties(cmd *cobra.Command, c *client.Client, pk, dn string, ids []string, flags callFlags) error {
	if len(ids) == 0 {
		m, err := thingModel(cmd, c, pk)
		if err != nil {
			return err
		}
		for _, p := range m.Properties() {
			ids = append(ids, p.Identifier)
		}
	}
	r, err := c.GetProperties(cmd.Context(), pk, dn, admin.GetRequest{Identifiers: ids, CallRequest: flags.request()})
	if err != nil {
		return err
	}
	return printCall(cmd, pk+"/"+dn, r)
}

func newPropertySetCommand(t *target) *cobra.Command {
	var flags callFlags
	var document string
	cmd := &cobra.Command{
		Use:   "set PRODUCTKEY/DEVICENAME NAME=VALUE…",
		Short: "Tell a device to change properties and await its reply",
		Long: `Tells a device to change properties, after a check against the thing model, and awaits its
reply. A value that is JSON is sent as it is, anything else as a text.`,
		Example: `  linkstead property set a1ji0qFv6Jf/STC15 Light=1
  linkstead property set a1ji0qFv6Jf/STC15 --json-params '{"Light": 1}' --timeout 2s`,
		Args: cobra.MinimumNArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			if len(args) == 1 && document == "" {
				return usageError("no property is given; write NAME=VALUE")
			}
			p, err := params(args[1:], document)
			if err != nil {
				return err
			}
			r, err := c.SetProperties(cmd.Context(), pk, dn, admin.SetRequest{Params: p, CallRequest: flags.request()})
			if err != nil {
				return err
			}
			return printCall(cmd, args[0], r)
		}),
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&document, "json-params", "", "the properties as one JSON `object`")
	return cmd
}

func newPropertyHistoryCommand(t *target) *cobra.Command {
	cmd := newHistoryCommand(t, "Show the stored values of a property",
		"  linkstead property history a1ji0qFv6Jf/STC15 Temp --from 2h\n  linkstead property history a1ji0qFv6Jf/STC15 Temp --limit 10 --newest --json\n"+
			"  linkstead property history a1ji0qFv6Jf/STC15 Temp --from 1d --every 10m",
		(*client.Client).PropertyHistory)
	every := cmd.Flags().Duration("every", 0, "sum up the values of each such `span` of time, with --limit 10000 at most")
	values := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !cmd.Flags().Changed("every") {
			return values(cmd, args)
		}
		return t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			return printChart(cmd, c, args, *every)
		})(cmd, args)
	}
	return cmd
}

// printChart shows a property summed up; it reads the flags of the history command.
func printChart(cmd *cobra.Command, c *client.Client, args []string, every time.Duration) error {
	if every < time.Millisecond || every%time.Millisecond != 0 {
		return usageError("--every %s is not a number of milliseconds; write 10s, 1m or 1h", every)
	}
	if cmd.Flags().Changed("newest") {
		return usageError("--every shows the oldest first; leave out --newest and say --from")
	}
	pk, dn, err := deviceArg(args[0])
	if err != nil {
		return err
	}
	q := platform.ChartQuery{EveryMS: every.Milliseconds()}
	now := time.Now()
	if q.From, err = moment(cmd.Flag("from").Value.String(), now); err != nil {
		return err
	}
	if q.To, err = moment(cmd.Flag("to").Value.String(), now); err != nil {
		return err
	}
	if q.Limit, err = cmd.Flags().GetInt("limit"); err != nil {
		return err
	}
	buckets, err := c.PropertyChart(cmd.Context(), pk, dn, args[1], q)
	if err != nil {
		return err
	}
	return output(cmd, buckets, func(w io.Writer) error {
		number := func(f *float64) string {
			if f == nil {
				return ""
			}
			return strconv.FormatFloat(*f, 'g', 6, 64)
		}
		var rows [][]string
		for _, b := range buckets {
			rows = append(rows, []string{time.UnixMilli(b.Time).Format("2006-01-02 15:04:05.000"), strconv.Itoa(b.Count),
				number(b.Min), number(b.Avg), number(b.Max), string(b.First), string(b.Last)})
		}
		return printTable(w, []string{"FROM", "COUNT", "MIN", "AVG", "MAX", "FIRST", "LAST"}, rows)
	})
}
