package alink

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// topicTable is spec/topics.md §2 to §8 with {P} = pk/dn: text, what it parses to, its direction and the
// topic of its answer ("+" for the same text with _reply).
var topicTable = []struct {
	text   string
	want   Topic
	dir    Direction
	answer string
	method string
}{
	{"/sys/pk/dn/thing/event/property/post", Topic{Kind: PropertyPost}, Up, "+", "thing.event.property.post"},
	{"/sys/pk/dn/thing/event/Alarm/post", Topic{Kind: EventPost, ID: "Alarm"}, Up, "+", "thing.event.Alarm.post"},
	{"/sys/pk/dn/thing/event/roomA:Alarm/post", Topic{Kind: EventPost, Module: "roomA", ID: "Alarm"}, Up, "+", "thing.event.roomA:Alarm.post"},
	{"/sys/pk/dn/thing/event/property/batch/post", Topic{Kind: PropertyBatchPost}, Up, "+", "thing.event.property.batch.post"},
	{"/sys/pk/dn/thing/event/property/pack/post", Topic{Kind: PropertyPackPost}, Up, "+", "thing.event.property.pack.post"},
	{"/sys/pk/dn/thing/event/property/history/post", Topic{Kind: PropertyHistoryPost}, Up, "+", "thing.event.property.history.post"},
	{"/sys/pk/dn/thing/service/property/set", Topic{Kind: PropertySet}, Down, "+", "thing.service.property.set"},
	{"/sys/pk/dn/thing/service/property/get", Topic{Kind: PropertyGet}, Down, "+", "thing.service.property.get"},
	{"/sys/pk/dn/thing/service/SetWeight", Topic{Kind: ServiceCall, ID: "SetWeight"}, Down, "+", "thing.service.SetWeight"},
	{"/sys/pk/dn/thing/service/roomA:SetWeight", Topic{Kind: ServiceCall, Module: "roomA", ID: "SetWeight"}, Down, "+", "thing.service.roomA:SetWeight"},
	{"/sys/pk/dn/thing/property/desired/get", Topic{Kind: DesiredGet}, Up, "+", "thing.property.desired.get"},
	{"/sys/pk/dn/thing/property/desired/delete", Topic{Kind: DesiredDelete}, Up, "+", "thing.property.desired.delete"},
	{"/sys/pk/dn/thing/model/up_raw", Topic{Kind: UpRaw}, Up, "+", ""},
	{"/sys/pk/dn/thing/model/down_raw", Topic{Kind: DownRaw}, Down, "+", ""},
	{"/sys/pk/dn/thing/dsltemplate/get", Topic{Kind: TemplateGet}, Up, "+", "thing.dsltemplate.get"},
	{"/sys/pk/dn/thing/dynamicTsl/get", Topic{Kind: DynamicTSLGet}, Up, "+", "thing.dynamicTsl.get"},
	{"/sys/pk/dn/thing/deviceinfo/update", Topic{Kind: DeviceInfoUpdate}, Up, "+", "thing.deviceinfo.update"},
	{"/sys/pk/dn/thing/deviceinfo/delete", Topic{Kind: DeviceInfoDelete}, Up, "+", "thing.deviceinfo.delete"},
	{"/sys/pk/dn/thing/deviceinfo/get", Topic{Kind: DeviceInfoGet}, Up, "+", "thing.deviceinfo.get"},

	{"/sys/pk/dn/thing/sub/register", Topic{Kind: SubRegister}, Up, "+", "thing.sub.register"},
	{"/sys/pk/dn/thing/sub/unregister", Topic{Kind: SubUnregister}, Up, "+", "thing.sub.unregister"},
	{"/sys/pk/dn/thing/proxy/provisioning/product_register", Topic{Kind: ProductRegister}, Up, "+", "thing.proxy.provisioning.product_register"},
	{"/sys/pk/dn/thing/topo/add", Topic{Kind: TopoAdd}, Up, "+", "thing.topo.add"},
	{"/sys/pk/dn/thing/topo/delete", Topic{Kind: TopoDelete}, Up, "+", "thing.topo.delete"},
	{"/sys/pk/dn/thing/topo/get", Topic{Kind: TopoGet}, Up, "+", "thing.topo.get"},
	{"/sys/pk/dn/thing/list/found", Topic{Kind: ListFound}, Up, "+", "thing.list.found"},
	{"/sys/pk/dn/thing/topo/add/notify", Topic{Kind: TopoAddNotify}, Down, "+", "thing.topo.add.notify"},
	{"/sys/pk/dn/thing/topo/change", Topic{Kind: TopoChange}, Down, "+", "thing.topo.change"},
	{"/sys/pk/dn/thing/gateway/permit", Topic{Kind: GatewayPermit}, Down, "+", "thing.gateway.permit"},
	{"/sys/pk/dn/thing/model/config/push", Topic{Kind: ModelConfigPush}, Down, "", "thing.model.config.push"},
	{"/ext/session/pk/dn/combine/login", Topic{Kind: SessionLogin}, Up, "+", ""},
	{"/ext/session/pk/dn/combine/logout", Topic{Kind: SessionLogout}, Up, "+", ""},
	{"/ext/session/pk/dn/combine/batch_login", Topic{Kind: SessionBatchLogin}, Up, "+", ""},
	{"/ext/session/pk/dn/combine/batch_logout", Topic{Kind: SessionBatchLogout}, Up, "+", ""},
	{"/ext/error/pk/dn", Topic{Kind: SessionError}, Down, "", ""},
	{"/sys/pk/dn/thing/disable", Topic{Kind: ThingDisable}, Down, "+", "thing.disable"},
	{"/sys/pk/dn/thing/enable", Topic{Kind: ThingEnable}, Down, "+", "thing.enable"},
	{"/sys/pk/dn/thing/delete", Topic{Kind: ThingDelete}, Down, "+", "thing.delete"},

	{"/ext/ntp/pk/dn/request", Topic{Kind: NTPRequest}, Up, "/ext/ntp/pk/dn/response", ""},
	{"/ext/ntp/pk/dn/response", Topic{Kind: NTPResponse}, Down, "", ""},
	{"/ext/register", Topic{Kind: ExtRegister}, Down, "", ""},
	{"/ext/regnwl", Topic{Kind: ExtRegnwl}, Down, "", ""},
	{"/ext/auth/identity/response", Topic{Kind: ExtIdentity}, Down, "", ""},
	{"/ext/rrpc/1234567/pk/dn/user/get", Topic{Kind: ExtRRPC, ID: "1234567", Suffix: "/pk/dn/user/get"}, Both, "/ext/rrpc/1234567/pk/dn/user/get", ""},
	{"/ext/rrpc/12/sys/pk/dn/thing/service/SetWeight", Topic{Kind: ExtRRPC, ID: "12", Suffix: "/sys/pk/dn/thing/service/SetWeight"}, Both,
		"/ext/rrpc/12/sys/pk/dn/thing/service/SetWeight", ""},
	{"/ext/network/probe/77", Topic{Kind: NetworkProbe, ID: "77"}, Down, "", ""},

	{"/ota/device/inform/pk/dn", Topic{Kind: OTAInform}, Up, "", ""},
	{"/ota/device/upgrade/pk/dn", Topic{Kind: OTAUpgrade}, Down, "", ""},
	{"/ota/device/progress/pk/dn", Topic{Kind: OTAProgress}, Up, "", ""},
	{"/ota/device/request/pk/dn", Topic{Kind: OTARequest}, Both, "/ota/device/request/pk/dn", ""},
	{"/sys/pk/dn/thing/ota/firmware/get", Topic{Kind: OTAFirmwareGet}, Up, "+", "thing.ota.firmware.get"},
	{"/sys/pk/dn/thing/file/download", Topic{Kind: FileDownload}, Up, "+", "thing.file.download"},
	{"/sys/pk/dn/thing/file/upload/mqtt/init", Topic{Kind: FileUploadInit}, Up, "+", "thing.file.upload.mqtt.init"},
	{"/sys/pk/dn/thing/file/upload/mqtt/send", Topic{Kind: FileUploadSend}, Up, "+", "thing.file.upload.mqtt.send"},
	{"/sys/pk/dn/thing/file/upload/mqtt/cancel", Topic{Kind: FileUploadCancel}, Up, "+", "thing.file.upload.mqtt.cancel"},
	{"/shadow/update/pk/dn", Topic{Kind: ShadowUpdate}, Up, "/shadow/get/pk/dn", ""},
	{"/shadow/get/pk/dn", Topic{Kind: ShadowGet}, Down, "", ""},
	{"/sys/pk/dn/thing/config/get", Topic{Kind: ConfigGet}, Up, "+", "thing.config.get"},
	{"/sys/pk/dn/thing/config/push", Topic{Kind: ConfigPush}, Down, "+", "thing.config.push"},
	{"/sys/pk/dn/thing/config/log/get", Topic{Kind: LogConfigGet}, Up, "+", "thing.config.log.get"},
	{"/sys/pk/dn/thing/config/log/push", Topic{Kind: LogConfigPush}, Down, "", "thing.config.log.push"},
	{"/sys/pk/dn/thing/log/post", Topic{Kind: LogPost}, Up, "+", "thing.log.post"},
	{"/sys/pk/dn/_thing/diag/post", Topic{Kind: DiagPost}, Up, "+", "_thing.diag.post"},
	{"/sys/pk/dn/thing/job/notify", Topic{Kind: JobNotify}, Down, "+", "thing.job.notify"},
	{"/sys/pk/dn/thing/job/get", Topic{Kind: JobGet}, Up, "+", "thing.job.get"},
	{"/sys/pk/dn/thing/job/update", Topic{Kind: JobUpdate}, Up, "+", "thing.job.update"},
	{"/sys/pk/dn/thing/bootstrap/notify", Topic{Kind: BootstrapNotify}, Down, "+", "thing.bootstrap.notify"},
	{"/sys/pk/dn/edge/debug/switch", Topic{Kind: DebugSwitch}, Down, "", ""},
	{"/sys/pk/dn/secure_tunnel/notify", Topic{Kind: TunnelNotify}, Down, "", ""},
	{"/sys/pk/dn/secure_tunnel/proxy/request", Topic{Kind: TunnelProxyRequest}, Up, "+", ""},

	{"/sys/pk/dn/thing/awss/enrollee/match", Topic{Kind: EnrolleeMatch}, Up, "+", "thing.awss.enrollee.match"},
	{"/sys/pk/dn/thing/awss/enrollee/found", Topic{Kind: EnrolleeFound}, Up, "+", "thing.awss.enrollee.found"},
	{"/sys/pk/dn/thing/awss/enrollee/checkin", Topic{Kind: EnrolleeCheckin}, Down, "+", "thing.awss.enrollee.checkin"},
	{"/sys/pk/dn/thing/cipher/get", Topic{Kind: CipherGet}, Up, "+", "thing.cipher.get"},
	{"/sys/pk/dn/thing/reset", Topic{Kind: ThingReset}, Up, "+", "thing.reset"},
	{"/sys/pk/dn/_thing/event/notify", Topic{Kind: AccountNotify}, Down, "+", "_thing.event.notify"},
	{"/sys/pk/dn/thing/lan/prefix/get", Topic{Kind: LANPrefixGet}, Up, "+", "thing.lan.prefix.get"},
	{"/sys/pk/dn/thing/lan/prefix/update", Topic{Kind: LANPrefixUpdate}, Down, "+", "thing.lan.prefix.update"},
	{"/sys/pk/dn/thing/lan/blacklist/update", Topic{Kind: LANBlacklist}, Down, "+", "thing.lan.blacklist.update"},

	{"/sys/pk/dn/rrpc/request/1234567890123456789", Topic{Kind: RRPCRequest, ID: "1234567890123456789"}, Down, "/sys/pk/dn/rrpc/response/1234567890123456789", ""},
	{"/sys/pk/dn/rrpc/response/1234567890123456789", Topic{Kind: RRPCResponse, ID: "1234567890123456789"}, Up, "", ""},
	{"/sys/pk/dn/broadcast/request/9", Topic{Kind: BroadcastRequest, ID: "9"}, Down, "", ""},
	{"/broadcast/pk/news/all", Topic{Kind: Broadcast, Suffix: "news/all"}, Down, "", ""},

	{"/pk/dn/user/update/error", Topic{Kind: Custom, Suffix: "user/update/error"}, Both, "", ""},
	{"/pk/dn/user/temp?_sn=default", Topic{Kind: Custom, Suffix: "user/temp", Query: "_sn=default"}, Both, "", ""},
	{"/pk/dn/update", Topic{Kind: Custom, Suffix: "update"}, Both, "", ""},
}

