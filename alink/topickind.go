package alink

// Direction says who publishes on a topic.
type Direction uint8

// The directions.
const (
	// Neither is the direction of a system topic nobody defined.
	Neither Direction = 0
	// Up is from the device to the platform.
	Up Direction = 1
	// Down is from the platform to the device.
	Down Direction = 2
	// Both is for topics that carry request and answer, and for custom topics.
	Both = Up | Down
)

// String returns "up", "down", "both" or "neither".
func (d Direction) String() string {
	return [...]string{"neither", "up", "down", "both"}[d&Both]
}

// TopicKind names a topic of spec/topics.md §2 to §8. A topic and its _reply are of one kind.
type TopicKind uint8

// The topics. In the comments {P} is {productKey}/{deviceName}.
const (
	// Unknown is a topic of the system's namespace that is not defined.
	Unknown TopicKind = iota
	// Custom is /{P}/user/… and, in older products, /{P}/….
	Custom

	// Thing model (§2).
	PropertyPost        // /sys/{P}/thing/event/property/post
	EventPost           // /sys/{P}/thing/event/{id}/post
	PropertyBatchPost   // /sys/{P}/thing/event/property/batch/post
	PropertyPackPost    // /sys/{P}/thing/event/property/pack/post
	PropertyHistoryPost // /sys/{P}/thing/event/property/history/post
	PropertySet         // /sys/{P}/thing/service/property/set
	PropertyGet         // /sys/{P}/thing/service/property/get
	ServiceCall         // /sys/{P}/thing/service/{id}
	DesiredGet          // /sys/{P}/thing/property/desired/get
	DesiredDelete       // /sys/{P}/thing/property/desired/delete
	UpRaw               // /sys/{P}/thing/model/up_raw
	DownRaw             // /sys/{P}/thing/model/down_raw
	TemplateGet         // /sys/{P}/thing/dsltemplate/get
	DynamicTSLGet       // /sys/{P}/thing/dynamicTsl/get
	DeviceInfoUpdate    // /sys/{P}/thing/deviceinfo/update
	DeviceInfoDelete    // /sys/{P}/thing/deviceinfo/delete
	DeviceInfoGet       // /sys/{P}/thing/deviceinfo/get

	// Gateways (§3).
	SubRegister        // /sys/{P}/thing/sub/register
	SubUnregister      // /sys/{P}/thing/sub/unregister
	ProductRegister    // /sys/{P}/thing/proxy/provisioning/product_register
	TopoAdd            // /sys/{P}/thing/topo/add
	TopoDelete         // /sys/{P}/thing/topo/delete
	TopoGet            // /sys/{P}/thing/topo/get
	ListFound          // /sys/{P}/thing/list/found
	TopoAddNotify      // /sys/{P}/thing/topo/add/notify
	TopoChange         // /sys/{P}/thing/topo/change
	GatewayPermit      // /sys/{P}/thing/gateway/permit
	ModelConfigPush    // /sys/{P}/thing/model/config/push
	SessionLogin       // /ext/session/{P}/combine/login
	SessionLogout      // /ext/session/{P}/combine/logout
	SessionBatchLogin  // /ext/session/{P}/combine/batch_login
	SessionBatchLogout // /ext/session/{P}/combine/batch_logout
	SessionError       // /ext/error/{P}
	ThingDisable       // /sys/{P}/thing/disable
	ThingEnable        // /sys/{P}/thing/enable
	ThingDelete        // /sys/{P}/thing/delete

	// Extensions (§4).
	NTPRequest   // /ext/ntp/{P}/request
	NTPResponse  // /ext/ntp/{P}/response
	ExtRegister  // /ext/register
	ExtRegnwl    // /ext/regnwl
	ExtIdentity  // /ext/auth/identity/response
	ExtRRPC      // /ext/rrpc/{id}/{topic}
	NetworkProbe // /ext/network/probe/{id}

	// Services (§5).
	OTAInform          // /ota/device/inform/{P}
	OTAUpgrade         // /ota/device/upgrade/{P}
	OTAProgress        // /ota/device/progress/{P}
	OTARequest         // /ota/device/request/{P}
	OTAFirmwareGet     // /sys/{P}/thing/ota/firmware/get
	FileDownload       // /sys/{P}/thing/file/download
	FileUploadInit     // /sys/{P}/thing/file/upload/mqtt/init
	FileUploadSend     // /sys/{P}/thing/file/upload/mqtt/send
	FileUploadCancel   // /sys/{P}/thing/file/upload/mqtt/cancel
	ShadowUpdate       // /shadow/update/{P}
	ShadowGet          // /shadow/get/{P}
	ConfigGet          // /sys/{P}/thing/config/get
	ConfigPush         // /sys/{P}/thing/config/push
	LogConfigGet       // /sys/{P}/thing/config/log/get
	LogConfigPush      // /sys/{P}/thing/config/log/push
	LogPost            // /sys/{P}/thing/log/post
	DiagPost           // /sys/{P}/_thing/diag/post
	JobNotify          // /sys/{P}/thing/job/notify
	JobGet             // /sys/{P}/thing/job/get
	JobUpdate          // /sys/{P}/thing/job/update
	BootstrapNotify    // /sys/{P}/thing/bootstrap/notify
	DebugSwitch        // /sys/{P}/edge/debug/switch
	TunnelNotify       // /sys/{P}/secure_tunnel/notify
	TunnelProxyRequest // /sys/{P}/secure_tunnel/proxy/request

	// Provisioning and binding (§6).
	EnrolleeMatch   // /sys/{P}/thing/awss/enrollee/match
	EnrolleeFound   // /sys/{P}/thing/awss/enrollee/found
	EnrolleeCheckin // /sys/{P}/thing/awss/enrollee/checkin
	CipherGet       // /sys/{P}/thing/cipher/get
	ThingReset      // /sys/{P}/thing/reset
	AccountNotify   // /sys/{P}/_thing/event/notify
	LANPrefixGet    // /sys/{P}/thing/lan/prefix/get
	LANPrefixUpdate // /sys/{P}/thing/lan/prefix/update
	LANBlacklist    // /sys/{P}/thing/lan/blacklist/update

	// Synchronous calls and broadcast (§7).
	RRPCRequest      // /sys/{P}/rrpc/request/{id}
	RRPCResponse     // /sys/{P}/rrpc/response/{id}
	BroadcastRequest // /sys/{P}/broadcast/request/{id}
	Broadcast        // /broadcast/{productKey}/…

	kindCount
)

