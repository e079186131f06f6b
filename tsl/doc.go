// Package tsl is the thing model: the JSON document (TSL) that names the
// properties, events and services of a product and gives each value a type.
//
// A [Model] is read once with [Parse] and then answers three questions on the
// hot path of every message: is this identifier known, does this value fit its
// type, and — when it does not — which code and message does the cloud use to
// say so.
//
//	m, err := tsl.Parse(document)           // every mistake at once, each with its path
//	err = m.EachProperty(params, tsl.Weak, nowMS,
//		func(id string, p *tsl.Property, v devjson.Value, timeMS int64, problem *tsl.Problem) bool {
//			…
//			return true
//		})
//
// The package does no I/O, starts nothing and takes the time as an argument.
// Checking a message that is fine allocates nothing.
//
// # Modes
//
// A product validates in one of three modes (spec/thing-model.md §15). [Strong]
// is the full check of type, range, length and step. [Weak], the default of the
// cloud since October 2020, checks only identifiers and data types and accepts
// two spellings that the strong mode refuses: true/false for a bool and a JSON
// number for a date. [None] lets everything through; nothing is known to fit.
//
// # Caveats
//
// Values handed to callbacks belong to the [devjson.Parser] they came from and
// die with its next Parse. The same holds for the identifier of an unknown
// property; identifiers of known ones belong to the model and live as long as
// it does.
//
// A nil *Model is the model of a product without a TSL: everything is unknown.
package tsl