// withIdentity fills in what the table leaves out.
func withIdentity(t Topic) Topic {
	switch t.Kind {
	case ExtRegister, ExtRegnwl, ExtIdentity, NetworkProbe:
	case Broadcast:
		t.ProductKey = "pk"
	default:
		t.ProductKey, t.DeviceName = "pk", "dn"
	}
	return t
}

func TestTopicTable(t *testing.T) {
	seen := map[TopicKind]bool{Unknown: true}
	for _, tt := range topicTable {
		seen[tt.want.Kind] = true
		want := withIdentity(tt.want)
		got, ok := ParseTopic(tt.text)
		if !ok {
			t.Errorf("%s does not parse", tt.text)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", tt.text, diff)
		}
		if got.String() != tt.text {
			t.Errorf("%s is written %s", tt.text, got)
		}
		if got.Direction() != tt.dir {
			t.Errorf("%s: direction %v, want %v", tt.text, got.Direction(), tt.dir)
		}
		if got.System() != (tt.want.Kind != Custom) {
			t.Errorf("%s: System() is %v", tt.text, got.System())
		}
		if MethodOf(got) != tt.method {
			t.Errorf("%s: method %q, want %q", tt.text, MethodOf(got), tt.method)
		}
		if tt.method != "" {
			back, ok := ParseMethod(tt.method)
			if !ok || back.Kind != got.Kind || back.ID != got.ID || back.Module != got.Module {
				t.Errorf("method %s stands for %+v", tt.method, back)
			}
		}
		answer := tt.answer
		if answer == "+" {
			answer = tt.text + "_reply"
		}
		if got.ReplyTopic() != answer {
			t.Errorf("%s is answered on %q, want %q", tt.text, got.ReplyTopic(), answer)
		}
		if tt.answer == "+" {
			reply, ok := ParseTopic(answer)
			want.Reply = true
			if diff := cmp.Diff(want, reply); !ok || diff != "" {
				t.Errorf("%s: %s", answer, diff)
			}
			if reply.Direction() != tt.dir^Both || reply.ReplyTopic() != "" || MethodOf(reply) != tt.method || reply.String() != answer {
				t.Errorf("%s: direction %v, answered on %q, method %q, written %s", answer, reply.Direction(), reply.ReplyTopic(), MethodOf(reply), reply)
			}
			if ReplyTopic(tt.text+"?_rid=1") != answer {
				t.Errorf("ReplyTopic(%s) is %s", tt.text, ReplyTopic(tt.text))
			}
		} else if r, ok := ParseTopic(tt.text + "_reply"); ok && r.Reply {
			t.Errorf("%s_reply is taken for a reply", tt.text)
		}
	}
	for _, k := range Kinds() {
		if !seen[k] {
			t.Errorf("the table has no %v", k)
		}
	}
}

