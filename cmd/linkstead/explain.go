package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/mqtt"
)

// explainLimit bounds the text explain reads.
const explainLimit = 64 << 20

// explainFlags say where explain finds bytes and how it reads them.
type explainFlags struct {
	file        string
	dump, raw   bool
	mqtt, from  string
	showSecrets bool
}

func newExplainCommand() *cobra.Command {
	var flags explainFlags
	cmd := &cobra.Command{
		Use:   "explain [hex …]",
		Short: "Say what the bytes of MQTT packets mean, and which of them are wrong",
		Long: `Takes MQTT packets apart, byte by byte, right or wrong. What breaks a rule is marked
with its place, the rule, and what should stand there.

The bytes are arguments, a file or standard input, in any usual spelling: "10 70",
1070, 0x10,0x70, "\x10\x70", C arrays, and the dumps of xxd, hexdump -C, tshark -x,
Wireshark and serial monitors ("12:00:01 -> C0 00"). Dumps are recognised by
themselves; --dump insists on one, --dump=false on plain bytes.

Passwords and secrets are masked. Ends with 1 if any packet breaks a rule.`,
		Example: `  linkstead explain 20 02 00 00
  linkstead explain "82 20 00 0A 00 1B 2F 61 31 6A 69 30 71 46 76 36 4A 66 2F 53 54 43 31 35 2F 75 73 65 72 2F 67 65 74 01"
  linkstead explain --file session.txt
  linkstead explain --mqtt 5 --from server 20 03 00 00 00
  linkstead frame ping --format raw | linkstead explain --raw`,
		GroupID: groupOffline,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := flags.text(cmd.InOrStdin(), args)
			if err != nil {
				return err
			}
			o, err := flags.options()
			if err != nil {
				return err
			}
			packets, err := flags.explain(text, cmd.Flags().Changed("dump"), o)
			if err != nil {
				return err
			}
			r := newExplainResult(packets, flags.showSecrets)
			if err := output(cmd, r, func(w io.Writer) error { return printExplained(w, packets) }); err != nil {
				return err
			}
			if !r.OK {
				return errReported
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&flags.file, "file", "f", "", `file to read, "-" for standard input`)
	f.BoolVar(&flags.dump, "dump", false, "the text is a dump of many frames (default: found out)")
	f.BoolVar(&flags.raw, "raw", false, "the input is the bytes themselves, not hex")
	f.StringVar(&flags.mqtt, "mqtt", "", "version of the session: 3.1, 3.1.1 or 5 (default: what its CONNECT says, else 3.1.1)")
	f.StringVar(&flags.from, "from", "", "who sent the bytes: client or server (default: found out)")
	f.BoolVar(&flags.showSecrets, "show-secrets", false, "do not mask passwords and secrets")
	return cmd
}

// text returns what is to be explained: the arguments, the file, or standard input.
func (e *explainFlags) text(stdin io.Reader, args []string) (string, error) {
	name := e.file
	switch {
	case len(args) > 0 && (name != "" || e.raw):
		return "", usageError("bytes are given as arguments, and with a flag as well: which ones count?")
	case e.raw && e.dump:
		return "", usageError("--raw and --dump exclude each other")
	case len(args) > 0:
		return strings.Join(args, " "), nil
	case name == "":
		if isTerminal(stdin) {
			return "", usageError("no bytes: give them as arguments, with --file, or on standard input")
		}
		name = "-"
	}
	b, err := readInput(name, stdin, explainLimit)
	if err != nil {
		return "", err
	}
	if len(b) == 0 {
		return "", usageError("%s is empty: there are no bytes to explain", inputName(name))
	}
	return string(b), nil
}

// isTerminal reports whether somebody would have to type what is read from r.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && info.Name() != os.DevNull
}

// options returns what the flags say about the session.
func (e *explainFlags) options() (mqtt.ExplainOptions, error) {
	o := mqtt.ExplainOptions{ShowSecrets: e.showSecrets, Payload: explainPayload}
	if e.mqtt != "" {
		v, err := parseVersion(e.mqtt)
		if err != nil {
			return o, err
		}
		o.Version = v
	}
	switch e.from {
	case "":
	case "client", "device":
		o.Direction = mqtt.FromClient
	case "server":
		o.Direction = mqtt.FromServer
	default:
		return o, usageError("--from is client or server, not %q", e.from)
	}
	return o, nil
}

