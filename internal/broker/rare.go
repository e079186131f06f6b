package broker

// rare is what few sessions have, in a place of its own: there may be a million
// of them.
type rare struct {
	suspect uint64       // messages up to this one may have been sent before the server was killed
	delayed *delayedWill // nil: none waits
	shares  *share       // nil: it has no shared subscriptions
}

func (r *rare) suspected() uint64 {
	if r == nil {
		return 0
	}
	return r.suspect
}

func (r *rare) will() *delayedWill {
	if r == nil {
		return nil
	}
	return r.delayed
}

func (r *rare) share() *share {
	if r == nil {
		return nil
	}
	return r.shares
}

// rarely returns the session's rare part for writing.
func (s *Session) rarely() *rare {
	if s.rare == nil {
		s.rare = new(rare)
	}
	return s.rare
}

// tidy drops the rare part if nothing is in it.
func (s *Session) tidy() {
	if s.rare != nil && *s.rare == (rare{}) {
		s.rare = nil
	}
}

func (s *Session) suspectUpTo(seq uint64) {
	if seq != s.rare.suspected() {
		s.rarely().suspect = seq
		s.tidy()
	}
}

func (s *Session) delay(d *delayedWill) {
	if d != s.rare.will() {
		s.rarely().delayed = d
		s.tidy()
	}
}

func (s *Session) leaveShares() {
	if s.rare.share() != nil {
		s.rare.shares = nil
		s.tidy()
	}
}
