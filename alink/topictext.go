package alink

import "strings"

// String returns the topic's text, with its query if it has one, and "" for an Unknown topic: its words
// are known, their order is not.
func (t Topic) String() string { return string(t.Append(nil)) }

// Append appends the topic's text to dst. It is the inverse of ParseTopic.
func (t Topic) Append(dst []byte) []byte {
	if t.Kind == Unknown || t.Kind >= kindCount {
		return dst
	}
	info := &kinds[t.Kind]
	switch {
	case info.tail != "":
		dst = append(t.appendSys(dst), info.tail...)
	case info.pre != "":
		dst = append(dst, info.pre...)
		dst = t.appendIdentity(dst)
		dst = append(dst, info.post...)
	}
	switch t.Kind {
	case Custom:
		dst = append(dst, '/')
		dst = t.appendIdentity(dst)
		dst = append(dst, '/')
		dst = append(dst, t.Suffix...)
	case EventPost:
		dst = append(t.appendSys(dst), "thing/event/"...)
		dst = t.appendQualified(dst)
		dst = append(dst, "/post"...)
	case ServiceCall:
		dst = append(t.appendSys(dst), "thing/service/"...)
		dst = t.appendQualified(dst)
	case RRPCRequest:
		dst = append(t.appendSys(dst), "rrpc/request/"...)
		dst = append(dst, t.ID...)
	case RRPCResponse:
		dst = append(t.appendSys(dst), "rrpc/response/"...)
		dst = append(dst, t.ID...)
	case BroadcastRequest:
		dst = append(t.appendSys(dst), "broadcast/request/"...)
		dst = append(dst, t.ID...)
	case Broadcast:
		dst = append(dst, "/broadcast/"...)
		dst = append(dst, t.ProductKey...)
		dst = append(dst, '/')
		dst = append(dst, t.Suffix...)
	case ExtRegister:
		dst = append(dst, "/ext/register"...)
	case ExtRegnwl:
		dst = append(dst, "/ext/regnwl"...)
	case ExtIdentity:
		dst = append(dst, "/ext/auth/identity/response"...)
	case ExtRRPC:
		dst = append(dst, "/ext/rrpc/"...)
		dst = append(dst, t.ID...)
		dst = append(dst, t.Suffix...)
	case NetworkProbe:
		dst = append(dst, "/ext/network/probe/"...)
		dst = append(dst, t.ID...)
	}
	if t.Reply && info.reply {
		dst = append(dst, replySuffix...)
	}
	if t.Query != "" {
		dst = append(dst, '?')
		dst = append(dst, t.Query...)
	}
	return dst
}

func (t *Topic) appendSys(dst []byte) []byte {
	dst = append(dst, "/sys/"...)
	dst = t.appendIdentity(dst)
	return append(dst, '/')
}

func (t *Topic) appendIdentity(dst []byte) []byte {
	dst = append(dst, t.ProductKey...)
	dst = append(dst, '/')
	return append(dst, t.DeviceName...)
}

func (t *Topic) appendQualified(dst []byte) []byte {
	if t.Module != "" {
		dst = append(dst, t.Module...)
		dst = append(dst, ':')
	}
	return append(dst, t.ID...)
}

// Answer returns the topic on which a message is answered: the _reply twin, the response of an NTP or RRPC
// request, /shadow/get for /shadow/update, the same topic for /ext/rrpc and /ota/device/request. It
// returns false for a reply and for topics that are not answered.
func (t Topic) Answer() (Topic, bool) {
	t.Query = ""
	switch {
	case t.Reply:
		return Topic{}, false
	case t.Kind.HasReply():
		t.Reply = true
		return t, true
	}
	switch t.Kind {
	case NTPRequest:
		t.Kind = NTPResponse
	case RRPCRequest:
		t.Kind = RRPCResponse
	case ShadowUpdate:
		t.Kind = ShadowGet
	case ExtRRPC, OTARequest:
	default:
		return Topic{}, false
	}
	return t, true
}

// ReplyTopic returns the text of the topic on which a message is answered, "" if it is not.
func (t Topic) ReplyTopic() string { return string(t.AppendReplyTopic(nil)) }

