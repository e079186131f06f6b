package tsl

import "github.com/linkstead/linkstead/devjson"

// CheckServiceInput checks the arguments the server side wants to call a service
// with: an object that holds every input parameter, each fitting its type, and
// nothing else. Absent or null params are those of a service without input.
func (m *Model) CheckServiceInput(id string, params devjson.Value, mode Mode) *Problem {
	if mode == None {
		return nil
	}
	s, problem := m.service(id)
	if problem != nil {
		return problem
	}
	if problem := checkArguments(s.Input, params, mode); problem != nil {
		return problem
	}
	for i := range s.Input {
		if !params.Get(s.Input[i].Identifier).Exists() {
			return &Problem{Code: CodeNoInput, Message: textNoInput, Identifier: s.Input[i].Identifier,
				Detail: "the service " + s.Identifier + " needs this parameter"}
		}
	}
	return nil
}

// CheckServiceOutput checks the data of a device's reply to a service call.
// Parameters may be left out — a device that failed has nothing to say — but not
// invented. Absent or null data counts as empty.
func (m *Model) CheckServiceOutput(id string, params devjson.Value, mode Mode) *Problem {
	if mode == None {
		return nil
	}
	s, problem := m.service(id)
	if problem != nil {
		return problem
	}
	return checkArguments(s.Output, params, mode)
}

func (m *Model) service(id string) (*Service, *Problem) {
	if id == "" {
		return nil, &Problem{Code: CodeNoIdentifier, Message: textNoIdentifier, Detail: "the call names no service"}
	}
	s, known := m.Service(id)
	if !known {
		return nil, &Problem{Code: CodeNoService, Message: textNoService, Identifier: clip(id, maxIdentifierShown),
			Detail: "the thing model has no such service"}
	}
	return s, nil
}

func checkArguments(allowed []Param, params devjson.Value, mode Mode) *Problem {
	switch params.Kind() {
	case devjson.Null: // absent too
		return nil
	case devjson.Object:
		return checkParams(allowed, params, mode)
	}
	return notAnObject(params)
}
