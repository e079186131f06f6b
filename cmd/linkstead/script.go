package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/script"
	"github.com/linkstead/linkstead/mqtt"
)

func newScriptCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:   "script",
		Short: "Keep and test the scripts of products whose devices send bytes",
		Long: `A script is JavaScript that turns the bytes of devices into messages and back:
rawDataToProtocol, protocolToRawData and, for custom topics with ?_sn=default,
transformPayload. "test" needs no server.`,
		Example: "  linkstead script test lamp.js --up '00 00 00 00 01 00 32 01 00 00 00 00'\n  linkstead script set a1ji0qFv6Jf lamp.js",
	}), t)
	cmd.AddCommand(newScriptSetCommand(t), newScriptShowCommand(t), newScriptDeleteCommand(t), newScriptTestCommand())
	return cmd
}

func newScriptSetCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "set PRODUCTKEY FILE",
		Short:   "Make a file the script of a product, after running it once",
		Example: "  linkstead script set a1ji0qFv6Jf lamp.js",
		Args:    cobra.ExactArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			b, err := readArgument(cmd.InOrStdin(), args[1])
			if err != nil {
				return err
			}
			if err := c.PutScript(cmd.Context(), args[0], b); err != nil {
				return err
			}
			return printDone(cmd, "product "+args[0]+" has its script")
		}),
	}
}

func newScriptShowCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "show PRODUCTKEY",
		Short:   "Print the script of a product",
		Example: "  linkstead script show a1ji0qFv6Jf > lamp.js",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			s, err := c.Script(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if s == "" {
				return notFoundError("product %s has no script", args[0])
			}
			return output(cmd, map[string]string{"script": s}, func(w io.Writer) error {
				_, err := io.WriteString(w, s)
				return err
			})
		}),
	}
}

func newScriptDeleteCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "delete PRODUCTKEY",
		Short:   "Remove the script of a product",
		Example: "  linkstead script delete a1ji0qFv6Jf",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if err := c.DeleteScript(cmd.Context(), args[0]); err != nil {
				return err
			}
			return printDone(cmd, "the script of "+args[0]+" is gone")
		}),
	}
}

func newScriptTestCommand() *cobra.Command {
	var up, down, topic string
	cmd := &cobra.Command{
		Use:   "test FILE",
		Short: "Run a script on sample bytes or a sample message, without a server",
		Long: `Runs a script as the server does, with the same limits: 16 MiB of memory, 1 s a call.
--up takes the bytes of a device in hex, with or without 0x and blanks, and prints the
message; with --topic it is transformPayload that runs. --down takes a message as JSON
and prints the bytes.`,
		Example: `  linkstead script test lamp.js --up 0x000000000100320100000000
  linkstead script test lamp.js --down '{"method":"thing.service.property.set","id":"1","params":{"Light":1}}'
  linkstead script test lamp.js --up 0102 --topic '/a1ji0qFv6Jf/STC15/user/update?_sn=default'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := readArgument(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			if (up == "") == (down == "") {
				return usageError("give either --up or --down")
			}
			s, err := script.New(string(source), script.Limits{})
			if err != nil {
				return err
			}
			defer s.Close()
			if down != "" {
				if topic != "" || !json.Valid([]byte(down)) {
					return usageError("--down takes a JSON message, and no topic")
				}
				raw, err := s.ProtocolToRaw([]byte(down))
				if err != nil {
					return err
				}
				return output(cmd, map[string]string{"bytes": hex.EncodeToString(raw)}, func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "% x\n", raw)
					return err
				})
			}
			raw, err := mqtt.ParseHex(strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(up), "0x"), "0X"))
			if err != nil {
				return usageError("%w", err)
			}
			var message []byte
			if topic != "" {
				message, err = s.Transform(topic, raw)
			} else {
				message, err = s.RawToProtocol(raw)
			}
			if err != nil {
				return err
			}
			return output(cmd, json.RawMessage(message), func(w io.Writer) error {
				_, err := fmt.Fprintln(w, printable(string(message)))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&up, "up", "", "`bytes` of a device, in hex")
	cmd.Flags().StringVar(&down, "down", "", "a `message` for a device, or the answer to one of its own, as JSON")
	cmd.Flags().StringVar(&topic, "topic", "", "the custom `topic` that the bytes came on")
	return cmd
}
