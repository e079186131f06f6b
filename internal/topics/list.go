package topics

import "sync/atomic"

// list is everything subscribed under one filter. Nearly all filters have
// exactly one subscriber, which is held in place; more, and shared groups, are
// held behind a pointer.
//
// If more is nil the list is one (if has is set); otherwise it is more alone.
type list[S comparable] struct {
	one  single[S]
	more *crowd[S]
}

// single is an Entry in the same 16 bytes (for a pointer S) with room for has.
type single[S comparable] struct {
	subscriber S
	id         uint32
	options    Options
	has        bool
}

// crowd is the long form of a list.
type crowd[S comparable] struct {
	entries roster[S, Entry[S]]
	groups  roster[string, *Group[S]]
}

func (l *list[S]) empty() bool { return l.more == nil && !l.one.has }

// appendTo appends the entries and groups of the list.
func (l *list[S]) appendTo(dst []Entry[S], shared []*Group[S]) ([]Entry[S], []*Group[S]) {
	if l.more == nil {
		if l.one.has {
			dst = append(dst, Entry[S]{l.one.subscriber, l.one.options, l.one.id})
		}
		return dst, shared
	}
	return append(dst, l.more.entries.items...), append(shared, l.more.groups.items...)
}

// change says what a subscription or its end did.
type change struct {
	existed bool // the subscription was there before
	routes  bool // a match may now give another result
	filters int  // filters gained or lost

	known *atomic.Bool // to be set when caches have been told; may be nil
}

// subscribe adds or replaces the subscription of e.Subscriber; group is empty
// for an ordinary one and filter is the filter behind the group.
func (l *list[S]) subscribe(group, filter string, e Entry[S]) change {
	if group != "" {
		return l.join(group, filter, e)
	}
	if l.more == nil {
		switch {
		case !l.one.has:
			l.one = single[S]{e.Subscriber, e.ID, e.Options, true}
			return change{routes: true, filters: 1}
		case l.one.subscriber == e.Subscriber:
			next := single[S]{e.Subscriber, e.ID, e.Options, true}
			same := l.one == next
			l.one = next
			return change{existed: true, routes: !same}
		}
		l.grow()
	}
	in := &l.more.entries
	if i := in.find(e.Subscriber); i >= 0 {
		same := in.items[i] == e
		in.items[i] = e
		return change{existed: true, routes: !same}
	}
	in.add(e)
	c := change{routes: true}
	if len(in.items) == 1 {
		c.filters = 1
	}
	return c
}

// unsubscribe removes the subscription of s.
func (l *list[S]) unsubscribe(group string, s S) change {
	if group != "" {
		return l.leave(group, s)
	}
	if l.more == nil {
		if !l.one.has || l.one.subscriber != s {
			return change{}
		}
		l.one = single[S]{}
		return change{existed: true, routes: true, filters: -1}
	}
	in := &l.more.entries
	i := in.find(s)
	if i < 0 {
		return change{}
	}
	in.remove(i)
	c := change{existed: true, routes: true}
	if len(in.items) == 0 {
		c.filters = -1
	}
	l.shrink()
	return c
}

// join adds or replaces a member of a shared group. Members are read from the
// group itself at every publication, so only the first changes any route. Whoever
// joins before caches were told of the group tells them, too: its call may return
// before the first one's.
func (l *list[S]) join(group, filter string, e Entry[S]) change {
	if l.more == nil {
		l.grow()
	}
	in := &l.more.groups
	if i := in.find(group); i >= 0 {
		g := in.items[i]
		return change{existed: g.join(e), routes: !g.known.Load()}
	}
	g := &Group[S]{Name: group, Filter: filter, Text: sharePrefix + group + "/" + filter}
	g.join(e)
	in.add(g)
	return change{routes: true, filters: 1, known: &g.known}
}

// leave removes a member of a shared group, and the group with its last member.
func (l *list[S]) leave(group string, s S) change {
	if l.more == nil {
		return change{}
	}
	in := &l.more.groups
	i := in.find(group)
	if i < 0 || !in.items[i].leave(s) {
		return change{}
	}
	c := change{existed: true}
	if len(in.items[i].Members()) == 0 {
		in.remove(i)
		c.routes, c.filters = true, -1
		l.shrink()
	}
	return c
}

// grow turns the short form into the long one.
func (l *list[S]) grow() {
	l.more = &crowd[S]{}
	if l.one.has {
		l.more.entries.add(Entry[S]{l.one.subscriber, l.one.options, l.one.id})
		l.one = single[S]{}
	}
}

// shrink returns to the short form where it suffices.
func (l *list[S]) shrink() {
	if len(l.more.groups.items) > 0 || len(l.more.entries.items) > 1 {
		return
	}
	if len(l.more.entries.items) == 1 {
		e := l.more.entries.items[0]
		l.one = single[S]{e.Subscriber, e.ID, e.Options, true}
	}
	l.more = nil
}
