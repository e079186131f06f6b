package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/alink"
)

// signResult is what sign prints: the three strings of a CONNECT and what was signed.
type signResult struct {
	ClientID string `json:"clientId"`
	Username string `json:"username"`
	Password string `json:"password"`
	Content  string `json:"content"` // text under the HMAC
	Method   string `json:"method"`
}

func newSignCommand() *cobra.Command {
	var triple tripleFlags
	var login loginFlags
	var door doorFlags
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "Turn a device's triple into client id, user name and password",
		Long: `Computes the three strings a device logs in with, and the text that is signed with the
DeviceSecret. The device is given by flags, or by a JSON file as the cloud console
shows it:

  {"ProductKey": "a1ji0qFv6Jf", "DeviceName": "STC15", "DeviceSecret": "bc08…"}

A device that uploads over HTTPS or CoAP authenticates with POST /auth instead: --http,
--coap and --dtls print its body.

The secret itself is never printed. No server is needed.`,
		Example: `  linkstead sign -k a1ji0qFv6Jf -d STC15 --secret bc0834e2beeb03d37eeb7361cc387918
  linkstead sign --triple stc15.json
  linkstead sign --triple stc15.json --tls --method hmacsha256 --timestamp 2524608000000
  linkstead sign --triple stc15.json --http
  linkstead sign -k a1ji0qFv6Jf -d STC15 --secret-file secret.txt --json`,
		GroupID: groupOffline,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := triple.read(cmd.InOrStdin())
			if err != nil {
				return err
			}
			o, err := login.options()
			if err != nil {
				return err
			}
			other, err := door.chosen()
			if err != nil {
				return err
			}
			if other {
				return door.print(cmd, door.sign(d, o))
			}
			r := signTriple(d, o)
			return output(cmd, r, func(w io.Writer) error {
				return printFields(w,
					[2]string{"client id", r.ClientID},
					[2]string{"user name", r.Username},
					[2]string{"password", r.Password},
					[2]string{"signed text", r.Content},
				)
			})
		},
	}
	cmd.Flags().SortFlags = false
	triple.add(cmd.Flags())
	login.add(cmd.Flags())
	door.add(cmd.Flags())
	return cmd
}

// signTriple computes the login of d. Options made by loginFlags leave no prefix to a default.
func signTriple(d alink.Triple, o alink.LoginOptions) signResult {
	l := d.Login(o)
	return signResult{
		ClientID: l.ClientID, Username: l.Username, Password: l.Password, Method: o.Method.String(),
		Content: alink.SignContent(o.Prefix, d.DeviceName, d.ProductKey, o.Timestamp, o.Timestamp != ""),
	}
}
