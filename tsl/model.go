package tsl

// DefaultSchema is the schema URL written into exports of models that came
// without one. It is informational; nothing fetches it.
const DefaultSchema = "https://iotx-tsl.oss-ap-southeast-1.aliyuncs.com/schema.json"

// DefaultVersion is the profile version of models that came without one.
const DefaultVersion = "1.0"

// Model is the thing model of a product. It is immutable after [Parse] and safe
// for concurrent use. The nil Model is that of a product without a TSL.
type Model struct {
	schema     string
	version    string
	properties []*Property
	events     []*Event
	services   []*Service
	modules    []Module

	propertyByID map[string]*Property
	eventByID    map[string]*Event
	serviceByID  map[string]*Service
}

// Property finds a property by its identifier on the wire, "Temp" or
// "roomA:Temp".
func (m *Model) Property(identifier string) (*Property, bool) {
	if m == nil {
		return nil, false
	}
	p, ok := m.propertyByID[identifier]
	return p, ok
}

// Event finds an event by its identifier on the wire. The event "post" that
// exports generate is not one of the model's.
func (m *Model) Event(identifier string) (*Event, bool) {
	if m == nil {
		return nil, false
	}
	e, ok := m.eventByID[identifier]
	return e, ok
}

// Service finds a service by its identifier on the wire. The services "set" and
// "get" that exports generate are not among the model's.
func (m *Model) Service(identifier string) (*Service, bool) {
	if m == nil {
		return nil, false
	}
	s, ok := m.serviceByID[identifier]
	return s, ok
}

// Properties lists the properties in the document's order. The slice is shared:
// it must not be modified.
func (m *Model) Properties() []*Property {
	if m == nil {
		return nil
	}
	return m.properties
}

// Events lists the events in the document's order. The slice is shared: it must
// not be modified.
func (m *Model) Events() []*Event {
	if m == nil {
		return nil
	}
	return m.events
}

// Services lists the services in the document's order. The slice is shared: it
// must not be modified.
func (m *Model) Services() []*Service {
	if m == nil {
		return nil
	}
	return m.services
}

// Modules lists the custom modules, without the default one, in the document's
// order. The slice is shared: it must not be modified.
func (m *Model) Modules() []Module {
	if m == nil {
		return nil
	}
	return m.modules
}

// Version is the version in the document's profile, "1.0" when it had none.
func (m *Model) Version() string {
	if m == nil || m.version == "" {
		return DefaultVersion
	}
	return m.version
}

// Schema is the schema URL of the document, [DefaultSchema] when it had none.
func (m *Model) Schema() string {
	if m == nil || m.schema == "" {
		return DefaultSchema
	}
	return m.schema
}