func TestParseTopicSpecialCases(t *testing.T) {
	tests := map[string]Topic{
		"/sys/pk/dn/thing/nonsense":                        {Kind: Unknown, Suffix: "thing/nonsense"},
		"/sys/pk/dn/thing/service/property/reset":          {Kind: Unknown, Suffix: "thing/service/property/reset"},
		"/sys/pk/dn/thing/service/_reply":                  {Kind: Unknown, Suffix: "thing/service/_reply"},
		"/sys/pk/dn/thing/event/a/b/post":                  {Kind: Unknown, Suffix: "thing/event/a/b/post"},
		"/sys/pk/dn/thing/model/config/push_reply":         {Kind: Unknown, Suffix: "thing/model/config/push_reply"},
		"/sys/pk/dn/THING/reset":                           {Kind: Unknown, Suffix: "THING/reset"},
		"/ext/session/pk/dn/combine/other_reply":           {Kind: Unknown, Suffix: "combine/other_reply"},
		"/ext/ntp/pk/dn/time":                              {Kind: Unknown, Suffix: "time"},
		"/ota/device/inform/pk/dn/extra":                   {Kind: Unknown, Suffix: "extra"},
		"/ota/device/other/pk/dn":                          {Kind: Unknown},
		"/shadow/delete/pk/dn":                             {Kind: Unknown},
		"/sys/pk/dn/thing/service/a_reply_reply":           {Kind: ServiceCall, Reply: true, ID: "a_reply"},
		"/sys/pk/dn/thing/service/:x":                      {Kind: ServiceCall, ID: ":x"},
		"/sys/pk/dn/thing/event/a:b:c/post":                {Kind: EventPost, Module: "a", ID: "b:c"},
		"/sys/pk/dn/thing/event/+/post_reply":              {Kind: EventPost, Reply: true, ID: "+"},
		"/sys/pk/dn/thing/event/property/post?_rid=17?x":   {Kind: PropertyPost, Query: "_rid=17?x"},
		"/ext/rrpc/1/pk/dn/user/get?_sn=default":           {Kind: ExtRRPC, ID: "1", Suffix: "/pk/dn/user/get", Query: "_sn=default"},
		"/ext/rrpc/1/sys/pk/dn/thing/model/down_raw":       {Kind: ExtRRPC, ID: "1", Suffix: "/sys/pk/dn/thing/model/down_raw"},
		"/sys/pk/dn/rrpc/request/+":                        {Kind: RRPCRequest, ID: "+"},
		"/sys/pk/dn/rrpc/request/1/2":                      {Kind: Unknown, Suffix: "rrpc/request/1/2"},
		"/pk/dn/sys":                                       {Kind: Custom, Suffix: "sys"},
		"/sys/pk/dn/thing/event/property/post_reply_reply": {Kind: Unknown, Suffix: "thing/event/property/post_reply_reply"},
	}
	for text, want := range tests {
		got, ok := ParseTopic(text)
		if !ok {
			t.Errorf("%s does not parse", text)
			continue
		}
		if diff := cmp.Diff(withIdentityAlways(want), got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
		if got.Kind == Unknown && (got.Direction() != Neither || got.ReplyTopic() != "" || !got.System() || got.String() != "") {
			t.Errorf("%s: an unknown topic has direction %v, answer %q, text %q", text, got.Direction(), got.ReplyTopic(), got)
		}
	}
	for _, text := range []string{"", "/", "x", "/pk", "/pk/dn", "pk/dn/user/get", "sys/pk/dn/thing/reset", "/sys", "/sys/pk", "/sys/pk/dn",
		"/sys/pk/dn/", "/sys//dn/thing/reset", "//sys/pk/dn/thing/reset", "/sys/pk/dn/thing//reset", "/ext", "/ext/other/pk/dn", "/ext/register/x",
		"/ext/auth/identity", "/ext/rrpc/1", "/ext/rrpc/#", "/ext/rrpc/1/ext/register", "/ext/rrpc/1/ext/rrpc/2/pk/dn/user/x", "/ext/ntp/pk/dn",
		"/ext/network/probe/1/2", "/ota/pk/dn", "/ota/device/inform/pk", "/shadow/update/pk", "/broadcast/pk", "/?x", "$SYS/broker"} {
		if got, ok := ParseTopic(text); ok {
			t.Errorf("%q parses as %+v", text, got)
		} else if got != (Topic{}) {
			t.Errorf("%q: %+v came with the refusal", text, got)
		}
	}
}

func withIdentityAlways(t Topic) Topic {
	t.ProductKey, t.DeviceName = "pk", "dn"
	return t
}

func TestTopicHelpers(t *testing.T) {
	for got, want := range map[string]string{
		PropertyPostTopic("pk", "dn"):             "/sys/pk/dn/thing/event/property/post",
		PropertySetTopic("pk", "dn"):              "/sys/pk/dn/thing/service/property/set",
		PropertyGetTopic("pk", "dn"):              "/sys/pk/dn/thing/service/property/get",
		EventPostTopic("pk", "dn", "Alarm"):       "/sys/pk/dn/thing/event/Alarm/post",
		ServiceTopic("pk", "dn", "m:Blink"):       "/sys/pk/dn/thing/service/m:Blink",
		RRPCRequestTopic("pk", "dn", "1"):         "/sys/pk/dn/rrpc/request/1",
		RRPCResponseTopic("pk", "dn", "1"):        "/sys/pk/dn/rrpc/response/1",
		ExtRRPCTopic("1", "/pk/dn/user/get"):      "/ext/rrpc/1/pk/dn/user/get",
		UserTopic("pk", "dn", "update"):           "/pk/dn/user/update",
		SysTopic("pk", "dn", "thing/topo/add"):    "/sys/pk/dn/thing/topo/add",
		Down.String() + Both.String():             "downboth",
		PropertySet.String() + kindCount.String(): "PropertySetTopicKind(?)",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	topic, _ := ParseTopic("/pk/dn/user/a?_sn=default&x=1")
	if !topic.WantsScript() || !topic.Of("pk", "dn") || topic.Of("pk", "other") {
		t.Errorf("%+v", topic)
	}
	if topic, _ = ParseTopic("/pk/dn/user/a?_sn=defaults"); topic.WantsScript() {
		t.Errorf("%+v wants a script", topic)
	}
	for _, m := range []string{"", "thing", "thing.service.", "thing.service.a.b", "thing.event..post", "thing.event.a", "thing.event.a/b.post"} {
		if got, ok := ParseMethod(m); ok {
			t.Errorf("method %q stands for %+v", m, got)
		}
	}
}

func TestTopicsDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 256)
	for _, text := range []string{
		"/sys/a1ji0qFv6Jf/STC15/thing/event/property/post", "/sys/a1ji0qFv6Jf/STC15/thing/event/m:Alarm/post",
		"/ext/rrpc/123/sys/a1ji0qFv6Jf/STC15/thing/service/x", "/a1ji0qFv6Jf/STC15/user/temp?_sn=default", "nonsense",
	} {
		if n := testing.AllocsPerRun(100, func() {
			topic, _ := ParseTopic(text)
			buf = topic.AppendReplyTopic(buf[:0])
			buf = topic.AppendMethod(buf[:0])
		}); n != 0 {
			t.Errorf("%s: %v allocations, want 0", text, n)
		}
	}
}

