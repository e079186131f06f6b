package tsl

import "strings"

// AccessMode says who may change a property: "r", "rw" or "w".
type AccessMode string

// The access modes. WriteOnly occurs in newer documents only.
const (
	ReadOnly  AccessMode = "r"
	ReadWrite AccessMode = "rw"
	WriteOnly AccessMode = "w"
)

// Writable reports whether the server side may set the property.
func (a AccessMode) Writable() bool { return a == ReadWrite || a == WriteOnly }

// Readable reports whether the property can be asked for.
func (a AccessMode) Readable() bool { return a == ReadOnly || a == ReadWrite }

// EventKind is the severity of an event.
type EventKind string

// The severities.
const (
	EventInfo  EventKind = "info"
	EventAlert EventKind = "alert"
	EventError EventKind = "error"
)

// CallType says whether the caller of a service waits for its output.
type CallType string

// The call types.
const (
	CallAsync CallType = "async"
	CallSync  CallType = "sync"
)

// Property is a value the device has. It must not be modified.
type Property struct {
	// Identifier is the name on the wire; "module:id" inside a custom module.
	Identifier string
	Name       string // what people call it
	Desc       string
	AccessMode AccessMode
	// Required says that every device of the product must have the property. It
	// does not mean that every post must contain it.
	Required bool
	Type     *DataType
}

// Event is something that happens at the device. It must not be modified.
type Event struct {
	// Identifier is the name on the wire; "module:id" inside a custom module.
	Identifier string
	Name       string
	Desc       string
	Kind       EventKind
	Required   bool
	Output     []Param
}

// Service is something the device can be asked to do. It must not be modified.
type Service struct {
	// Identifier is the name on the wire; "module:id" inside a custom module.
	Identifier string
	Name       string
	Desc       string
	CallType   CallType
	Required   bool
	Input      []Param
	Output     []Param
}

// Method is the Alink method of the event, "thing.event.Alarm.post".
func (e *Event) Method() string { return "thing.event." + e.Identifier + ".post" }

// Method is the Alink method of the service, "thing.service.SetWeight".
func (s *Service) Method() string { return "thing.service." + s.Identifier }

// Module is one custom module ("function block") of a model. Identifiers of its
// features are qualified with its ID (spec/thing-model.md §13).
type Module struct {
	ID   string
	Name string
}

// inModule reports whether the qualified identifier belongs to the module; the
// empty module owns the unqualified ones.
func inModule(identifier, module string) bool {
	if module == "" {
		return !strings.Contains(identifier, ":")
	}
	return len(identifier) > len(module) && identifier[len(module)] == ':' && identifier[:len(module)] == module
}
