package main

import (
	"errors"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
)

// groupManage is the group of the commands that work on a running server.
const groupManage = "manage"

// target says which server a command works on.
type target struct {
	server string
	data   string
}

// online makes cmd, and the commands below it, work on a running server: it gets
// the flags that say which.
func online(cmd *cobra.Command, t *target) *cobra.Command {
	cmd.GroupID = groupManage
	f := cmd.PersistentFlags()
	f.StringVar(&t.server, "server", "", "`address` of the server's admin API; also LINKSTEAD_SERVER (its token: LINKSTEAD_TOKEN)")
	f.StringVar(&t.data, "data", config.Default().Data, "the server's data `directory`, to find it on this machine; also LINKSTEAD_DATA")
	return cmd
}

// onlineRun is what an online command does.
type onlineRun func(cmd *cobra.Command, c *client.Client, args []string) error

// run makes the RunE of an online command of f.
func (t *target) run(f onlineRun) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		o := client.Options{Server: t.server, Data: t.data, Token: os.Getenv("LINKSTEAD_TOKEN")}
		if !cmd.Flags().Changed("server") && !cmd.Flags().Changed("data") {
			o.Server = os.Getenv("LINKSTEAD_SERVER")
		}
		if data := os.Getenv("LINKSTEAD_DATA"); data != "" && !cmd.Flags().Changed("data") {
			o.Data = data
		}
		if u, err := user.Current(); err == nil {
			o.User = u.Username
		}
		c, err := client.Find(o)
		if err != nil {
			return onlineError(err)
		}
		return onlineError(f(cmd, c, args))
	}
}

// onlineError gives what a server answered its exit code.
func onlineError(err error) error {
	if e, ok := errors.AsType[*client.UnreachableError](err); ok {
		return unreachableError(`Start one with "linkstead serve", or name it: --data DIR on this machine, --server HOST:PORT elsewhere.`, "%w", e)
	}
	e, ok := errors.AsType[*admin.Error](err)
	if !ok {
		return err
	}
	code := exitFailed
	switch e.Code {
	case admin.CodeNotFound:
		code = exitNotFound
	case admin.CodeUnauthorized, admin.CodeForbidden, admin.CodeOffline, admin.CodeTimeout, admin.CodeBusy, admin.CodeClosed:
		code = exitRefused
	case admin.CodeInvalid:
		code = exitUsage
		if e.Alink != 0 { // fits no model: refused on behalf of the device
			code = exitRefused
		}
	}
	return &exitError{Code: code, Err: errors.New(e.Message), Hint: sentence(e.Hint)}
}

// sentence begins a hint as a line of its own.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// deviceArg splits "ProductKey/DeviceName".
func deviceArg(s string) (pk, dn string, err error) {
	pk, dn, err = platform.ParseDevice(s)
	if err != nil {
		return "", "", withHint(usageError("%q does not name a device", s), "Write ProductKey/DeviceName, such as a1ji0qFv6Jf/STC15.")
	}
	return pk, dn, nil
}

// localTime shows Unix milliseconds, nothing for 0.
func localTime(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).Format("2006-01-02 15:04:05")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
