package tsl

import (
	"strconv"
	"strings"
)

// Row describes one feature of a model for people, ready for a table.
type Row struct {
	Feature    string // "property", "event" or "service"
	Identifier string
	Name       string
	Mode       string // accessMode, event type or callType: "rw", "alert", "sync"
	Type       string // "int -40…125 °C", "(Gas int, Level enum)", "(times int) → ()"
}

// Describe lists the properties, then the events, then the services, in the
// document's order.
func (m *Model) Describe() []Row {
	rows := make([]Row, 0, len(m.Properties())+len(m.Events())+len(m.Services()))
	for _, p := range m.Properties() {
		rows = append(rows, Row{"property", p.Identifier, p.Name, string(p.AccessMode), p.Type.String()})
	}
	for _, e := range m.Events() {
		rows = append(rows, Row{"event", e.Identifier, e.Name, string(e.Kind), signature(e.Output)})
	}
	for _, s := range m.Services() {
		rows = append(rows, Row{"service", s.Identifier, s.Name, string(s.CallType), signature(s.Input) + " → " + signature(s.Output)})
	}
	return rows
}

// signature lists parameters as "(Temp int, Hum int)".
func signature(params []Param) string {
	var b strings.Builder
	b.WriteByte('(')
	for i := range params {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(params[i].Identifier + " " + params[i].Type.Kind.String())
	}
	b.WriteByte(')')
	return b.String()
}

// String describes the type in a few words: "int -40…125 step 1 °C",
// "enum 0 off, 1 auto", "text ≤ 2048 bytes", "array ≤ 10 of int",
// "struct (x int, y int)".
func (t *DataType) String() string {
	if t == nil {
		return "none"
	}
	s := t.Kind.String()
	switch t.Kind {
	case Int, Float, Double:
		switch {
		case t.Min.Set && t.Max.Set:
			s += " " + t.Min.Text + "…" + t.Max.Text
		case t.Min.Set:
			s += " ≥ " + t.Min.Text
		case t.Max.Set:
			s += " ≤ " + t.Max.Text
		}
		if t.Step.Set {
			s += " step " + t.Step.Text
		}
		if t.Unit != "" {
			s += " " + t.Unit
		}
	case Bool, Enum:
		if len(t.Labels) > 0 {
			s += " " + t.labelList()
		}
	case Text:
		s += " ≤ " + strconv.Itoa(t.maxLength()) + " bytes"
	case Array:
		s += " ≤ " + strconv.Itoa(t.Size) + " of " + t.Item.String()
	case Struct:
		s += " " + signature(t.Fields)
	}
	return s
}

// maxLabelsShown keeps descriptions of long enums to one line.
const maxLabelsShown = 8

// labelList lists the labels as "0 off, 1 on".
func (t *DataType) labelList() string {
	var b strings.Builder
	for i, label := range t.Labels {
		if i == maxLabelsShown {
			b.WriteString(", and " + strconv.Itoa(len(t.Labels)-i) + " more")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(int(label.Value)) + " " + clip(label.Text, maxValueShown))
	}
	return b.String()
}
