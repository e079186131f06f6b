package main

import (
	"bufio"
	"crypto/rand"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
)

func newUserCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:     "user",
		Short:   "Manage the users that applications log in as",
		Example: "  linkstead user add dashboard --read '/sys/#'\n  linkstead user list",
	}), t)
	cmd.AddCommand(newUserAddCommand(t), newUserListCommand(t), newUserDeleteCommand(t))
	return cmd
}

// userCreated is what user add prints as JSON.
type userCreated struct {
	Name     string           `json:"name"`
	Password string           `json:"password,omitempty"` // only if it was made up
	Rights   []platform.Right `json:"rights"`
}

func newUserAddCommand(t *target) *cobra.Command {
	var read, write, allow []string
	var stdin bool
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Create a user, or replace its password and rights",
		Long: `Creates a user that applications log in as, or replaces it. It may subscribe to what --read
covers and publish to what --write covers, both topic filters and repeatable; --allow
gives both. The password is made up and shown this once, or read from standard input.`,
		Example: `  linkstead user add dashboard --read '/sys/#'
  linkstead user add bridge --allow 'home/#' --write '/sys/+/+/thing/service/property/set' --password-stdin`,
		Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			out := userCreated{Name: args[0], Rights: rights(read, write, allow)}
			if len(out.Rights) == 0 {
				return usageError("a user without rights can do nothing; give --read, --write or --allow")
			}
			password := rand.Text()
			if stdin {
				line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), 1024)).ReadString('\n')
				if password = strings.TrimRight(line, "\r\n"); password == "" {
					return usageError("standard input holds no password: %v", err)
				}
			} else {
				out.Password = password
			}
			if err := c.PutUser(cmd.Context(), out.Name, admin.UserRequest{Password: password, Rights: out.Rights}); err != nil {
				return err
			}
			return output(cmd, out, func(w io.Writer) error {
				fields := [][2]string{{"user", out.Name}}
				if out.Password != "" {
					fields = append(fields, [2]string{"password", out.Password + "  (shown this once)"})
				}
				return printFields(w, append(fields, [2]string{"rights", rightsText(out.Rights)})...)
			})
		}),
	}
	cmd.Flags().StringArrayVar(&read, "read", nil, "topic `filter` it may subscribe to (repeatable)")
	cmd.Flags().StringArrayVar(&write, "write", nil, "topic `filter` it may publish to (repeatable)")
	cmd.Flags().StringArrayVar(&allow, "allow", nil, "topic `filter` for both (repeatable)")
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from the first line of standard input")
	return cmd
}

// rights gathers what is allowed on each filter, in the order of first mention.
func rights(read, write, allow []string) []platform.Right {
	out := []platform.Right{}
	add := func(filters []string, publish, subscribe bool) {
	next:
		for _, f := range filters {
			for i := range out {
				if out[i].Filter == f {
					out[i].Publish = out[i].Publish || publish
					out[i].Subscribe = out[i].Subscribe || subscribe
					continue next
				}
			}
			out = append(out, platform.Right{Filter: f, Publish: publish, Subscribe: subscribe})
		}
	}
	add(allow, true, true)
	add(read, false, true)
	add(write, true, false)
	return out
}

// rightsText shows rights as "read /sys/#, read+write home/#".
func rightsText(list []platform.Right) string {
	parts := make([]string, 0, len(list))
	for _, r := range list {
		var may []string
		if r.Subscribe {
			may = append(may, "read")
		}
		if r.Publish {
			may = append(may, "write")
		}
		parts = append(parts, strings.Join(may, "+")+" "+r.Filter)
	}
	return strings.Join(parts, ", ")
}

func newUserListCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List users and their rights",
		Example: "  linkstead user list",
		Args:    cobra.NoArgs,
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			all := []platform.User{}
			for after := ""; ; {
				page, err := c.Users(cmd.Context(), after, listPage)
				if err != nil {
					return err
				}
				all = append(all, page...)
				if len(page) < listPage {
					break
				}
				after = page[len(page)-1].Name
			}
			return output(cmd, all, func(w io.Writer) error {
				var rows [][]string
				for _, u := range all {
					rows = append(rows, []string{u.Name, yesNo(u.Enabled), localTime(u.CreatedAt), rightsText(u.Rights)})
				}
				return printTable(w, []string{"USER", "ENABLED", "CREATED", "RIGHTS"}, rows)
			})
		}),
	}
}

func newUserDeleteCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "delete NAME",
		Short:   "Delete a user and close its connections",
		Example: "  linkstead user delete dashboard",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if err := c.DeleteUser(cmd.Context(), args[0]); err != nil {
				return err
			}
			return printDone(cmd, "user "+args[0]+" is deleted")
		}),
	}
}
