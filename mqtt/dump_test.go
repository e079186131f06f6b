package mqtt

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const dumpConnect = "10 11 00 04 4D 51 54 54 04 02 00 3C 00 05 68 65 6C 6C 6F"

func dumpBytes(t *testing.T, text string) []byte {
	t.Helper()
	b, err := ParseHex(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseDump(t *testing.T) {
	connect := dumpBytes(t, dumpConnect)
	connack := []byte{0x20, 2, 0, 0}
	client := func(line int, time string, b []byte) DumpFrame { return DumpFrame{line, FromClient, time, b} }
	server := func(line int, time string, b []byte) DumpFrame { return DumpFrame{line, FromServer, time, b} }
	plain := func(line int, b []byte) DumpFrame { return DumpFrame{Line: line, Data: b} }
	for _, c := range []struct {
		name, text string
		want       []DumpFrame
	}{
		{"one frame", dumpConnect, []DumpFrame{plain(1, connect)}},
		{"blank line", dumpConnect + "\n\n20 02 00 00\n", []DumpFrame{plain(1, connect), plain(3, connack)}},
		{"two lines, one frame", "20 02\n00 00\n", []DumpFrame{plain(1, connack)}},
		{"arrows", "-> " + dumpConnect + "\n<- 20 02 00 00", []DumpFrame{client(1, "", connect), server(2, "", connack)}},
		{"chevrons", ">> " + dumpConnect + "\n<< 20 02 00 00", []DumpFrame{client(1, "", connect), server(2, "", connack)}},
		{"sides", "C->S: " + dumpConnect + "\nS->C: 20 02 00 00", []DumpFrame{client(1, "", connect), server(2, "", connack)}},
		{"TX and RX", "TX: " + dumpConnect + "\nrx: 20020000", []DumpFrame{client(1, "", connect), server(2, "", connack)}},
		{"IN and OUT", "OUT " + dumpConnect + "\nIN  20 02 00 00", []DumpFrame{client(1, "", connect), server(2, "", connack)}},
		{"time and direction", "12:00:01.250 -> " + dumpConnect + "\n[12:00:01.300] RX 20 02 00 00",
			[]DumpFrame{client(1, "12:00:01.250", connect), server(2, "12:00:01.300", connack)}},
		{"date and time", "2024-05-01 12:00:01 TX " + dumpConnect + "\n2024-05-01T12:00:02Z RX 20 02 00 00",
			[]DumpFrame{client(1, "2024-05-01 12:00:01", connect), server(2, "2024-05-01T12:00:02Z", connack)}},
		{"seconds", "1714550401.250 " + dumpConnect, []DumpFrame{{1, DirectionUnknown, "1714550401.250", connect}}},
		{"serial tool", "[14:20:31.123]发→◇" + dumpConnect + " \n[14:20:31.250]收←◆20 02 00 00 ",
			[]DumpFrame{client(1, "14:20:31.123", connect), server(2, "14:20:31.250", connack)}},
		{"direction on its own line", "TX\n20 02\n00 00\nRX\n20 02 00 00",
			[]DumpFrame{client(1, "", connack), server(4, "", connack)}},
		{"direction before offsets", "TX:\n0000  20 02 00 00  ....\n", []DumpFrame{client(1, "", connack)}},
		{"comments", "# a session\n// with comments\n20 02 00 00 # CONNACK\n", []DumpFrame{plain(3, connack)}},
		{"colons", "20:02:00:00\n\n30:98:01", []DumpFrame{plain(1, connack), plain(3, []byte{0x30, 0x98, 1})}},
		{"xxd", "00000000: 1011 0004 4d51 5454 0402 003c 0005 6865  ....MQTT...<..he\n00000010: 6c6c 6f                                  llo\n",
			[]DumpFrame{plain(1, connect)}},
		{"hexdump -C", hex.Dump(connect) + "00000013\n", []DumpFrame{plain(1, connect)}},
		{"hexdump -C twice", hex.Dump(connect) + hex.Dump(connack), []DumpFrame{plain(1, connect), plain(3, connack)}},
		{"hexdump -C with repeated rows", "00000000  41 41 41 41 41 41 41 41  41 41 41 41 41 41 41 41  |AAAAAAAAAAAAAAAA|\n*\n00000030  42                                                |B|\n00000031\n",
			[]DumpFrame{plain(1, []byte(strings.Repeat("A", 48)+"B"))}},
		{"tshark -x", "0000  10 11 00 04 4d 51 54 54 04 02 00 3c 00 05 68 65   ....MQTT...<..he\n0010  6c 6c 6f                                          llo\n\n0000  20 02 00 00                                        ...\n",
			[]DumpFrame{plain(1, connect), plain(4, connack)}},
		{"stream view", "00000000  10 11 00 04 4d 51 54 54  04 02 00 3c 00 05 68 65   ....MQTT ...<..he\n00000010  6c 6c 6f                                            llo\n    00000000  20 02 00 00                                          ...\n00000013  c0 00                                              ..\n    00000004  d0 00                                            ..\n",
			[]DumpFrame{client(1, "", connect), server(3, "", connack), client(4, "", []byte{0xC0, 0}), server(5, "", []byte{0xD0, 0})}},
		{"C arrays", "char peer0_0[] = { /* Packet 4 */\n0x10, 0x11, 0x00, 0x04, 0x4d, 0x51, 0x54, 0x54, \n0x04, 0x02, 0x00, 0x3c, 0x00, 0x05, 0x68, 0x65, \n0x6c, 0x6c, 0x6f };\nchar peer1_0[] = { /* Packet 6 } */\n0x20, 0x02, 0x00, 0x00 };\n",
			[]DumpFrame{client(1, "", connect), server(5, "", connack)}},
		{"nothing", "\n \n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseDump(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("frames differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseDumpErrors(t *testing.T) {
	for _, c := range []struct {
		name, text   string
		line, column int
	}{
		{"text", "TX: " + dumpConnect + "\nRX: 20 02 zz 00", 2, 11},
		{"text for a frame", "hello world", 1, 1},
		{"offset without hex", "0000  zz 02 00 00", 1, 7},
		{"array", "a[] = { 0x20, zz };", 1, 15},
		{"far offset", "00000000  41 41 41 41 41 41 41 41  41 41 41 41 41 41 41 41\n*\nffffff00  42\n", 3, 1},
	} {
		_, err := ParseDump(c.text)
		var e *HexError
		if !errors.As(err, &e) || e.Line != c.line || e.Column != c.column {
			t.Errorf("%s: %v, want line %d, column %d", c.name, err, c.line, c.column)
		}
	}
}

// TestParseDumpExplain takes a session from a dump to its explanations.
func TestParseDumpExplain(t *testing.T) {
	frames, err := ParseDump("TX: " + dumpConnect + "\nRX: 20 02 00 00\nTX: C0 00\nRX: D0 00\nRX: C0 00")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range ExplainDump(frames, ExplainOptions{}) {
		got = append(got, fmt.Sprintf("%s %v %v", e.Name, e.Direction, e.OK()))
	}
	want := []string{"CONNECT client to server true", "CONNACK server to client true", "PINGREQ client to server true",
		"PINGRESP server to client true", "PINGREQ server to client false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("explanations differ (-want +got):\n%s", diff)
	}
}

func FuzzParseDump(f *testing.F) {
	f.Add("TX: 10 70\nRX: 20 02 00 00")
	f.Add("00000000  41 41 41 41 41 41 41 41  41 41 41 41 41 41 41 41  |A|\n*\n00000030  42\n")
	f.Add("0000  10 70   .p\n    0000  20 02   ..\n0002  30\n")
	f.Add("00000000: 1011 0004  ....\n")
	f.Add("char peer0_0[] = { /* } */ 0x10 }; char peer1_0[] = { 0x20 };")
	f.Add("[12:00:01.250]收←◆20 02")
	f.Add("2024-05-01T12:00:02Z -> 20:02:00:00")
	f.Fuzz(func(t *testing.T, text string) {
		frames, err := ParseDump(text)
		if err != nil {
			var e *HexError
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(text) || e.Line < 1 || e.Column < 1 {
				t.Fatalf("%q: error without a place: %#v", text, err)
			}
			return
		}
		for _, fr := range frames {
			if len(fr.Data) == 0 || fr.Line < 1 || fr.Line > 1+strings.Count(text, "\n") {
				t.Fatalf("%q: frame %+v", text, fr)
			}
		}
	})
}
