package tsl

import "github.com/linkstead/linkstead/devjson"

// CheckEvent checks the params of an event post. They come in three shapes
// (spec/thing-model.md §7): {"value":{…},"time":…}, {"value":{…}} and the bare
// output object. out is the output object in each case, and timeMS the time in
// UTC milliseconds, 0 when there is none.
//
// Unlike a property post, an event is accepted or refused as a whole: the first
// problem is returned. Parameters may be left out, but not invented.
func (m *Model) CheckEvent(id string, params devjson.Value, mode Mode, nowMS int64) (out devjson.Value, timeMS int64, problem *Problem) {
	out, stamp := unwrap(params)
	timeMS, problem = checkTime(stamp, nowMS)
	if mode == None {
		return out, timeMS, nil
	}
	e, known := m.Event(id)
	switch {
	case id == "":
		return out, timeMS, &Problem{Code: CodeNoIdentifier, Message: textNoIdentifier, Detail: "the topic names no event"}
	case !known:
		return out, timeMS, &Problem{Code: CodeNotDefined, Message: textNoEvent, Identifier: clip(id, maxIdentifierShown),
			Detail: "the thing model has no such event"}
	case problem != nil:
		return out, timeMS, problem
	case out.Kind() != devjson.Object:
		return out, timeMS, notAnObject(out)
	}
	return out, timeMS, checkParams(e.Output, out, mode)
}

// checkParams checks every member of v against the parameters that may occur.
func checkParams(params []Param, v devjson.Value, mode Mode) *Problem {
	var problem *Problem
	v.Each(func(key string, value devjson.Value) bool {
		param := field(params, key)
		if param == nil {
			problem = &Problem{Code: CodeUnknownParam, Message: textUnknown, Identifier: clip(key, maxIdentifierShown),
				Detail: "the thing model has no such parameter"}
		} else if problem = param.Type.Check(value, mode); problem != nil {
			problem.Identifier = param.Identifier
		}
		return problem == nil
	})
	return problem
}
