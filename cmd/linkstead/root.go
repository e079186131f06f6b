package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Groups of commands in the help.
const (
	groupServer  = "server"
	groupOffline = "offline"
)

// newRoot returns the whole command tree. Commands are listed here and nowhere else.
//
// A command uses RunE, reads cmd.InOrStdin, writes to cmd.OutOrStdout and returns its error: run prints it
// and turns it into an exit code (see exit.go). One that only has commands below it is made with parent.
func newRoot() *cobra.Command {
	root := parent(&cobra.Command{
		Use:   "linkstead",
		Short: "A home server for Alink devices and a complete MQTT server",
		Long: `linkstead is a server for devices made for Alibaba Cloud IoT (Alink over MQTT), on top
of a complete MQTT 3.1.1 and 5.0 server, in one program.

Commands that need a running server find the one on this machine by themselves.
sign, frame and explain need none.

Exit codes: 0 done · 1 failed, or the answer is no · 2 called wrongly · 3 what was
named does not exist · 4 no server answers · 5 refused by the device or the server,
or no answer in time`,
		SilenceErrors: true,
		SilenceUsage:  true,
	})
	root.PersistentFlags().Bool("json", false, "print the result as JSON")
	root.AddGroup(
		&cobra.Group{ID: groupServer, Title: "Server:"},
		&cobra.Group{ID: groupManage, Title: "Devices and applications of a running server:"},
		&cobra.Group{ID: groupOffline, Title: "Tools that need no server:"},
	)
	root.SetHelpCommand(newHelpCommand())
	root.AddCommand(
		newServeCommand(),
		newDemoCommand(),
		newSimulateCommand(),
		newConfigCommand(),
		newStatusCommand(),
		newReloadCommand(),
		newProductCommand(),
		newDeviceCommand(),
		newModelCommand(),
		newPropertyCommand(),
		newEventCommand(),
		newServiceCommand(),
		newScriptCommand(),
		newShadowCommand(),
		newRemoteConfigCommand(),
		newFirmwareCommand(),
		newUpgradeCommand(),
		newFileCommand(),
		newJobCommand(),
		newRRPCCommand(),
		newBroadcastCommand(),
		newGatewayCommand(),
		newPublishCommand(),
		newTailCommand(),
		newTraceCommand(),
		newUserCommand(),
		newRefusalsCommand(),
		newDropsCommand(),
		newBackupCommand(),
		newRestoreCommand(),
		newCheckCommand(),
		newSignCommand(),
		newFrameCommand(),
		newExplainCommand(),
		newVersionCommand(),
	)
	return root
}

// parent makes cmd a command that only has commands below it: alone it prints its help, and an unknown word
// after it is an error with suggestions.
func parent(cmd *cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		msg := "unknown command " + strings.TrimSpace(cmd.CommandPath()+" "+args[0])
		if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
			msg += "; did you mean " + strings.Join(s, " or ") + "?"
		}
		return errors.New(msg)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// run executes the command line args, without the program's name, and returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)

	// Whatever goes wrong before a command's RunE is entered (unknown commands and flags, missing arguments)
	// is a mistake in the call.
	started := false
	noteStart(root, &started)
	cmd, err := root.ExecuteContextC(context.Background())
	if err != nil && !started {
		err = &exitError{Code: exitUsage, Err: err, Hint: `See "` + cmd.CommandPath() + ` --help".`}
	}
	return report(stderr, err)
}

// noteStart makes every command of the tree set *started when it begins to run.
func noteStart(cmd *cobra.Command, started *bool) {
	if runE := cmd.RunE; runE != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return runE(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		noteStart(c, started)
	}
}
