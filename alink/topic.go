package alink

import "strings"

const replySuffix = "_reply"

// Topic is a topic taken apart. Its strings share memory with the text it was parsed from. What a field
// means depends on the Kind; fields a kind does not use are empty.
type Topic struct {
	Kind TopicKind
	// Reply is true for the _reply twin of a topic.
	Reply bool
	// ProductKey and DeviceName are the identity in the topic. Registration pushes have none, Broadcast has
	// only the product.
	ProductKey string
	DeviceName string
	// Module is the block of a qualified event or service, "roomA" in roomA:Alarm.
	Module string
	// ID is the event's or service's identifier without its module, or the message id of a synchronous call,
	// a broadcast or a probe.
	ID string
	// Suffix is the rest: "user/update" of a Custom topic, the levels after the product of a Broadcast, the
	// whole inner topic of an ExtRRPC, the levels after the identity of an Unknown one.
	Suffix string
	// Query is what followed a question mark: "_sn=default" asks for the product's script, "_rid=…" is a
	// trace id.
	Query string
}

// ParseTopic takes a topic apart. It returns false for text that is no topic of this protocol: one that
// does not start with a slash, that has no identity where one belongs, or that has an empty level. It does
// not allocate.
//
// A topic filter parses as well if its wildcards come after the identity; the wildcard is then the ID or
// part of the Suffix.
func ParseTopic(s string) (Topic, bool) {
	t, ok := parseTopic(s)
	if ok && t.Kind == ExtRRPC {
		inner, innerOK := parseTopic(t.Suffix)
		if !innerOK || inner.Kind == ExtRRPC || inner.ProductKey == "" {
			return Topic{}, false
		}
		t.ProductKey, t.DeviceName = inner.ProductKey, inner.DeviceName
	}
	return t, ok
}

func parseTopic(s string) (Topic, bool) {
	var t Topic
	if len(s) < 2 || s[0] != '/' {
		return t, false
	}
	if i := strings.IndexByte(s, '?'); i >= 0 {
		s, t.Query = s[:i], s[i+1:]
	}
	if s[len(s)-1] == '/' || strings.Contains(s, "//") {
		return Topic{}, false
	}
	first, rest := level(s[1:])
	var ok bool
	switch first {
	case "sys":
		if t.ProductKey, t.DeviceName, rest = identity(rest); rest != "" {
			ok = true
			t.parseSys(rest)
		}
	case "ext":
		ok = t.parseExt(rest)
	case "ota":
		ok = t.parseOTA(rest)
	case "shadow":
		var action string
		action, rest = level(rest)
		t.Kind = pick(action, "update", ShadowUpdate, "get", ShadowGet)
		t.ProductKey, t.DeviceName, rest = identity(rest)
		ok = t.identityLast(rest)
	case "broadcast":
		t.Kind = Broadcast
		t.ProductKey, t.Suffix = level(rest)
		ok = t.Suffix != ""
	default:
		t.Kind = Custom
		t.ProductKey = first
		t.DeviceName, t.Suffix = level(rest)
		ok = t.Suffix != ""
	}
	if !ok {
		return Topic{}, false
	}
	return t, true
}

