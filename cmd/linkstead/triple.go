package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/linkstead/linkstead/alink"
)

// secretLimit bounds what is read of a file that should hold a triple or a secret.
const secretLimit = 64 << 10

// tripleFlags are the ways to name a device and its secret on the command line.
type tripleFlags struct {
	file       string // JSON file with the whole triple
	productKey string
	deviceName string
	secret     string
	secretFile string
}

// add defines the flags.
func (t *tripleFlags) add(f *pflag.FlagSet) {
	f.StringVar(&t.file, "triple", "", `JSON file with ProductKey, DeviceName and DeviceSecret, "-" for standard input`)
	f.StringVarP(&t.productKey, "product-key", "k", "", "ProductKey of the device")
	f.StringVarP(&t.deviceName, "device-name", "d", "", "DeviceName of the device")
	f.StringVar(&t.secret, "secret", "", "DeviceSecret; other users of this machine may see it, --secret-file is safer")
	f.StringVar(&t.secretFile, "secret-file", "", `file with the DeviceSecret on a line, "-" for standard input`)
}

// read returns the device the flags name, with its secret. Single flags go before the file, so that one file
// serves several devices of a product.
func (t *tripleFlags) read(stdin io.Reader) (alink.Triple, error) {
	d, err := t.identity(stdin)
	if err != nil {
		return alink.Triple{}, err
	}
	if t.secretFile != "" {
		if t.secret != "" {
			return alink.Triple{}, usageError("--secret and --secret-file are both given: which one counts?")
		}
		b, err := readInput(t.secretFile, stdin, secretLimit)
		if err != nil {
			return alink.Triple{}, err
		}
		d.DeviceSecret = strings.TrimSpace(string(b))
	}
	if t.secret != "" {
		d.DeviceSecret = t.secret
	}
	if d.DeviceSecret == "" {
		return alink.Triple{}, usageError("the secret of device %s is missing: give --secret-file, --secret or --triple", d)
	}
	return d, nil
}

// identity is read for commands that need no secret.
func (t *tripleFlags) identity(stdin io.Reader) (alink.Triple, error) {
	var d alink.Triple
	if t.file != "" {
		if t.file == "-" && t.secretFile == "-" {
			return d, usageError("--triple and --secret-file cannot both be standard input")
		}
		b, err := readInput(t.file, stdin, secretLimit)
		if err != nil {
			return d, err
		}
		if d, err = parseTriple(b); err != nil {
			return d, usageError("%s: %w", inputName(t.file), err)
		}
	}
	if t.productKey != "" {
		d.ProductKey = t.productKey
	}
	if t.deviceName != "" {
		d.DeviceName = t.deviceName
	}
	switch {
	case d.ProductKey == "":
		return d, usageError("which device? Give its --product-key and --device-name, or a file with --triple")
	case d.DeviceName == "":
		return d, usageError("which device of product %s? Give its --device-name", d.ProductKey)
	case !alink.ValidProductKey(d.ProductKey):
		return d, usageError("%q cannot be a ProductKey: it has 1 to 20 letters and digits", d.ProductKey)
	case !alink.ValidDeviceName(d.DeviceName):
		return d, usageError("%q cannot be a DeviceName: it has 4 to 32 letters, digits and - _ @ . :", d.DeviceName)
	}
	return d, nil
}

// given reports whether any flag says which device is meant.
func (t *tripleFlags) given() bool {
	return t.file != "" || t.productKey != "" || t.deviceName != ""
}

// parseTriple reads {"ProductKey":…,"DeviceName":…,"DeviceSecret":…}, keys in either case. Its errors do not
// quote the text, which has a secret in it.
func parseTriple(b []byte) (alink.Triple, error) {
	var d struct{ ProductKey, DeviceName, DeviceSecret string }
	if err := json.Unmarshal(b, &d); err != nil {
		const want = `not {"ProductKey": "…", "DeviceName": "…", "DeviceSecret": "…"}`
		if e, ok := errors.AsType[*json.SyntaxError](err); ok {
			return alink.Triple{}, fmt.Errorf("%s: no JSON at byte %d", want, e.Offset)
		}
		return alink.Triple{}, errors.New(want)
	}
	return alink.Triple(d), nil
}

// readInput reads the file of that name, or stdin for "-", up to limit bytes.
func readInput(name string, stdin io.Reader, limit int64) ([]byte, error) {
	r := stdin
	if name != "-" {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, notFoundError("there is no file %s", name)
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", inputName(name), err)
	}
	if int64(len(b)) > limit {
		return nil, usageError("%s is larger than %d bytes", inputName(name), limit)
	}
	return b, nil
}

// inputName is how messages call what readInput reads.
func inputName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}
