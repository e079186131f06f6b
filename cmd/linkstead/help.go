package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// newHelpCommand replaces the help command cobra brings, which ends with 0 for a command nobody knows.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [command]",
		Short:   "Print the help of a command",
		Long:    `Prints the help of a command: what it does, examples, flags. "command --help" does the same.`,
		Example: "  linkstead help sign\n  linkstead help frame connect",
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			c, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return withHint(usageError("there is no command %s", strings.Join(args, " ")), `"linkstead help" lists them.`)
			}
			c.InitDefaultHelpFlag() // its own help lists --help like that of "command --help"
			return c.Help()
		},
	}
}