// level splits off the text before the next slash.
func level(s string) (first, rest string) {
	if i := strings.IndexByte(s, '/'); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

// identity splits off {productKey}/{deviceName}.
func identity(s string) (productKey, deviceName, rest string) {
	productKey, s = level(s)
	deviceName, rest = level(s)
	return productKey, deviceName, rest
}

func pick(s, name1 string, kind1 TopicKind, name2 string, kind2 TopicKind) TopicKind {
	switch s {
	case name1:
		return kind1
	case name2:
		return kind2
	}
	return Unknown
}

// identityLast finishes a topic that should end with its identity; levels after it make it Unknown.
func (t *Topic) identityLast(rest string) bool {
	if rest != "" {
		t.Kind, t.Suffix = Unknown, rest
	}
	return t.DeviceName != ""
}

// parseSys reads what follows /sys/{P}/. Fixed texts come first: property/set would otherwise read as a
// service, and property/post as an event.
func (t *Topic) parseSys(tail string) {
	if k, ok := kindByTail[tail]; ok {
		t.Kind, t.Reply = k.kind, k.reply
		return
	}
	if id, ok := strings.CutPrefix(tail, "thing/service/"); ok && !strings.Contains(id, "/") {
		id, t.Reply = strings.CutSuffix(id, replySuffix)
		if id != "" {
			t.Kind = ServiceCall
			t.qualified(id)
			return
		}
		t.Reply = false
	}
	if rest, ok := strings.CutPrefix(tail, "thing/event/"); ok {
		id, last := level(rest)
		if last == "post" || last == "post"+replySuffix {
			t.Kind, t.Reply = EventPost, last != "post"
			t.qualified(id)
			return
		}
	}
	if id, ok := strings.CutPrefix(tail, "rrpc/request/"); ok && !strings.Contains(id, "/") {
		t.Kind, t.ID = RRPCRequest, id
		return
	}
	if id, ok := strings.CutPrefix(tail, "rrpc/response/"); ok && !strings.Contains(id, "/") {
		t.Kind, t.ID = RRPCResponse, id
		return
	}
	if id, ok := strings.CutPrefix(tail, "broadcast/request/"); ok && !strings.Contains(id, "/") {
		t.Kind, t.ID = BroadcastRequest, id
		return
	}
	t.Suffix = tail
}

// qualified splits module:identifier.
func (t *Topic) qualified(id string) {
	if i := strings.IndexByte(id, ':'); i > 0 && i < len(id)-1 {
		t.Module, t.ID = id[:i], id[i+1:]
		return
	}
	t.ID = id
}

func (t *Topic) parseExt(s string) bool {
	service, rest := level(s)
	switch service {
	case "ntp":
		t.ProductKey, t.DeviceName, rest = identity(rest)
		t.Kind = pick(rest, "request", NTPRequest, "response", NTPResponse)
	case "session":
		t.ProductKey, t.DeviceName, rest = identity(rest)
		action, ok := strings.CutPrefix(rest, "combine/")
		if !ok {
			break
		}
		action, t.Reply = strings.CutSuffix(action, replySuffix)
		switch action {
		case "login":
			t.Kind = SessionLogin
		case "logout":
			t.Kind = SessionLogout
		case "batch_login":
			t.Kind = SessionBatchLogin
		case "batch_logout":
			t.Kind = SessionBatchLogout
		default:
			t.Reply = false
		}
	case "error":
		t.Kind = SessionError
		t.ProductKey, t.DeviceName, rest = identity(rest)
		return t.identityLast(rest)
	case "rrpc":
		t.Kind = ExtRRPC
		t.ID, rest = level(rest)
		if rest == "" {
			return false
		}
		// The inner topic keeps its leading slash, which is the one that ends the id.
		t.Suffix = s[len(s)-len(rest)-1:]
		return true
	case "register":
		t.Kind = ExtRegister
		return rest == ""
	case "regnwl":
		t.Kind = ExtRegnwl
		return rest == ""
	case "auth":
		t.Kind = ExtIdentity
		return rest == "identity/response"
	case "network":
		id, ok := strings.CutPrefix(rest, "probe/")
		t.Kind, t.ID = NetworkProbe, id
		return ok && !strings.Contains(id, "/")
	default:
		return false
	}
	if t.Kind == Unknown {
		t.Suffix = rest
		return rest != ""
	}
	return true
}

func (t *Topic) parseOTA(s string) bool {
	device, rest := level(s)
	if device != "device" {
		return false
	}
	action, rest := level(rest)
	switch action {
	case "inform":
		t.Kind = OTAInform
	case "upgrade":
		t.Kind = OTAUpgrade
	case "progress":
		t.Kind = OTAProgress
	case "request":
		t.Kind = OTARequest
	}
	t.ProductKey, t.DeviceName, rest = identity(rest)
	return t.identityLast(rest)
}

// Direction returns who publishes on the topic.
func (t Topic) Direction() Direction {
	d := t.Kind.Direction()
	if t.Reply && d != Both {
		d ^= Both
	}
	return d
}

// System tells whether the topic belongs to the platform.
func (t Topic) System() bool { return t.Kind.System() }

// Of tells whether the topic carries the identity of this device.
func (t Topic) Of(productKey, deviceName string) bool {
	return t.ProductKey == productKey && t.DeviceName == deviceName
}

// WantsScript tells whether the payload is to go through the product's script first (_sn=default).
func (t Topic) WantsScript() bool {
	return t.Query == "_sn=default" || strings.HasPrefix(t.Query, "_sn=default&")
}
