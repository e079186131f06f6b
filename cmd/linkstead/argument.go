package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// maxArgumentFile is the largest file a command reads whole, in bytes.
const maxArgumentFile = 8 << 20

// readArgument reads the file at path, standard input for "-".
func readArgument(stdin io.Reader, path string) ([]byte, error) {
	r := stdin
	if path != "-" {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usageError("there is no file %s", path)
		}
		if err != nil {
			return nil, usageError("%w", err)
		}
		defer func() { _ = f.Close() }()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxArgumentFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s cannot be read: %w", path, err)
	case len(b) > maxArgumentFile:
		return nil, usageError("%s has more than 8 MiB", path)
	}
	return b, nil
}

// pairs makes a JSON object of "Name=value" arguments. A value that is JSON is
// taken as it is, anything else as a text.
func pairs(args []string) (json.RawMessage, error) {
	object := make(map[string]json.RawMessage, len(args))
	for _, a := range args {
		name, value, ok := strings.Cut(a, "=")
		if !ok || name == "" {
			return nil, withHint(usageError("%q is no pair", a), "Write Name=value, such as Light=1 or 'Mode=\"auto\"'.")
		}
		if _, twice := object[name]; twice {
			return nil, usageError("%s is given twice", name)
		}
		raw := json.RawMessage(value)
		if !json.Valid(raw) {
			raw, _ = json.Marshal(value)
		}
		object[name] = raw
	}
	return json.Marshal(object)
}

// params takes a command's parameters from pairs or from a JSON object.
func params(args []string, document string) (json.RawMessage, error) {
	if document == "" {
		return pairs(args)
	}
	if len(args) > 0 {
		return nil, usageError("the parameters are given twice: as pairs and as JSON")
	}
	if !json.Valid([]byte(document)) {
		return nil, usageError("the parameters are not JSON: %s", document)
	}
	return json.RawMessage(document), nil
}

// moment reads a point in time as Unix milliseconds: a date, a date and time, Unix
// milliseconds, or how long ago (2h, 7d). "" is 0.
func moment(s string, now time.Time) (int64, error) {
	if s == "" {
		return 0, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return at.UnixMilli(), nil
		}
	}
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil && ms > 0 {
		return ms, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 36500 {
			return now.AddDate(0, 0, -n).UnixMilli(), nil
		}
	}
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		return now.Add(-ago).UnixMilli(), nil
	}
	return 0, withHint(usageError("%q is no point in time", s), "Write 2026-11-23, '2026-11-23 15:04', 2h or 7d (ago), or Unix milliseconds.")
}
