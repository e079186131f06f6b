package tsl

import (
	"strconv"

	"github.com/linkstead/linkstead/devjson"
)

// Export writes the full TSL as the cloud exports it: compact JSON in a stable
// order, with the generated event "post" and services "set" and "get" in front
// of the others wherever there are properties. [Parse] reads it back into the
// same model.
func (m *Model) Export(productKey string) []byte {
	b := appendMember([]byte{'{'}, "schema", m.Schema())
	b = append(b, `,"profile":{`...)
	b = appendMember(b, "version", m.Version())
	b = append(b, ',')
	b = appendMember(b, "productKey", productKey)
	b = append(b, '}')
	return m.appendLists(b)
}

// DeviceTSL writes the TSL as a device receives it in answer to
// thing.dsltemplate.get: with the link to its topics and its own name in the
// profile (spec/thing-model.md §11).
func (m *Model) DeviceTSL(productKey, deviceName string) []byte {
	b := appendMember([]byte{'{'}, "schema", m.Schema())
	b = append(b, ',')
	b = appendMember(b, "link", "/sys/"+productKey+"/"+deviceName+"/thing/")
	b = append(b, `,"profile":{`...)
	b = appendMember(b, "productKey", productKey)
	b = append(b, ',')
	b = appendMember(b, "deviceName", deviceName)
	b = append(b, '}')
	return m.appendLists(b)
}

// appendLists appends what follows the profile and closes the document.
func (m *Model) appendLists(b []byte) []byte {
	b = append(b, ',')
	b = m.appendSection(b, "")
	if modules := m.Modules(); len(modules) > 0 {
		b = append(b, `,"functionBlocks":[`...)
		for i, module := range modules {
			b = appendComma(b, i)
			b = append(b, '{')
			b = appendMember(b, "functionBlockId", module.ID)
			b = append(b, ',')
			b = appendMember(b, "functionBlockName", module.Name)
			b = append(b, ',')
			b = m.appendSection(b, module.ID)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// appendSection appends the three lists of one module, "" for the default one.
func (m *Model) appendSection(b []byte, module string) []byte {
	var own []*Property
	for _, p := range m.Properties() {
		if inModule(p.Identifier, module) {
			own = append(own, p)
		}
	}
	b = append(b, `"properties":[`...)
	for i, p := range own {
		b = appendComma(b, i)
		b = appendProperty(b, p)
	}

	b = append(b, `],"events":[`...)
	n := 0
	if len(own) > 0 {
		b = append(b, `{"identifier":"post","name":"post","type":"info","required":true,"desc":"property post",`+
			`"method":"thing.event.property.post","outputData":`...)
		b = appendAsParams(b, own, func(*Property) bool { return true })
		b = append(b, '}')
		n++
	}
	for _, e := range m.Events() {
		if inModule(e.Identifier, module) {
			b = appendComma(b, n)
			b = appendEvent(b, e)
			n++
		}
	}

	b = append(b, `],"services":[`...)
	n = 0
	if len(own) > 0 {
		b = append(b, `{"identifier":"set","name":"set","required":true,"callType":"async","desc":"property set",`+
			`"method":"thing.service.property.set","inputData":`...)
		b = appendAsParams(b, own, func(p *Property) bool { return p.AccessMode.Writable() })
		b = append(b, `,"outputData":[]},{"identifier":"get","name":"get","required":true,"callType":"async",`+
			`"desc":"property get","method":"thing.service.property.get","inputData":[`...)
		for i, p := range own {
			b = appendComma(b, i)
			b = devjson.AppendString(b, local(p.Identifier))
		}
		b = append(b, `],"outputData":`...)
		b = appendAsParams(b, own, func(*Property) bool { return true })
		b = append(b, '}')
		n++
	}
	for _, s := range m.Services() {
		if inModule(s.Identifier, module) {
			b = appendComma(b, n)
			b = appendService(b, s)
			n++
		}
	}
	return append(b, ']')
}

func local(identifier string) string {
	_, local := SplitModule(identifier)
	return local
}

func appendComma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}

func appendMember(b []byte, key, value string) []byte {
	b = devjson.AppendString(b, key)
	b = append(b, ':')
	return devjson.AppendString(b, value)
}

// appendHead appends what every feature starts with. An empty description is
// left out, as in the cloud's exports.
func appendHead(b []byte, identifier, name, desc string, required bool) []byte {
	b = append(b, '{')
	b = appendMember(b, "identifier", local(identifier))
	b = append(b, ',')
	b = appendMember(b, "name", name)
	if desc != "" {
		b = append(b, ',')
		b = appendMember(b, "desc", desc)
	}
	b = append(b, `,"required":`...)
	return strconv.AppendBool(b, required)
}

func appendProperty(b []byte, p *Property) []byte {
	b = appendHead(b, p.Identifier, p.Name, p.Desc, p.Required)
	b = append(b, ',')
	b = appendMember(b, "accessMode", string(p.AccessMode))
	b = append(b, `,"dataType":`...)
	b = appendDataType(b, p.Type)
	return append(b, '}')
}

func appendEvent(b []byte, e *Event) []byte {
	b = appendHead(b, e.Identifier, e.Name, e.Desc, e.Required)
	b = append(b, ',')
	b = appendMember(b, "type", string(e.Kind))
	b = append(b, ',')
	b = appendMember(b, "method", e.Method())
	b = append(b, `,"outputData":`...)
	b = appendParams(b, e.Output)
	return append(b, '}')
}

func appendService(b []byte, s *Service) []byte {
	b = appendHead(b, s.Identifier, s.Name, s.Desc, s.Required)
	b = append(b, ',')
	b = appendMember(b, "callType", string(s.CallType))
	b = append(b, ',')
	b = appendMember(b, "method", s.Method())
	b = append(b, `,"inputData":`...)
	b = appendParams(b, s.Input)
	b = append(b, `,"outputData":`...)
	b = appendParams(b, s.Output)
	return append(b, '}')
}

func appendParams(b []byte, params []Param) []byte {
	b = append(b, '[')
	for i := range params {
		b = appendComma(b, i)
		b = appendParam(b, params[i])
	}
	return append(b, ']')
}

func appendParam(b []byte, p Param) []byte {
	b = append(b, '{')
	b = appendMember(b, "identifier", p.Identifier)
	b = append(b, ',')
	b = appendMember(b, "name", p.Name)
	b = append(b, `,"dataType":`...)
	b = appendDataType(b, p.Type)
	return append(b, '}')
}

// appendAsParams appends the properties that pass keep as a parameter list.
func appendAsParams(b []byte, properties []*Property, keep func(*Property) bool) []byte {
	b = append(b, '[')
	n := 0
	for _, p := range properties {
		if keep(p) {
			b = appendComma(b, n)
			b = appendParam(b, Param{Identifier: local(p.Identifier), Name: p.Name, Type: p.Type})
			n++
		}
	}
	return append(b, ']')
}