// AppendReplyTopic is ReplyTopic into a buffer.
func (t Topic) AppendReplyTopic(dst []byte) []byte {
	if answer, ok := t.Answer(); ok {
		return answer.Append(dst)
	}
	return dst
}

// Method returns the method a message on this topic carries (spec/thing-model.md §17), the request's for a
// reply, and "" for topics whose messages have none.
func (t Topic) Method() string {
	switch t.Kind {
	case EventPost, ServiceCall:
		return string(t.AppendMethod(nil))
	}
	if t.Kind < kindCount {
		return kinds[t.Kind].method
	}
	return ""
}

// AppendMethod is Method into a buffer.
func (t Topic) AppendMethod(dst []byte) []byte {
	switch t.Kind {
	case EventPost:
		dst = append(dst, "thing.event."...)
		dst = t.appendQualified(dst)
		return append(dst, ".post"...)
	case ServiceCall:
		dst = append(dst, "thing.service."...)
		return t.appendQualified(dst)
	}
	if t.Kind < kindCount {
		dst = append(dst, kinds[t.Kind].method...)
	}
	return dst
}

// MethodOf is t.Method().
func MethodOf(t Topic) string { return t.Method() }

// ParseMethod returns kind, module and identifier that a method stands for, as needed where no topic tells:
// in a synchronous call and in the result of a product's script. The identity is left empty.
func ParseMethod(method string) (Topic, bool) {
	if k, ok := kindByMethod[method]; ok {
		return Topic{Kind: k}, true
	}
	if id, ok := strings.CutPrefix(method, "thing.service."); ok && plainID(id) {
		t := Topic{Kind: ServiceCall}
		t.qualified(id)
		return t, true
	}
	if id, ok := strings.CutPrefix(method, "thing.event."); ok {
		if id, ok = strings.CutSuffix(id, ".post"); ok && plainID(id) {
			t := Topic{Kind: EventPost}
			t.qualified(id)
			return t, true
		}
	}
	return Topic{}, false
}

func plainID(s string) bool { return s != "" && !strings.ContainsAny(s, "./") }

// SysTopic returns /sys/{productKey}/{deviceName}/{tail}.
func SysTopic(productKey, deviceName, tail string) string {
	return "/sys/" + productKey + "/" + deviceName + "/" + tail
}

// ReplyTopic returns the topic with _reply added to its last level; a query is dropped.
func ReplyTopic(topic string) string {
	topic, _, _ = strings.Cut(topic, "?")
	return topic + replySuffix
}

// PropertyPostTopic is where a device reports properties.
func PropertyPostTopic(productKey, deviceName string) string {
	return SysTopic(productKey, deviceName, kinds[PropertyPost].tail)
}

// EventPostTopic is where a device reports an event; id may be module:identifier.
func EventPostTopic(productKey, deviceName, id string) string {
	return SysTopic(productKey, deviceName, "thing/event/"+id+"/post")
}

// PropertySetTopic is where a device is told to change properties.
func PropertySetTopic(productKey, deviceName string) string {
	return SysTopic(productKey, deviceName, kinds[PropertySet].tail)
}

// PropertyGetTopic is where a device is asked for properties.
func PropertyGetTopic(productKey, deviceName string) string {
	return SysTopic(productKey, deviceName, kinds[PropertyGet].tail)
}

// ServiceTopic is where a device's service is called; id may be module:identifier.
func ServiceTopic(productKey, deviceName, id string) string {
	return SysTopic(productKey, deviceName, "thing/service/"+id)
}

// RRPCRequestTopic is where a device is asked synchronously.
func RRPCRequestTopic(productKey, deviceName, messageID string) string {
	return SysTopic(productKey, deviceName, "rrpc/request/"+messageID)
}

// RRPCResponseTopic is where it answers.
func RRPCResponseTopic(productKey, deviceName, messageID string) string {
	return SysTopic(productKey, deviceName, "rrpc/response/"+messageID)
}

// ExtRRPCTopic is a synchronous call on another topic, which starts with a slash.
func ExtRRPCTopic(messageID, topic string) string { return "/ext/rrpc/" + messageID + topic }

// UserTopic returns /{productKey}/{deviceName}/user/{suffix}.
func UserTopic(productKey, deviceName, suffix string) string {
	return "/" + productKey + "/" + deviceName + "/user/" + suffix
}