// kindInfo describes a kind. Exactly one of tail and pre is set for a topic of fixed text.
type kindInfo struct {
	name   string
	dir    Direction
	reply  bool   // has a twin whose last level ends in _reply
	tail   string // after /sys/{P}/
	pre    string // before {P}
	post   string // after {P}, with pre
	method string // of the message; empty for bytes and for topics that have none
}

var kinds = [kindCount]kindInfo{
	Unknown: {name: "Unknown"},
	Custom:  {name: "Custom", dir: Both},

	PropertyPost:        sys("PropertyPost", Up, true, "thing/event/property/post", "thing.event.property.post"),
	EventPost:           {name: "EventPost", dir: Up, reply: true},
	PropertyBatchPost:   sys("PropertyBatchPost", Up, true, "thing/event/property/batch/post", "thing.event.property.batch.post"),
	PropertyPackPost:    sys("PropertyPackPost", Up, true, "thing/event/property/pack/post", "thing.event.property.pack.post"),
	PropertyHistoryPost: sys("PropertyHistoryPost", Up, true, "thing/event/property/history/post", "thing.event.property.history.post"),
	PropertySet:         sys("PropertySet", Down, true, "thing/service/property/set", "thing.service.property.set"),
	PropertyGet:         sys("PropertyGet", Down, true, "thing/service/property/get", "thing.service.property.get"),
	ServiceCall:         {name: "ServiceCall", dir: Down, reply: true},
	DesiredGet:          sys("DesiredGet", Up, true, "thing/property/desired/get", "thing.property.desired.get"),
	DesiredDelete:       sys("DesiredDelete", Up, true, "thing/property/desired/delete", "thing.property.desired.delete"),
	UpRaw:               sys("UpRaw", Up, true, "thing/model/up_raw", ""),
	DownRaw:             sys("DownRaw", Down, true, "thing/model/down_raw", ""),
	TemplateGet:         sys("TemplateGet", Up, true, "thing/dsltemplate/get", "thing.dsltemplate.get"),
	DynamicTSLGet:       sys("DynamicTSLGet", Up, true, "thing/dynamicTsl/get", "thing.dynamicTsl.get"),
	DeviceInfoUpdate:    sys("DeviceInfoUpdate", Up, true, "thing/deviceinfo/update", "thing.deviceinfo.update"),
	DeviceInfoDelete:    sys("DeviceInfoDelete", Up, true, "thing/deviceinfo/delete", "thing.deviceinfo.delete"),
	DeviceInfoGet:       sys("DeviceInfoGet", Up, true, "thing/deviceinfo/get", "thing.deviceinfo.get"),

	SubRegister:        sys("SubRegister", Up, true, "thing/sub/register", "thing.sub.register"),
	SubUnregister:      sys("SubUnregister", Up, true, "thing/sub/unregister", "thing.sub.unregister"),
	ProductRegister:    sys("ProductRegister", Up, true, "thing/proxy/provisioning/product_register", "thing.proxy.provisioning.product_register"),
	TopoAdd:            sys("TopoAdd", Up, true, "thing/topo/add", "thing.topo.add"),
	TopoDelete:         sys("TopoDelete", Up, true, "thing/topo/delete", "thing.topo.delete"),
	TopoGet:            sys("TopoGet", Up, true, "thing/topo/get", "thing.topo.get"),
	ListFound:          sys("ListFound", Up, true, "thing/list/found", "thing.list.found"),
	TopoAddNotify:      sys("TopoAddNotify", Down, true, "thing/topo/add/notify", "thing.topo.add.notify"),
	TopoChange:         sys("TopoChange", Down, true, "thing/topo/change", "thing.topo.change"),
	GatewayPermit:      sys("GatewayPermit", Down, true, "thing/gateway/permit", "thing.gateway.permit"),
	ModelConfigPush:    sys("ModelConfigPush", Down, false, "thing/model/config/push", "thing.model.config.push"),
	SessionLogin:       around("SessionLogin", Up, true, "/ext/session/", "/combine/login"),
	SessionLogout:      around("SessionLogout", Up, true, "/ext/session/", "/combine/logout"),
	SessionBatchLogin:  around("SessionBatchLogin", Up, true, "/ext/session/", "/combine/batch_login"),
	SessionBatchLogout: around("SessionBatchLogout", Up, true, "/ext/session/", "/combine/batch_logout"),
	SessionError:       around("SessionError", Down, false, "/ext/error/", ""),
	ThingDisable:       sys("ThingDisable", Down, true, "thing/disable", "thing.disable"),
	ThingEnable:        sys("ThingEnable", Down, true, "thing/enable", "thing.enable"),
	ThingDelete:        sys("ThingDelete", Down, true, "thing/delete", "thing.delete"),

	NTPRequest:   around("NTPRequest", Up, false, "/ext/ntp/", "/request"),
	NTPResponse:  around("NTPResponse", Down, false, "/ext/ntp/", "/response"),
	ExtRegister:  {name: "ExtRegister", dir: Down},
	ExtRegnwl:    {name: "ExtRegnwl", dir: Down},
	ExtIdentity:  {name: "ExtIdentity", dir: Down},
	ExtRRPC:      {name: "ExtRRPC", dir: Both},
	NetworkProbe: {name: "NetworkProbe", dir: Down},

	OTAInform:          around("OTAInform", Up, false, "/ota/device/inform/", ""),
	OTAUpgrade:         around("OTAUpgrade", Down, false, "/ota/device/upgrade/", ""),
	OTAProgress:        around("OTAProgress", Up, false, "/ota/device/progress/", ""),
	OTARequest:         around("OTARequest", Both, false, "/ota/device/request/", ""),
	OTAFirmwareGet:     sys("OTAFirmwareGet", Up, true, "thing/ota/firmware/get", "thing.ota.firmware.get"),
	FileDownload:       sys("FileDownload", Up, true, "thing/file/download", "thing.file.download"),
	FileUploadInit:     sys("FileUploadInit", Up, true, "thing/file/upload/mqtt/init", "thing.file.upload.mqtt.init"),
	FileUploadSend:     sys("FileUploadSend", Up, true, "thing/file/upload/mqtt/send", "thing.file.upload.mqtt.send"),
	FileUploadCancel:   sys("FileUploadCancel", Up, true, "thing/file/upload/mqtt/cancel", "thing.file.upload.mqtt.cancel"),
	ShadowUpdate:       around("ShadowUpdate", Up, false, "/shadow/update/", ""),
	ShadowGet:          around("ShadowGet", Down, false, "/shadow/get/", ""),
	ConfigGet:          sys("ConfigGet", Up, true, "thing/config/get", "thing.config.get"),
	ConfigPush:         sys("ConfigPush", Down, true, "thing/config/push", "thing.config.push"),
	LogConfigGet:       sys("LogConfigGet", Up, true, "thing/config/log/get", "thing.config.log.get"),
	LogConfigPush:      sys("LogConfigPush", Down, false, "thing/config/log/push", "thing.config.log.push"),
	LogPost:            sys("LogPost", Up, true, "thing/log/post", "thing.log.post"),
	DiagPost:           sys("DiagPost", Up, true, "_thing/diag/post", "_thing.diag.post"),
	JobNotify:          sys("JobNotify", Down, true, "thing/job/notify", "thing.job.notify"),
	JobGet:             sys("JobGet", Up, true, "thing/job/get", "thing.job.get"),
	JobUpdate:          sys("JobUpdate", Up, true, "thing/job/update", "thing.job.update"),
	BootstrapNotify:    sys("BootstrapNotify", Down, true, "thing/bootstrap/notify", "thing.bootstrap.notify"),
	DebugSwitch:        sys("DebugSwitch", Down, false, "edge/debug/switch", ""),
	TunnelNotify:       sys("TunnelNotify", Down, false, "secure_tunnel/notify", ""),
	TunnelProxyRequest: sys("TunnelProxyRequest", Up, true, "secure_tunnel/proxy/request", ""),

	EnrolleeMatch:   sys("EnrolleeMatch", Up, true, "thing/awss/enrollee/match", "thing.awss.enrollee.match"),
	EnrolleeFound:   sys("EnrolleeFound", Up, true, "thing/awss/enrollee/found", "thing.awss.enrollee.found"),
	EnrolleeCheckin: sys("EnrolleeCheckin", Down, true, "thing/awss/enrollee/checkin", "thing.awss.enrollee.checkin"),
	CipherGet:       sys("CipherGet", Up, true, "thing/cipher/get", "thing.cipher.get"),
	ThingReset:      sys("ThingReset", Up, true, "thing/reset", "thing.reset"),
	AccountNotify:   sys("AccountNotify", Down, true, "_thing/event/notify", "_thing.event.notify"),
	LANPrefixGet:    sys("LANPrefixGet", Up, true, "thing/lan/prefix/get", "thing.lan.prefix.get"),
	LANPrefixUpdate: sys("LANPrefixUpdate", Down, true, "thing/lan/prefix/update", "thing.lan.prefix.update"),
	LANBlacklist:    sys("LANBlacklist", Down, true, "thing/lan/blacklist/update", "thing.lan.blacklist.update"),

	RRPCRequest:      {name: "RRPCRequest", dir: Down},
	RRPCResponse:     {name: "RRPCResponse", dir: Up},
	BroadcastRequest: {name: "BroadcastRequest", dir: Down},
	Broadcast:        {name: "Broadcast", dir: Down},
}

