package main

import (
	"strings"

	"github.com/linkstead/linkstead/mqtt"
)

// explainResult is what explain prints as JSON.
type explainResult struct {
	OK      bool             `json:"ok"` // whether no packet breaks a rule
	Packets []explainedFrame `json:"packets"`
}

// explainedFrame is one packet in JSON.
type explainedFrame struct {
	Packet    string           `json:"packet"`
	OK        bool             `json:"ok"`
	Version   string           `json:"version"`
	Direction string           `json:"direction,omitempty"`
	Line      int              `json:"line,omitempty"` // of the dump
	Time      string           `json:"time,omitempty"` // as the dump has it
	Start     int              `json:"start"`          // first byte within the input or the frame of the dump
	Length    int              `json:"length"`
	Missing   int              `json:"missing,omitempty"` // bytes announced but not there
	Hex       string           `json:"hex,omitempty"`     // with --show-secrets only: it holds the password
	Fields    []explainedField `json:"fields"`
}

// explainedField is one field of a packet. The keys from severity on are there only if something is wrong.
type explainedField struct {
	Offset   int      `json:"offset"`
	Length   int      `json:"length"`
	Field    string   `json:"field"`
	Value    string   `json:"value"`
	Details  []string `json:"details,omitempty"`
	Severity string   `json:"severity,omitempty"` // "warning" or "error"
	Problem  string   `json:"problem,omitempty"`
	Expected string   `json:"expected,omitempty"`
	Clause   string   `json:"clause,omitempty"`
	At       *int     `json:"at,omitempty"` // byte the problem is about
}

// newExplainResult collects the packets for JSON.
func newExplainResult(packets []explained, showSecrets bool) explainResult {
	r := explainResult{OK: wrong(packets) == 0, Packets: make([]explainedFrame, 0, len(packets))}
	for _, p := range packets {
		f := newExplainedFrame(p.Explanation)
		if p.frame != nil {
			f.Line, f.Time = p.frame.Line, p.frame.Time
		}
		if showSecrets {
			f.Hex = mqtt.FormatHex(p.Raw)
		}
		r.Packets = append(r.Packets, f)
	}
	return r
}

func newExplainedFrame(e mqtt.Explanation) explainedFrame {
	f := explainedFrame{
		Packet: e.Name, OK: e.OK(), Version: e.Version.String(), Direction: e.Direction.String(),
		Start: e.Start, Length: len(e.Raw), Missing: e.Missing,
		Fields: make([]explainedField, 0, len(e.Notes)),
	}
	for _, n := range e.Notes {
		field := explainedField{
			Offset: n.Offset, Length: n.Length, Field: n.Field, Value: n.Value, Details: n.Details,
			Severity: strings.ToLower(n.Severity.String()), Problem: n.Problem, Expected: n.Expected, Clause: n.Clause,
		}
		if n.Severity != mqtt.SeverityNone {
			at := n.At
			field.At = &at
		}
		f.Fields = append(f.Fields, field)
	}
	return f
}
