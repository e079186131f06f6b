package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/platform"
)

// callFlags say how a device is commanded.
type callFlags struct {
	noWait  bool
	noCheck bool
	timeout time.Duration
	id      string
	propertyFlags
}

func (f *callFlags) register(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.timeout, "timeout", 0, "how long the device's reply is awaited; 0: as the server is configured")
	cmd.Flags().BoolVar(&f.noWait, "no-wait", false, "only send, do not await the reply")
	cmd.Flags().BoolVar(&f.noCheck, "no-check", false, "send what the thing model does not allow")
	cmd.Flags().StringVar(&f.id, "id", "", "message id to use, a decimal `number`; made up if not given")
	f.propertyFlags.register(cmd)
}

func (f *callFlags) request() admin.CallRequest {
	return admin.CallRequest{Wait: !f.noWait, TimeoutMS: f.timeout.Milliseconds(), ID: f.id, NoCheck: f.noCheck, Properties: f.properties()}
}

// alinkOK is the code of a reply that says yes.
const alinkOK = 200

// printCall prints what became of a command; a device that says no is an error.
func printCall(cmd *cobra.Command, device string, r platform.CallResult) error {
	err := output(cmd, r, func(w io.Writer) error {
		if !r.Replied {
			_, err := fmt.Fprintf(w, "sent to %s with id %s\n", device, r.ID)
			return err
		}
		if _, err := fmt.Fprintf(w, "%s replied %d %s\n", device, r.Code, printable(r.Message)); err != nil {
			return err
		}
		if len(r.Data) > 0 && string(r.Data) != "{}" {
			if _, err := fmt.Fprintln(w, printable(string(r.Data))); err != nil {
				return err
			}
		}
		return printProperties(w, r.Properties)
	})
	if err == nil && r.Replied && r.Code != alinkOK {
		return refusedError("the device refused: code %d %s", r.Code, r.Message)
	}
	return err
}
