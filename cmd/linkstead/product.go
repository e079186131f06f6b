package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
)

func newProductCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:     "product",
		Short:   "Create, show and delete products",
		Long:    "A product is a kind of device: its devices share a thing model and a ProductKey.",
		Example: "  linkstead product create --name Thermometer\n  linkstead product list",
	}), t)
	cmd.AddCommand(newProductCreateCommand(t), newProductListCommand(t), newProductShowCommand(t),
		newProductUpdateCommand(t), newProductDeleteCommand(t), newProductSecretCommand(t))
	return cmd
}

// productFlags are the properties of a product.
type productFlags struct {
	name, node, format, validation, description string
	dynamic, auto                               bool
}

func (p *productFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.name, "name", "", "name for people")
	f.StringVar(&p.node, "node", "device", "device, gateway or subdevice")
	f.StringVar(&p.format, "format", "alink", "what devices send: alink or raw")
	f.StringVar(&p.validation, "validation", "weak", "how messages are checked against the thing model: strong, weak or none")
	f.StringVar(&p.description, "description", "", "text for people")
	f.BoolVar(&p.dynamic, "dynamic-register", false, "registered devices may fetch their secret with the ProductSecret")
	f.BoolVar(&p.auto, "auto-register", false, "besides, devices that nobody registered create themselves with the ProductSecret")
}

func newProductCreateCommand(t *target) *cobra.Command {
	var flags productFlags
	var secret string
	cmd := &cobra.Command{
		Use:   "create [PRODUCTKEY]",
		Short: "Create a product, with the ProductKey it has elsewhere or a new one",
		Long: `Creates a product. Without a ProductKey one is made up; give the one of the cloud so
that devices move here unchanged. The ProductSecret is shown this once.`,
		Example: "  linkstead product create --name Thermometer\n  linkstead product create a1ji0qFv6Jf --name 'STC15 board'",
		Args:    cobra.MaximumNArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			in := platform.Product{Name: flags.name, NodeType: flags.node, DataFormat: flags.format,
				Validation: flags.validation, Description: flags.description, ProductSecret: secret,
				DynamicRegister: flags.dynamic, AutoRegister: flags.auto}
			if len(args) > 0 {
				in.ProductKey = args[0]
			}
			if in.Name == "" {
				in.Name = in.ProductKey
			}
			p, err := c.CreateProduct(cmd.Context(), in)
			if err != nil {
				return err
			}
			return output(cmd, p, func(w io.Writer) error {
				return printFields(w, [2]string{"product", p.ProductKey}, [2]string{"name", p.Name},
					[2]string{"secret", p.ProductSecret + "  (shown this once)"})
			})
		}),
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&secret, "product-secret", "", "ProductSecret it has elsewhere; made up if not given")
	return cmd
}

func newProductListCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List products",
		Example: "  linkstead product list\n  linkstead product list --json",
		Args:    cobra.NoArgs,
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			all := []platform.Product{}
			for after := ""; ; {
				page, err := c.Products(cmd.Context(), after, listPage)
				if err != nil {
					return err
				}
				all = append(all, page...)
				if len(page) < listPage {
					break
				}
				after = page[len(page)-1].ProductKey
			}
			return output(cmd, all, func(w io.Writer) error {
				var rows [][]string
				for _, p := range all {
					rows = append(rows, []string{p.ProductKey, p.Name, p.NodeType, p.DataFormat, p.Validation, localTime(p.CreatedAt)})
				}
				return printTable(w, []string{"PRODUCT", "NAME", "NODE", "FORMAT", "VALIDATION", "CREATED"}, rows)
			})
		}),
	}
}

// listPage is how many entries of a list are asked for at once.
const listPage = 1000

func newProductShowCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "show PRODUCTKEY",
		Short:   "Show a product",
		Example: "  linkstead product show a1ji0qFv6Jf",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			p, err := c.Product(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printProduct(cmd, p)
		}),
	}
}

func printProduct(cmd *cobra.Command, p admin.ProductInfo) error {
	return output(cmd, p, func(w io.Writer) error {
		return printFields(w,
			[2]string{"product", p.ProductKey}, [2]string{"name", p.Name}, [2]string{"node", p.NodeType},
			[2]string{"format", p.DataFormat}, [2]string{"validation", p.Validation}, [2]string{"description", p.Description},
			[2]string{"register", registration(p.Product)}, [2]string{"created", localTime(p.CreatedAt)},
			[2]string{"devices", fmt.Sprintf("%d, %d of them have been online", p.Devices, p.Activated)})
	})
}

// registration says what devices of a product may do with the ProductSecret.
func registration(p platform.Product) string {
	switch {
	case p.DynamicRegister && p.AutoRegister:
		return "devices fetch their secret, and create themselves"
	case p.DynamicRegister:
		return "registered devices fetch their secret"
	}
	return "off"
}

func newProductSecretCommand(t *target) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "secret PRODUCTKEY --reason TEXT",
		Short:   "Show a product's ProductSecret; the reason is kept in the audit log",
		Example: "  linkstead product secret a1ji0qFv6Jf --reason 'firmware for dynamic registration'",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if reason == "" {
				return usageError("--reason is missing: it is kept in the audit log")
			}
			secret, err := c.RevealProductSecret(cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			return output(cmd, map[string]string{"ProductKey": args[0], "ProductSecret": secret}, func(w io.Writer) error {
				_, err := io.WriteString(w, secret+"\n")
				return err
			})
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why it is shown")
	return cmd
}

func newProductUpdateCommand(t *target) *cobra.Command {
	var flags productFlags
	cmd := &cobra.Command{
		Use:     "update PRODUCTKEY",
		Short:   "Change a product's name, types, validation or description",
		Example: "  linkstead product update a1ji0qFv6Jf --validation strong",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			changes := map[string]any{}
			for _, f := range []struct{ flag, member, value string }{
				{"name", "name", flags.name}, {"node", "nodeType", flags.node}, {"format", "dataFormat", flags.format},
				{"validation", "validation", flags.validation}, {"description", "description", flags.description},
			} {
				if cmd.Flags().Changed(f.flag) {
					changes[f.member] = f.value
				}
			}
			if cmd.Flags().Changed("dynamic-register") {
				changes["dynamicRegister"] = flags.dynamic
			}
			if cmd.Flags().Changed("auto-register") {
				changes["autoRegister"] = flags.auto
			}
			if len(changes) == 0 {
				return usageError("nothing is to be changed; give --name, --validation …")
			}
			p, err := c.UpdateProduct(cmd.Context(), args[0], changes)
			if err != nil {
				return err
			}
			return printProduct(cmd, p)
		}),
	}
	flags.register(cmd)
	return cmd
}

func newProductDeleteCommand(t *target) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "delete PRODUCTKEY",
		Short:   "Delete a product, with its devices only if told so",
		Example: "  linkstead product delete a1ji0qFv6Jf --with-devices",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if err := c.DeleteProduct(cmd.Context(), args[0], force); err != nil {
				return err
			}
			return printDone(cmd, "product "+args[0]+" is deleted")
		}),
	}
	cmd.Flags().BoolVar(&force, "with-devices", false, "delete its devices and their data too")
	return cmd
}

// printDone says what was done; as JSON {"done": "…"}.
func printDone(cmd *cobra.Command, what string) error {
	return output(cmd, map[string]string{"done": what}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, what)
		return err
	})
}
