package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/backup"
	"github.com/linkstead/linkstead/internal/config"
)

func newBackupCommand() *cobra.Command {
	t := new(target)
	return online(&cobra.Command{
		Use:   "backup DIR",
		Short: "Copy everything a running server stores",
		Long: `Writes a backup of a running server into DIR, on the server's machine: records, history,
sessions, queues, retained messages and the certificates it made. DIR must be empty or not
there yet. Everything that was acknowledged before the command is in it.

The master key is not: without it nobody can read the devices' secrets in the backup, nor
can you. Keep a copy of it (master.key in the data directory) in another place.`,
		Example: "  linkstead backup /backup/2026-11-26\n  linkstead check /backup/2026-11-26",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			b, err := c.Backup(cmd.Context(), dir)
			if err != nil {
				return err
			}
			return output(cmd, b, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "backed up to %s: %d files, %d KiB, as of %s\n", b.Dir, b.Files, b.Bytes>>10, localTime(b.Created))
				return err
			})
		}),
	}, t)
}

func newRestoreCommand() *cobra.Command {
	data := config.Default().Data
	cmd := &cobra.Command{
		Use:   "restore BACKUP",
		Short: "Put a backup into an empty data directory",
		Long: `Verifies a backup and puts it into a data directory that holds no records and no messages
yet; no server may run on it. Nothing is overwritten, and if it fails nothing is changed.

Put the master key of the server that was backed up into the directory before you start it:
the server refuses another one.`,
		Example: "  linkstead restore /backup/2026-11-26 --data /var/lib/linkstead",
		GroupID: groupServer,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := backup.Restore(cmd.Context(), args[0], data)
			if err != nil {
				return err
			}
			return output(cmd, m, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "restored %d files, %d KiB, as of %s, to %s\nPut the master key there before you start the server.\n",
					len(m.Files), m.Bytes()>>10, localTime(m.Created.UnixMilli()), data)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&data, "data", data, "data `directory` to restore to")
	return cmd
}

func newCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check DIR",
		Short: "Verify a data directory or a backup",
		Long: `Reads everything in a data directory that no server uses, or in a backup, and says what is
damaged. It changes nothing. The exit code is 1 if anything is.`,
		Example: "  linkstead check linkstead-data\n  linkstead check /backup/2026-11-26 --json",
		GroupID: groupServer,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := backup.Check(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := output(cmd, c, func(w io.Writer) error { return printChecked(w, &c) }); err != nil {
				return err
			}
			if !c.Sound() {
				return errReported
			}
			return nil
		},
	}
}

func printChecked(w io.Writer, c *backup.Checked) error {
	for _, problems := range [][]string{c.Problems, c.Records.Problems, c.Messages.Problems} {
		for _, p := range problems {
			if _, err := fmt.Fprintln(w, printable(p)); err != nil {
				return err
			}
		}
	}
	verdict := "everything is sound"
	if !c.Sound() {
		verdict = "DAMAGED: see above"
	}
	fields := [][2]string{
		{"records", fmt.Sprintf("%d devices, %d series in %d chunks and %d commits", c.Records.Devices, c.Records.Series, c.Records.Chunks, c.Records.Commits)},
		{"messages", fmt.Sprintf("%d sessions, %d messages in queues, %d retained", c.Messages.Sessions, c.Messages.Messages, c.Messages.Retained)},
		{"verdict", verdict},
	}
	if n := len(c.Messages.SetAside); n > 0 {
		fields = append(fields, [2]string{"set aside", strings.Join(c.Messages.SetAside, ", ") + ": found damaged by a start, not used; see DAMAGE.txt in it"})
	}
	if c.Backup != nil {
		fields = append([][2]string{{"backup", fmt.Sprintf("as of %s, %d files, %d KiB", localTime(c.Backup.Created.UnixMilli()), len(c.Backup.Files), c.Backup.Bytes()>>10)}}, fields...)
	}
	return printFields(w, fields...)
}
