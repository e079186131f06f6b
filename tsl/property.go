package tsl

import (
	"strconv"

	"github.com/linkstead/linkstead/devjson"
)

// MaxPost is the largest number of properties in one post, set or get.
const MaxPost = 200

// maxAheadMS is how far in the future a reported time may lie: 24 hours.
const maxAheadMS = 24 * 60 * 60 * 1000

// EachProperty walks the params of a property post and calls visit for every
// member in the message's order until visit returns false:
//
//   - p is the property, nil when the model has none of that identifier.
//   - v is the value, taken out of its {"value":…,"time":…} wrapper.
//   - timeMS is the wrapper's time in UTC milliseconds, 0 when there is none.
//   - problem is nil when the value fits. Otherwise v and timeMS are still what
//     the device sent, because the weak mode forwards failing values too.
//
// An identifier that occurs twice is visited twice; the last one is the one
// that counts. nowMS is the server's time in UTC milliseconds: a time more than
// 24 hours ahead of it is a problem.
//
// The error is a [*Problem] with the code for the whole message — params are not
// an object (460), empty (460) or have more than 200 members (6106) — and then
// nothing was visited.
func (m *Model) EachProperty(params devjson.Value, mode Mode, nowMS int64,
	visit func(id string, p *Property, v devjson.Value, timeMS int64, problem *Problem) bool) error {
	if problem := checkPost(params); problem != nil {
		return problem
	}
	params.Each(func(key string, v devjson.Value) bool {
		p, v, timeMS, problem := m.CheckProperty(key, v, mode, nowMS)
		id := key
		if p != nil {
			id = p.Identifier // outlives the parser
		}
		return visit(id, p, v, timeMS, problem)
	})
	return nil
}

// checkPost checks what a post and a set have in common: an object of 1 to 200
// members.
func checkPost(params devjson.Value) *Problem {
	switch {
	case params.Kind() != devjson.Object:
		return notAnObject(params)
	case params.Len() == 0:
		return &Problem{Code: CodeParams, Message: textEmpty, Detail: "params should hold at least one property"}
	case params.Len() > MaxPost:
		return &Problem{Code: CodeTooManyInPost, Message: textTooMany,
			Detail: strconv.Itoa(params.Len()) + " properties are more than the 200 allowed in one message"}
	}
	return nil
}

// notAnObject is the problem of params that are missing or something else.
func notAnObject(params devjson.Value) *Problem {
	if !params.Exists() {
		return &Problem{Code: CodeParams, Message: textEmpty, Detail: "params are missing, they should be an object"}
	}
	return &Problem{Code: CodeParams, Message: textShape, Detail: "params are " + shown(params) + ", they should be an object"}
}

// CheckProperty checks one member of a post, batch or history message: the value
// itself or {"value":…,"time":…}. The results are those that [Model.EachProperty]
// hands to visit.
//
// An object with the member "value" is always the wrapper, as no struct can have
// a member of that name. A time of 0, as sent by devices without a clock, and
// null count as no time.
func (m *Model) CheckProperty(id string, v devjson.Value, mode Mode, nowMS int64) (p *Property, value devjson.Value, timeMS int64, problem *Problem) {
	p, known := m.Property(id)
	value, stamp := unwrap(v)
	timeMS, problem = checkTime(stamp, nowMS)
	switch {
	case mode == None:
		problem = nil
	case id == "":
		problem = &Problem{Code: CodeNoIdentifier, Message: textNoIdentifier}
	case !known:
		problem = &Problem{Code: CodeUnknownParam, Message: textUnknown, Identifier: clip(id, maxIdentifierShown),
			Detail: "the thing model has no such property"}
	case problem != nil:
		problem.Identifier = p.Identifier
	default:
		if problem = p.Type.Check(value, mode); problem != nil {
			problem.Identifier = p.Identifier
		}
	}
	return p, value, timeMS, problem
}

// CheckSet checks the params of a property set that the server side wants to
// send: 1 to 200 properties, all of them known, writable and, whatever the
// product's mode, in range. It returns the first problem.
func (m *Model) CheckSet(params devjson.Value) *Problem {
	problem := checkPost(params)
	if problem != nil {
		return problem
	}
	params.Each(func(key string, v devjson.Value) bool {
		p, known := m.Property(key)
		switch {
		case key == "":
			problem = &Problem{Code: CodeNoIdentifier, Message: textNoIdentifier}
		case !known:
			problem = &Problem{Code: CodeNotDefined, Message: textNoProperty, Identifier: clip(key, maxIdentifierShown),
				Detail: "the thing model has no such property"}
		case !p.AccessMode.Writable():
			problem = &Problem{Code: CodeNotFitting, Message: textReadOnly, Identifier: p.Identifier,
				Detail: `its accessMode is "r"`}
		default:
			if problem = p.Type.Check(v, Strong); problem != nil {
				problem.Identifier = p.Identifier
			}
		}
		return problem == nil
	})
	return problem
}

// unwrap takes {"value":…,"time":…} apart; anything else is the value itself.
func unwrap(v devjson.Value) (value, stamp devjson.Value) {
	if v.Kind() == devjson.Object {
		if inner := v.Get("value"); inner.Exists() {
			return inner, v.Get("time")
		}
	}
	return v, devjson.Value{}
}

// checkTime reads a time: UTC milliseconds as a number or a string of digits.
func checkTime(v devjson.Value, nowMS int64) (int64, *Problem) {
	if v.Kind() == devjson.Null {
		return 0, nil // absent, or a JSON null
	}
	ms, ok := v.Int64()
	if s, isText := v.Str(); isText {
		ms, ok = millis(s)
	}
	if !ok || ms < 0 {
		return 0, &Problem{Code: CodeTime, Message: textTime, Detail: "time is " + shown(v) + ", it should be UTC milliseconds"}
	}
	if ms-maxAheadMS > nowMS {
		return ms, &Problem{Code: CodeTime, Message: textTimeAhead,
			Detail: "time " + shown(v) + " is more than 24 hours ahead of the server's " + strconv.FormatInt(nowMS, 10)}
	}
	return ms, nil
}