// explained is one packet with the place of a dump it was read from, if it was read from one.
type explained struct {
	mqtt.Explanation
	frame *mqtt.DumpFrame
}

// explain reads the text as bytes or as a dump, whichever the flags or the text itself call for.
func (e *explainFlags) explain(text string, told bool, o mqtt.ExplainOptions) ([]explained, error) {
	if e.raw {
		return stream([]byte(text), o), nil
	}
	b, hexErr := mqtt.ParseHex(text)
	if told && !e.dump {
		return stream(b, o), invalidHex(hexErr)
	}
	frames, dumpErr := mqtt.ParseDump(text)
	if e.dump {
		if dumpErr == nil && len(frames) == 0 {
			return nil, usageError("there is no frame in the dump")
		}
		return dump(frames, o), invalidHex(dumpErr)
	}
	switch {
	case dumpErr != nil || len(frames) == 0:
		return stream(b, o), invalidHex(hexErr)
	case hexErr != nil || marked(frames) || !slices.Equal(b, joined(frames)):
		return dump(frames, o), nil
	}
	// The same bytes either way; only blank lines tell frames apart. Some people put them between the
	// packets, some between the parts of one.
	s, d := stream(b, o), dump(frames, o)
	if wrong(d) < wrong(s) {
		return d, nil
	}
	return s, nil
}

// invalidHex makes a mistake in the text one in the call.
func invalidHex(err error) error {
	if err == nil {
		return nil
	}
	return usageError("the bytes cannot be read: %w", err)
}

// stream explains bytes one side sent.
func stream(b []byte, o mqtt.ExplainOptions) []explained {
	var out []explained
	for _, e := range mqtt.ExplainAll(b, o) {
		out = append(out, explained{Explanation: e})
	}
	return out
}

// dump explains the frames of a dump and remembers which packet came from which.
func dump(frames []mqtt.DumpFrame, o mqtt.ExplainOptions) []explained {
	all := mqtt.ExplainDump(frames, o)
	out := make([]explained, 0, len(all))
	for i := range frames {
		for rest := len(frames[i].Data); rest > 0 && len(all) > 0; all = all[1:] {
			out = append(out, explained{all[0], &frames[i]})
			rest -= max(1, len(all[0].Raw))
		}
	}
	return out
}

// marked reports whether a frame has a time or a direction of its own.
func marked(frames []mqtt.DumpFrame) bool {
	return slices.ContainsFunc(frames, func(f mqtt.DumpFrame) bool {
		return f.Time != "" || f.Direction != mqtt.DirectionUnknown
	})
}

// joined returns the bytes of all frames.
func joined(frames []mqtt.DumpFrame) []byte {
	var out []byte
	for _, f := range frames {
		out = append(out, f.Data...)
	}
	return out
}

// wrong counts the packets that break a rule.
func wrong(packets []explained) int {
	n := 0
	for _, p := range packets {
		if !p.OK() {
			n++
		}
	}
	return n
}

// explainPayload says what an Alink topic makes of its message.
func explainPayload(topic string, _ []byte) []string {
	t, ok := alink.ParseTopic(topic)
	if !ok || t.Kind == alink.Custom || t.Kind == alink.Unknown {
		return nil
	}
	line := fmt.Sprintf("Alink: %s, %s", t.Kind, map[alink.Direction]string{
		alink.Up: "from the device", alink.Down: "to the device",
	}[t.Direction()])
	lines := []string{strings.TrimSuffix(line, ", ")}
	if r := t.ReplyTopic(); r != "" {
		lines = append(lines, "answered on "+r)
	}
	return lines
}

// printExplained writes the packets for people, one table each.
func printExplained(w io.Writer, packets []explained) error {
	for i, p := range packets {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		if p.frame != nil {
			head := fmt.Sprintf("line %d", p.frame.Line)
			if p.frame.Time != "" {
				head += ", " + printable(p.frame.Time)
			}
			if _, err := fmt.Fprintf(w, "# %s\n", head); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(p.String(), "\n")); err != nil {
			return err
		}
	}
	return nil
}
