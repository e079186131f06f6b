// Package simulate is a fleet of simulated devices. Each logs in with its triple
// over a connection of its own, as a real one does, posts properties and events
// that fit a thing model, answers what it is told, drops out and comes back, and
// counts what it saw: how long replies took, which never came, which
// acknowledged posts are not in the server's history.
//
// It knows the server only by its protocol; what needs the management API comes
// in through small interfaces.
package simulate
