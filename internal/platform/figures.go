package platform

import (
	"sync/atomic"

	"github.com/linkstead/linkstead/internal/meter"
)

// figures count what the platform does with devices.
type figures struct {
	posts, refusedPosts, events meter.Sharded
	points                      meter.Sharded

	// by command
	replied  [commands]*meter.Histogram // ns from sending to the reply
	sent     [commands]meter.Sharded
	timeouts [commands]meter.Sharded

	// by door
	uploads, turned [len(Doors)]atomic.Uint64
}

// Doors are the ways by which devices come that have no connection, in the order of
// Figures.
var Doors = [...]string{doorHTTPS, doorCoAP, doorCoAPS}

// came counts what came by a door: a message that was taken, or something that was
// turned away.
func (f *figures) came(door string, taken bool) {
	for i, name := range Doors {
		switch {
		case name != door:
		case taken:
			f.uploads[i].Add(1)
		default:
			f.turned[i].Add(1)
		}
	}
}

// The commands that are counted apart.
const (
	commandSet = iota
	commandGet
	commandService
	commandNotice
	commands
)

// Commands are the names of the commands in the order of Figures.
var Commands = [commands]string{"property.set", "property.get", "service.call", "notice"}

func (f *figures) init() {
	for i := range f.replied {
		f.replied[i] = meter.NewHistogram(meter.Durations)
	}
}

// posted counts a property report that was taken, with the points it has.
func (f *figures) posted(shard, points int) {
	f.posts.Add(shard, 1)
	f.points.Add(shard, uint64(points))
}

// Figures are the counters of what the platform does, since its start.
type Figures struct {
	PropertyPosts        uint64 // property reports that were taken
	PropertyPostsRefused uint64 // property reports whose envelope or parameters cannot be read
	PropertyPoints       uint64 // values in reports that fit the thing model
	EventPosts           uint64
	CommandsSent         [commands]uint64         // by Commands
	CommandsTimedOut     [commands]uint64         // nobody replied in time
	CommandReplies       [commands]meter.Snapshot // ns from sending to the reply
	LateReplies          uint64                   // replies that nobody waited for
	Uploads              [len(Doors)]uint64       // messages of devices without a connection, by Doors
	TurnedAway           [len(Doors)]uint64       // logins and messages that were refused there
}

// Figures may be called from any goroutine.
func (p *Platform) Figures() Figures {
	f := &p.figures
	out := Figures{
		PropertyPosts: f.posts.Load(), PropertyPostsRefused: f.refusedPosts.Load(), PropertyPoints: f.points.Load(),
		EventPosts: f.events.Load(), LateReplies: p.calls.late.Load(),
	}
	for i := range Doors {
		out.Uploads[i], out.TurnedAway[i] = f.uploads[i].Load(), f.turned[i].Load()
	}
	for i := range commands {
		out.CommandsSent[i], out.CommandsTimedOut[i] = f.sent[i].Load(), f.timeouts[i].Load()
		out.CommandReplies[i] = f.replied[i].Snapshot()
	}
	return out
}