func sys(name string, dir Direction, reply bool, tail, method string) kindInfo {
	return kindInfo{name: name, dir: dir, reply: reply, tail: tail, method: method}
}

func around(name string, dir Direction, reply bool, pre, post string) kindInfo {
	return kindInfo{name: name, dir: dir, reply: reply, pre: pre, post: post}
}

// The kinds by what identifies them, built once from the table.
var (
	kindByTail   = map[string]sysTail{} // with and without _reply
	kindByMethod = map[string]TopicKind{}
)

type sysTail struct {
	kind  TopicKind
	reply bool
}

func init() {
	for k, info := range kinds {
		if info.tail != "" {
			kindByTail[info.tail] = sysTail{kind: TopicKind(k)}
			if info.reply {
				kindByTail[info.tail+replySuffix] = sysTail{TopicKind(k), true}
			}
		}
		if info.method != "" {
			kindByMethod[info.method] = TopicKind(k)
		}
	}
}

// String returns the kind's Go name.
func (k TopicKind) String() string {
	if k < kindCount {
		return kinds[k].name
	}
	return "TopicKind(?)"
}

// Direction returns the direction of the kind's requests; its replies go the other way.
func (k TopicKind) Direction() Direction {
	if k < kindCount {
		return kinds[k].dir
	}
	return Neither
}

// HasReply tells whether the kind's messages are answered on the same topic with _reply.
func (k TopicKind) HasReply() bool { return k < kindCount && kinds[k].reply }

// System tells whether the topic belongs to the platform, as opposed to Custom ones, whose payload is the
// user's own.
func (k TopicKind) System() bool { return k != Custom }

// Kinds returns every kind there is, in the order of their declaration.
func Kinds() []TopicKind {
	all := make([]TopicKind, kindCount)
	for k := range all {
		all[k] = TopicKind(k)
	}
	return all
}
