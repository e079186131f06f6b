package broker

// subscriptions are the filters of a session. A session has few of them as a
// rule, and then the list is all there is; one with many has a table beside it.
type subscriptions struct {
	list []subscription
	at   map[string]int // where a filter is in list; nil up to manySubscriptions
}

// manySubscriptions is how many filters are searched one by one.
const manySubscriptions = 16

// find returns where a filter is in the list, -1 if nowhere.
func (u *subscriptions) find(filter string) int {
	if u.at != nil {
		if i, ok := u.at[filter]; ok {
			return i
		}
		return -1
	}
	for i := range u.list {
		if u.list[i].filter == filter {
			return i
		}
	}
	return -1
}

// put records a filter and reports whether it was there before.
func (u *subscriptions) put(sub subscription) (replaced bool) {
	if i := u.find(sub.filter); i >= 0 {
		u.list[i] = sub
		return true
	}
	u.list = append(u.list, sub)
	switch {
	case u.at != nil:
		u.at[sub.filter] = len(u.list) - 1
	case len(u.list) > manySubscriptions:
		u.at = make(map[string]int, 2*len(u.list))
		for i := range u.list {
			u.at[u.list[i].filter] = i
		}
	}
	return false
}

// remove forgets a filter and reports whether it was there.
func (u *subscriptions) remove(filter string) (existed bool) {
	i := u.find(filter)
	if i < 0 {
		return false
	}
	last := len(u.list) - 1
	if u.at != nil {
		delete(u.at, filter)
		if i != last {
			u.at[u.list[last].filter] = i
		}
	}
	u.list[i] = u.list[last]
	u.list[last] = subscription{}
	u.list = u.list[:last]
	return true
}