func FuzzParseTopic(f *testing.F) {
	for _, tt := range topicTable {
		f.Add(tt.text)
		f.Add(tt.text + "_reply")
	}
	f.Fuzz(func(t *testing.T, s string) {
		topic, ok := ParseTopic(s)
		if !ok {
			return
		}
		if topic.Kind == Unknown {
			if topic.ProductKey == "" || topic.DeviceName == "" {
				t.Fatalf("%q: an unknown topic without identity: %+v", s, topic)
			}
			return
		}
		text := topic.String()
		if text != s && text != strings.TrimSuffix(s, "?") {
			t.Fatalf("%q is written %q", s, text)
		}
		if again, ok := ParseTopic(text); !ok || again != topic {
			t.Fatalf("%q parses as %+v, written again as %+v", s, topic, again)
		}
		if answer := topic.ReplyTopic(); answer != "" {
			a, ok := ParseTopic(answer)
			if !ok || a.ProductKey != topic.ProductKey || a.DeviceName != topic.DeviceName {
				t.Fatalf("%q is answered on %q: %+v", s, answer, a)
			}
		}
		if m := topic.Method(); m != "" && !strings.ContainsAny(topic.ID+topic.Module, ".") {
			back, ok := ParseMethod(m)
			if !ok || back.ID != topic.ID || back.Module != topic.Module {
				t.Fatalf("%q has method %q, which stands for %+v", s, m, back)
			}
		}
	})
}

func BenchmarkParseTopic(b *testing.B) {
	for name, text := range map[string]string{
		"PropertyPost": "/sys/a1ji0qFv6Jf/STC15/thing/event/property/post",
		"EventPost":    "/sys/a1ji0qFv6Jf/STC15/thing/event/Alarm/post",
		"Custom":       "/a1ji0qFv6Jf/STC15/user/temp",
		"ExtRRPC":      "/ext/rrpc/1234567/sys/a1ji0qFv6Jf/STC15/thing/service/SetWeight",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := ParseTopic(text); !ok {
					b.Fatal("does not parse")
				}
			}
		})
	}
}
