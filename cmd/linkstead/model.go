package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/tsl"
)

func newModelCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:     "model",
		Short:   "Import, export and show thing models",
		Long:    "A thing model (TSL) names a product's properties, events and services and their types.",
		Example: "  linkstead model import a1ji0qFv6Jf model.json\n  linkstead model show a1ji0qFv6Jf",
	}), t)
	cmd.AddCommand(newModelImportCommand(t), newModelExportCommand(t), newModelShowCommand(t))
	return cmd
}

func newModelImportCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "import PRODUCTKEY FILE",
		Short: "Make a TSL document, as the cloud exports it, a product's thing model",
		Long: `Makes a TSL document a product's thing model. Every mistake in it is reported, with its
path, and then nothing is changed. It takes effect with the next message.`,
		Example: "  linkstead model import a1ji0qFv6Jf model.json",
		Args:    cobra.ExactArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			doc, err := readArgument(cmd.InOrStdin(), args[1])
			if err != nil {
				return err
			}
			version, err := c.ImportModel(cmd.Context(), args[0], doc)
			if err != nil {
				return err
			}
			result := map[string]any{"productKey": args[0], "version": version}
			return output(cmd, result, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "product %s has version %d of its thing model\n", args[0], version)
				return err
			})
		}),
	}
}

func newModelExportCommand(t *target) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "export PRODUCTKEY",
		Short:   "Print a product's thing model as the cloud exports it",
		Example: "  linkstead model export a1ji0qFv6Jf --output model.json",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			doc, err := c.ExportModel(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if file != "" {
				return os.WriteFile(file, doc, 0o644)
			}
			_, err = cmd.OutOrStdout().Write(append(doc, '\n'))
			return err
		}),
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "`file` to write")
	return cmd
}

func newModelShowCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "show PRODUCTKEY",
		Short:   "Show a product's thing model as a table",
		Example: "  linkstead model show a1ji0qFv6Jf",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			m, err := thingModel(cmd, c, args[0])
			if err != nil {
				return err
			}
			type row struct {
				Feature    string `json:"feature"`
				Identifier string `json:"identifier"`
				Name       string `json:"name"`
				Mode       string `json:"mode"`
				Type       string `json:"type"`
			}
			rows := []row{}
			for _, r := range m.Describe() {
				rows = append(rows, row(r))
			}
			return output(cmd, rows, func(w io.Writer) error {
				var cells [][]string
				for _, r := range rows {
					cells = append(cells, []string{r.Feature, r.Identifier, r.Name, r.Mode, r.Type})
				}
				return printTable(w, []string{"FEATURE", "IDENTIFIER", "NAME", "MODE", "TYPE"}, cells)
			})
		}),
	}
}

// thingModel fetches and reads a product's thing model.
func thingModel(cmd *cobra.Command, c *client.Client, pk string) (*tsl.Model, error) {
	doc, err := c.ExportModel(cmd.Context(), pk)
	if err != nil {
		return nil, err
	}
	m, err := tsl.Parse(doc)
	if err != nil {
		return nil, fmt.Errorf("the server's thing model of %s cannot be read: %w", pk, err)
	}
	return m, nil
}
