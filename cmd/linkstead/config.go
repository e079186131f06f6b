package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/server"
)

func newConfigCommand() *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Show the effective configuration and where each value comes from",
		GroupID: groupServer,
		Args:    cobra.NoArgs,
		Long: `Show every setting that "linkstead serve" would use with the same flags, file and
environment, and where its value comes from. The key is its name in the file; the variable
is LINKSTEAD_ and the key in upper case with underscores: tls.min_version is
LINKSTEAD_TLS_MIN_VERSION.`,
		Example: `  linkstead config
  linkstead config check /etc/linkstead/linkstead.toml
  linkstead config --data /srv/linkstead --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, sources, err := f.load(cmd)
			if err != nil {
				return err
			}
			entries := cfg.Entries(sources)
			return output(cmd, entries, func(w io.Writer) error {
				rows := make([][]string, 0, len(entries))
				for _, e := range entries {
					rows = append(rows, []string{e.Key, fmt.Sprint(e.Value), e.Source})
				}
				return printTable(w, []string{"KEY", "VALUE", "SOURCE"}, rows)
			})
		},
	}
	f.register(cmd)
	cmd.AddCommand(newConfigCheckCommand())
	return cmd
}

// checked is what "config check" has found.
type checked struct {
	File     string           `json:"file,omitempty"`
	OK       bool             `json:"ok"`
	Wrong    []config.Problem `json:"wrong"`
	Doubtful []config.Problem `json:"doubtful"`
}

func newConfigCheckCommand() *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:   "check [file]",
		Short: "Look for mistakes in a configuration without starting anything",
		Long: `Look for mistakes in a configuration file, together with the environment and the flags
given, without starting or changing anything: unknown keys, values out of range, files that
are missing or cannot be used, addresses that are used twice. Each is shown with its line.
It ends with 1 if the server would not start. What is only doubtful is shown, too, and
ends with 0.`,
		Example: `  linkstead config check /etc/linkstead/linkstead.toml
  linkstead config check /etc/linkstead/linkstead.toml && systemctl reload linkstead`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				if f.file != "" {
					return usageError("the file is named twice")
				}
				f.file = args[0]
			}
			c, err := check(cmd, &f)
			if err != nil {
				return err
			}
			err = output(cmd, c, func(w io.Writer) error {
				for _, p := range c.Wrong {
					fmt.Fprintln(w, p)
				}
				for _, p := range c.Doubtful {
					fmt.Fprintln(w, p.String()+" (doubtful)")
				}
				name := c.File
				if name == "" {
					name = "the configuration"
				}
				if c.OK {
					_, err := fmt.Fprintln(w, "a server would start with "+name)
					return err
				}
				_, err := fmt.Fprintln(w, "no server would start with "+name)
				return err
			})
			if err == nil && !c.OK {
				err = errReported
			}
			return err
		},
	}
	f.register(cmd)
	return cmd
}

// check collects what is wrong; an error is one of reading, not of what was read.
func check(cmd *cobra.Command, f *serverFlags) (checked, error) {
	c := checked{File: f.path(), Wrong: []config.Problem{}, Doubtful: []config.Problem{}}
	cfg, sources, err := f.load(cmd)
	if wrong, ok := errors.AsType[*config.InvalidError](err); ok {
		c.Wrong = wrong.Problems
		return c, nil
	}
	if errors.Is(err, os.ErrNotExist) {
		return c, notFoundError("%w", err)
	}
	if err != nil {
		return c, err
	}
	wrong, doubtful := server.Check(&cfg)
	for _, list := range []*[]config.Problem{&wrong, &doubtful} {
		if len(*list) > 0 {
			e := &config.InvalidError{Problems: *list}
			_ = locate(e, sources, c.File)
		}
	}
	c.Wrong, c.Doubtful = append(c.Wrong, wrong...), append(c.Doubtful, doubtful...)
	c.OK = len(wrong) == 0
	return c, nil
}
