package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
)

func newFileCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:     "file",
		Short:   "List, fetch and delete the files that devices have sent",
		Example: "  linkstead file list a1ji0qFv6Jf/STC15\n  linkstead file get a1ji0qFv6Jf/STC15 boot.log",
	}), t)
	cmd.AddCommand(newFileListCommand(t), newFileGetCommand(t), newFileDeleteCommand(t))
	return cmd
}

func newFileListCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "list PRODUCTKEY/DEVICENAME",
		Short:   "List a device's files",
		Example: "  linkstead file list a1ji0qFv6Jf/STC15",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			list, err := c.Files(cmd.Context(), pk, dn)
			if err != nil {
				return err
			}
			return output(cmd, list, func(w io.Writer) error {
				var rows [][]string
				for _, f := range list {
					size := ""
					if f.Size >= 0 {
						size = strconv.FormatInt(f.Size, 10)
					}
					rows = append(rows, []string{f.Name, size, yesNo(f.Complete), localTime(f.ChangedAt), f.CRC64})
				}
				return printTable(w, []string{"NAME", "BYTES", "COMPLETE", "SINCE", "CRC-64"}, rows)
			})
		}),
	}
}

func newFileGetCommand(t *target) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "get PRODUCTKEY/DEVICENAME NAME [FILE]",
		Short: "Fetch a file of a device",
		Long: `Fetches a complete file of a device, into a file of the same name here, or into FILE; - is
standard output. A file that is there already stays unless --force is given.`,
		Example: "  linkstead file get a1ji0qFv6Jf/STC15 boot.log\n  linkstead file get a1ji0qFv6Jf/STC15 boot.log - | less",
		Args:    cobra.RangeArgs(2, 3),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			to := args[1]
			if len(args) == 3 {
				to = args[2]
			} else if filepath.Base(to) != to || !filepath.IsLocal(to) {
				return usageError("%q is no name of a device's file", to)
			}
			if to == "-" {
				_, err := c.File(cmd.Context(), pk, dn, args[1], cmd.OutOrStdout())
				return err
			}
			if _, err := os.Lstat(to); err == nil && !force {
				return withHint(usageError("%s is there already", to), "Name another file behind it, or add --force.")
			}
			n, err := fetchFile(cmd, c, pk, dn, args[1], to)
			if err != nil {
				return err
			}
			return output(cmd, map[string]any{"file": to, "bytes": n}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s: %d bytes\n", to, n)
				return err
			})
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "write over a file that is there already")
	return cmd
}

// fetchFile writes a device's file to a path, whole or not at all.
func fetchFile(cmd *cobra.Command, c *client.Client, pk, dn, name, to string) (n int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*")
	if err != nil {
		return 0, usageError("%w", err)
	}
	defer func() {
		if rm := os.Remove(f.Name()); err == nil && rm != nil && !errors.Is(rm, fs.ErrNotExist) {
			err = rm
		}
	}()
	n, err = c.File(cmd.Context(), pk, dn, name, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return n, err
	}
	return n, os.Rename(f.Name(), to)
}

func newFileDeleteCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "delete PRODUCTKEY/DEVICENAME NAME",
		Short:   "Remove a file of a device, and what is being sent of it",
		Example: "  linkstead file delete a1ji0qFv6Jf/STC15 boot.log",
		Args:    cobra.ExactArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			if err := c.DeleteFile(cmd.Context(), pk, dn, args[1]); err != nil {
				return err
			}
			return printDone(cmd, args[1]+" of "+args[0]+" is gone")
		}),
	}
}
