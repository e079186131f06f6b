package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
)

func newShadowCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:   "shadow",
		Short: "Read and change the shadows of devices",
		Long: `A shadow is a document beside a device: what it reported, and what it should become. The
device reads it whenever it is there.`,
		Example: "  linkstead shadow show a1ji0qFv6Jf/STC15\n  linkstead shadow desire a1ji0qFv6Jf/STC15 color=red",
	}), t)
	cmd.AddCommand(newShadowShowCommand(t), newShadowDesireCommand(t), newShadowDeleteCommand(t))
	return cmd
}

func printShadow(cmd *cobra.Command, s platform.Shadow) error {
	return output(cmd, s, func(w io.Writer) error {
		return printFields(w, [2]string{"version", fmt.Sprint(s.Version)}, [2]string{"state", string(s.State)}, [2]string{"metadata", string(s.Metadata)})
	})
}

func newShadowShowCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "show PRODUCTKEY/DEVICENAME",
		Short:   "Show a device's shadow",
		Example: "  linkstead shadow show a1ji0qFv6Jf/STC15",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			s, err := c.Shadow(cmd.Context(), pk, dn)
			if err != nil {
				return err
			}
			return printShadow(cmd, s)
		}),
	}
}

func newShadowDesireCommand(t *target) *cobra.Command {
	var in admin.ShadowRequest
	var document string
	var clear bool
	cmd := &cobra.Command{
		Use:   "desire PRODUCTKEY/DEVICENAME NAME=VALUE…",
		Short: "Change what a device's shadow desires, and tell the device",
		Long: `Changes what a device's shadow desires: names are merged, null removes one, --clear all. The
device is told at once if it is online, and when it connects.`,
		Example: `  linkstead shadow desire a1ji0qFv6Jf/STC15 color=red speed=3
  linkstead shadow desire a1ji0qFv6Jf/STC15 --json-params '{"color":"green"}' --version 7`,
		Args: cobra.MinimumNArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			switch {
			case clear && (len(args) > 1 || document != ""):
				return usageError("--clear goes without names")
			case clear:
				in.Desired = json.RawMessage("null")
			case len(args) == 1 && document == "":
				return usageError("nothing is desired; write NAME=VALUE")
			default:
				if in.Desired, err = params(args[1:], document); err != nil {
					return err
				}
			}
			s, err := c.DesireShadow(cmd.Context(), pk, dn, in)
			if err != nil {
				return err
			}
			return printShadow(cmd, s)
		}),
	}
	cmd.Flags().StringVar(&document, "json-params", "", "the desired state as one JSON `object`")
	cmd.Flags().BoolVar(&clear, "clear", false, "clear what is desired")
	cmd.Flags().Int64Var(&in.Version, "version", 0, "the version that the shadow is to have, greater than its own; 0 counts on, -1 empties it first")
	return cmd
}

func newShadowDeleteCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "delete PRODUCTKEY/DEVICENAME",
		Short:   "Remove a device's shadow; its version begins again",
		Example: "  linkstead shadow delete a1ji0qFv6Jf/STC15",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			if err := c.DeleteShadow(cmd.Context(), pk, dn); err != nil {
				return err
			}
			return printDone(cmd, "the shadow of "+args[0]+" is gone")
		}),
	}
}
