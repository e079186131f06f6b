package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
)

// importChunk is how many devices are sent at once.
const importChunk = 1000

func newDeviceImportCommand(t *target) *cobra.Command {
	var product string
	cmd := &cobra.Command{
		Use:   "import FILE.csv",
		Short: "Register the devices of a CSV file with the secrets they have",
		Long: `Registers every device of a CSV file: ProductKey, DeviceName, DeviceSecret, in this order
or under a header that names the columns in any order, as the cloud's console exports
them. An empty DeviceSecret is made up. "-" reads standard input.

Lines fail one by one; each is reported with its number, the others are imported, and
the exit code is 1.`,
		Example: "  linkstead device import devices.csv\n  linkstead device import names.csv --product a1ji0qFv6Jf --json",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			in := cmd.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if errors.Is(err, fs.ErrNotExist) {
					return usageError("there is no file %s", args[0])
				}
				if err != nil {
					return usageError("%w", err)
				}
				defer func() { _ = f.Close() }()
				in = f
			}
			im := &deviceImport{cmd: cmd, client: c, rows: newDeviceRows(in, product)}
			if err := im.run(); err != nil {
				return err
			}
			return im.report()
		}),
	}
	cmd.Flags().StringVar(&product, "product", "", "ProductKey of lines that name none")
	return cmd
}

// deviceImport sends the rows of a file in chunks.
type deviceImport struct {
	cmd    *cobra.Command
	client *client.Client
	rows   *deviceRows
	chunk  []platform.NewDevice
	lines  []int // of chunk
	result importResult
}

// importResult is what import prints as JSON.
type importResult struct {
	Imported int            `json:"imported"`
	Failed   []failedImport `json:"failed"`
}

type failedImport struct {
	Line   int    `json:"line"`
	Device string `json:"device,omitempty"`
	Error  string `json:"error"`
}

func (im *deviceImport) run() error {
	im.result.Failed = []failedImport{}
	for {
		d, line, err := im.rows.next()
		if errors.Is(err, io.EOF) {
			return im.send()
		}
		if err != nil {
			im.fail(line, "", err.Error())
			continue
		}
		im.chunk, im.lines = append(im.chunk, d), append(im.lines, line)
		if len(im.chunk) < importChunk {
			continue
		}
		if err := im.send(); err != nil {
			return err
		}
		fmt.Fprintf(im.cmd.ErrOrStderr(), "%d devices imported, %d lines failed\n", im.result.Imported, len(im.result.Failed))
	}
}

func (im *deviceImport) send() error {
	if len(im.chunk) == 0 {
		return nil
	}
	results, err := im.client.ImportDevices(im.cmd.Context(), im.chunk)
	if err != nil {
		return onlineError(fmt.Errorf("lines %d to %d: %w", im.lines[0], im.lines[len(im.lines)-1], err))
	}
	if len(results) != len(im.chunk) {
		return fmt.Errorf("the server told the outcome of %d devices of %d", len(results), len(im.chunk))
	}
	for i, r := range results {
		if r.Error != "" {
			im.fail(im.lines[i], im.chunk[i].ProductKey+"/"+im.chunk[i].DeviceName, r.Error)
			continue
		}
		im.result.Imported++
	}
	im.chunk, im.lines = im.chunk[:0], im.lines[:0]
	return nil
}

func (im *deviceImport) fail(line int, device, why string) {
	im.result.Failed = append(im.result.Failed, failedImport{line, device, why})
	if device != "" {
		device += ": "
	}
	fmt.Fprintf(im.cmd.ErrOrStderr(), "line %d: %s\n", line, printable(device+why))
}

func (im *deviceImport) report() error {
	err := output(im.cmd, im.result, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%d devices imported, %d lines failed\n", im.result.Imported, len(im.result.Failed))
		return err
	})
	if err == nil && len(im.result.Failed) > 0 {
		return errReported
	}
	return err
}

// columns are the names of columns in headers, in lower case without blanks,
// underscores and hyphens. The Chinese ones are those of the cloud's console.
var columns = map[string]int{
	"productkey": columnProduct, "产品key": columnProduct, "产品标识": columnProduct,
	"devicename": columnName, "name": columnName, "设备名称": columnName, "设备名": columnName,
	"devicesecret": columnSecret, "secret": columnSecret, "设备密钥": columnSecret, "密钥": columnSecret,
	"nickname": columnNickname, "备注名称": columnNickname, "备注": columnNickname,
}

const (
	columnProduct = iota
	columnName
	columnSecret
	columnNickname
	columnCount
)

// deviceRows reads devices from CSV.
type deviceRows struct {
	csv     *csv.Reader
	product string
	at      [columnCount]int // index of each column, -1 for none
	first   bool
}

func newDeviceRows(r io.Reader, product string) *deviceRows {
	c := csv.NewReader(r)
	c.FieldsPerRecord = -1
	c.TrimLeadingSpace = true
	c.ReuseRecord = true
	return &deviceRows{csv: c, product: product, first: true, at: [columnCount]int{0, 1, 2, 3}}
}

// next returns the next device and its line, and io.EOF after the last.
func (d *deviceRows) next() (platform.NewDevice, int, error) {
	for {
		record, err := d.csv.Read()
		if parse, ok := errors.AsType[*csv.ParseError](err); ok {
			return platform.NewDevice{}, parse.Line, parse.Err
		}
		if err != nil && !errors.Is(err, io.EOF) { // the file itself: no use to go on
			err = errors.Join(err, io.EOF)
		}
		if err != nil {
			return platform.NewDevice{}, 0, err
		}
		line, _ := d.csv.FieldPos(0)
		if d.first {
			d.first = false
			record[0] = strings.TrimPrefix(record[0], "\ufeff")
			if d.header(record) {
				continue
			}
		}
		cell := func(column int) string {
			if i := d.at[column]; i >= 0 && i < len(record) {
				return strings.TrimSpace(record[i])
			}
			return ""
		}
		dev := platform.NewDevice{ProductKey: cell(columnProduct), DeviceName: cell(columnName),
			DeviceSecret: cell(columnSecret), Nickname: cell(columnNickname)}
		if dev.ProductKey == "" {
			dev.ProductKey = d.product
		}
		switch {
		case dev.ProductKey == "":
			return dev, line, errors.New("the ProductKey is missing; --product gives one to all lines")
		case dev.DeviceName == "":
			return dev, line, errors.New("the DeviceName is missing")
		}
		return dev, line, nil
	}
}

// header reports whether a record names columns, and notes where they are.
func (d *deviceRows) header(record []string) bool {
	at := [columnCount]int{-1, -1, -1, -1}
	known := false
	for i, name := range record {
		name = strings.NewReplacer(" ", "", "_", "", "-", "").Replace(strings.ToLower(strings.TrimSpace(name)))
		if column, ok := columns[name]; ok && at[column] < 0 {
			at[column], known = i, true
		}
	}
	if known {
		d.at = at
	}
	return known
}
