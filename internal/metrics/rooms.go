package metrics

import (
	"runtime"
	"strconv"
	"strings"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/coap"
	"github.com/linkstead/linkstead/internal/memory"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/internal/trace"
	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

const ns = 1e9

var (
	buildInfo = gauge("build_info", "1; the labels say what runs.", "version", "go")
	started   = gauge("start_time_seconds", "When the server was started, Unix time.")
)

func (w writer) server(s Sources) {
	w.value(buildInfo, 1, s.Version, runtime.Version())
	w.value(started, float64(s.Started.UnixMilli())/1000)
}

var (
	packetsReceived = counter("mqtt_packets_received_total", "Packets from clients.", "client", "type", "qos")
	bytesReceived   = counter("mqtt_packet_bytes_received_total", "Bytes of these packets.", "client", "type", "qos")
	packetsSent     = counter("mqtt_packets_sent_total", "Packets to clients.", "client", "type", "qos")
	bytesSent       = counter("mqtt_packet_bytes_sent_total", "Bytes of these packets.", "client", "type", "qos")
	connections     = gauge("mqtt_connections", "Clients that are logged in.", "client", "transport", "version")
	logins          = counter("mqtt_logins_total", "Logins that were accepted.", "client")
	loginsRefused   = counter("mqtt_logins_refused_total", "Logins that were refused, by the reason code of MQTT 5.0.", "cause")
	takeovers       = counter("mqtt_takeovers_total", "Connections replaced by a newer login of the same client.")
	malformed       = counter("mqtt_malformed_total", "Connections closed because a packet broke the protocol.")
	sessions        = gauge("mqtt_sessions", "Sessions, of clients that are connected or away.")
	persistent      = gauge("mqtt_sessions_persistent", "Sessions that outlive their connection; at most half a minute old.")
	subscriptions   = gauge("mqtt_subscriptions", "Subscriptions of all sessions.")
	retainedNow     = gauge("mqtt_retained_messages", "Retained messages.")
	queuedTotal     = counter("mqtt_messages_queued_total", "Messages written to disk for persistent sessions.")
	queuedNow       = gauge("mqtt_queue_messages", "Messages on disk that wait for persistent sessions or their acknowledgement.")
	queuedBytes     = gauge("mqtt_queue_bytes", "Bytes of these messages; of those that left, the average was taken away.")
	waiting         = gauge("mqtt_waiting_messages", "Messages in memory that wait for their client; at most half a minute old.")
	inFlight        = gauge("mqtt_inflight_messages", "Messages sent at QoS 1 or 2 and not acknowledged; at most half a minute old.")
	dropped         = counter("mqtt_messages_dropped_total", "Messages that were not delivered.", "reason")
	pressed         = counter("loop_pressed_total", "Times that an event loop stopped reading from publishers, because receivers or the disk were behind.")
	filtersRefused  = counter("mqtt_subscriptions_refused_total", "Filters that were refused, by the reason code of MQTT 5.0.", "cause")
	paused          = counter("mqtt_paused_total", "Times that the server stopped reading from a client for a while, so that what it sends waits in the network.", "reason")
	handoffs        = histogram("loop_handoff_messages", "Publications in each handoff from one event loop to another.")
	handedBytes     = gauge("loop_handoff_bytes", "Bytes on their way between event loops.")
	submitted       = gauge("mqtt_commit_bytes", "Bytes of messages and sessions on their way to the disk.")
)

func (w writer) broker(f broker.Figures) {
	packets := func(n, bytes *family, list []broker.PacketFigure, kind string) {
		for _, p := range list {
			qos := ""
			if p.QoS >= 0 {
				qos = strconv.Itoa(p.QoS)
			}
			w.count(n, p.Packets, kind, p.Type, qos)
			w.count(bytes, p.Bytes, kind, p.Type, qos)
		}
	}
	for k, kind := range broker.ClientKinds {
		packets(packetsReceived, bytesReceived, f.In[k], kind)
		packets(packetsSent, bytesSent, f.Out[k], kind)
		w.count(logins, f.LoginsBy[k], kind)
	}
	for _, c := range f.Connections {
		w.value(connections, float64(c.Connected), c.Kind, c.Transport, c.Version)
	}
	causes := map[string]uint64{label(mqtt.BadUserNameOrPassword.String()): 0, label(mqtt.NotAuthorized.String()): 0}
	for code, n := range f.RefusedBy {
		causes[label(code.String())] += n
	}
	for cause, n := range causes {
		w.count(loginsRefused, n, cause)
	}
	w.count(takeovers, f.Takeovers)
	w.count(malformed, f.Malformed)
	w.value(sessions, float64(f.Sessions))
	w.value(persistent, float64(f.Persistent))
	w.value(subscriptions, float64(f.Subscriptions))
	w.value(retainedNow, float64(f.Retained))
	w.count(queuedTotal, f.Queued)
	w.value(queuedNow, float64(f.QueuedNow))
	w.value(queuedBytes, float64(f.QueuedBytes))
	w.value(waiting, float64(f.Waiting))
	w.value(inFlight, float64(f.InFlight))
	for reason, n := range f.Dropped {
		w.count(dropped, n, label(reason))
	}
	w.count(pressed, f.Pressed)
	filters := map[string]uint64{label(mqtt.NotAuthorized.String()): 0, label(mqtt.QuotaExceeded.String()): 0}
	for code, n := range f.FiltersBy {
		filters[label(code.String())] += n
	}
	for cause, n := range filters {
		w.count(filtersRefused, n, cause)
	}
	for i, reason := range broker.PauseReasons {
		w.count(paused, f.Paused[i], reason)
	}
	w.distribution(handoffs, f.Handoffs, 1)
	w.value(handedBytes, float64(f.Handed))
	w.value(submitted, float64(f.Submitted))
}

// label makes a label's value of a text for people: "Not authorized" is
// not_authorized.
func label(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r == ' ' || r == '-':
			return '_'
		}
		return -1
	}, strings.ToLower(text))
}

var (
	accepted       = counter("sockets_accepted_total", "Connections accepted from the network.")
	sockets        = gauge("sockets", "Open connections, in whatever state.")
	socketsOpening = gauge("sockets_opening", "Open connections that have not logged in.")
	socketsAwaited = gauge("sockets_awaiting", "Of these, connections that wait for the server: for a TLS handshake or for the decision about their login.")
	socketsRefused = counter("sockets_refused_total", "Connections that did not get as far as a login.", "reason")
	socketRead     = counter("socket_read_bytes_total", "Bytes read from sockets, before decryption.")
	socketWritten  = counter("socket_written_bytes_total", "Bytes written to sockets, after encryption.")
	turns          = histogram("loop_turn_seconds", "How long turns of event loops took, without waiting.")
)

func (w writer) transport(s transport.Stats) {
	w.count(accepted, s.Accepted)
	w.value(sockets, float64(s.Sockets))
	w.value(socketsOpening, float64(s.Opening))
	w.value(socketsAwaited, float64(s.Awaiting))
	for r, n := range s.Refused {
		w.count(socketsRefused, n, transport.Refusal(r).String())
	}
	w.count(socketRead, s.Read)
	w.count(socketWritten, s.Written)
	w.distribution(turns, s.Turns, ns)
}

var (
	posts        = counter("property_posts_total", "Property reports of devices that were taken.")
	postsRefused = counter("property_posts_refused_total", "Property reports that cannot be read; the device was told.")
	postPoints   = counter("property_values_total", "Values in property reports that fit the thing model.")
	eventPosts   = counter("event_posts_total", "Event reports of devices.")
	commandsSent = counter("commands_sent_total", "Commands to devices.", "command")
	commandsLate = counter("commands_unanswered_total", "Commands that were not replied to in time.", "command")
	commandTimes = histogram("command_seconds", "Time from sending a command to the device's reply.", "command")
	lateReplies  = counter("command_late_replies_total", "Replies of devices that nobody waited for.")
	uploads      = counter("uploads_total", "Messages of devices without a connection.", "door")
	turnedAway   = counter("uploads_refused_total", "Logins and messages of such devices that were refused.", "door")
)

func (w writer) platform(f platform.Figures) {
	w.count(posts, f.PropertyPosts)
	w.count(postsRefused, f.PropertyPostsRefused)
	w.count(postPoints, f.PropertyPoints)
	w.count(eventPosts, f.EventPosts)
	for i, name := range platform.Commands {
		w.count(commandsSent, f.CommandsSent[i], name)
		w.count(commandsLate, f.CommandsTimedOut[i], name)
		w.distribution(commandTimes, f.CommandReplies[i], ns, name)
	}
	w.count(lateReplies, f.LateReplies)
	for i, door := range platform.Doors {
		w.count(uploads, f.Uploads[i], door)
		w.count(turnedAway, f.TurnedAway[i], door)
	}
}

var (
	coapPackets  = counter("coap_packets_received_total", "Packets at the CoAP doors, those of handshakes included.")
	coapIgnored  = counter("coap_packets_ignored_total", "Packets that were not looked at or not understood.", "reason")
	coapRepeated = counter("coap_packets_repeated_total", "Requests that came again.")
	coapAnswers  = counter("coap_answers_total", "Answers to requests, by the class of their code.", "class")
	coapSessions = gauge("coap_sessions", "DTLS sessions, those in the handshake included.")
	coapRefused  = counter("coap_sessions_refused_total", "DTLS sessions that were one too many.")
)

func (w writer) coap(s coap.Stats) {
	w.count(coapPackets, s.Received)
	w.count(coapIgnored, s.Malformed, "malformed")
	w.count(coapIgnored, s.Limited, "rate")
	w.count(coapIgnored, s.Overflow, "overflow")
	w.count(coapRepeated, s.Repeated)
	w.count(coapAnswers, s.Answered, "success")
	w.count(coapAnswers, s.Failed, "error")
	w.value(coapSessions, float64(s.Sessions))
	w.count(coapRefused, s.Refused)
}

var (
	queueAvailable = gauge("queue_available", "1 while the message store takes messages, 0 while it is being reopened after a failure.")
	queueFull      = gauge("queue_disk_full", "1 while the disk has too little room for more messages.")
	queueSyncs     = histogram("queue_sync_seconds", "Time to make one group of changes as durable as configured.")
	queueSizes     = histogram("queue_group_batches", "Batches of event loops in each group.")
	queueChanges   = counter("queue_changes_total", "Changes written to the message store.")
	queueFailed    = counter("queue_batches_failed_total", "Batches that the disk did not take.")
	queueReopened  = counter("queue_reopened_total", "Recoveries of the message store from a failure of the disk.")
	queueDamaged   = gauge("queue_damaged_files", "Files of the message store that the last start found damaged; the store was set aside and what could be read of it taken over.")
	queueAside     = gauge("queue_set_aside", "Damaged message stores in the data directory that were set aside; the server does not use them.")
	queueBacklog   = gauge("queue_backlog_bytes", "Bytes submitted to the message store and not yet durable.")
	queueDisk      = gauge("queue_disk_bytes", "Size of the message store on disk.")
	queueMemory    = gauge("queue_memory_bytes", "Memory of the message store's tables and cache.")
)

func (w writer) queue(m queue.Metrics) {
	w.value(queueAvailable, truth(m.Available))
	w.value(queueFull, truth(m.Full))
	w.distribution(queueSyncs, m.Syncs, ns)
	w.distribution(queueSizes, m.GroupSizes, 1)
	w.count(queueChanges, m.Changes)
	w.count(queueFailed, m.Failed)
	w.count(queueReopened, m.Reopened)
	w.value(queueDamaged, float64(m.Damaged))
	w.value(queueAside, float64(m.SetAside))
	w.value(queueBacklog, float64(m.BacklogBytes))
	w.value(queueDisk, float64(m.DiskBytes))
	w.value(queueMemory, float64(m.MemoryBytes))
}

var (
	historyPoints  = counter("history_points_total", "Points of history that were committed.")
	historyFailed  = counter("history_points_failed_total", "Points of history whose commit failed.")
	historyRefused = counter("history_points_refused_total", "Points of history that were not taken, because too many waited or the disk is nearly full.")
	historyFull    = gauge("history_disk_full", "1 while no history is taken because less than history.reserve is free.")
	storeCommits   = histogram("store_commit_seconds", "Time to commit one round of history and device states.")
	storeSizes     = histogram("store_commit_points", "Points in each round.")
	storeFolds     = counter("store_folds_total", "Series whose points were written as a chunk.")
	storeDamaged   = counter("store_damaged_total", "Stored rows of history that could not be read and were left out.")
	storeBacklog   = gauge("store_backlog_bytes", "Bytes of history that wait to be committed.")
	storeHeads     = gauge("store_heads", "Series with points that are not in chunks yet.")
	storeHeadBytes = gauge("store_head_bytes", "Memory that these points take.")
	storeLogRows   = gauge("store_log_rows", "Rows of the history's log, which a restart has to read.")
	storeLogBytes  = gauge("store_log_bytes", "Bytes of these rows.")
)

func (w writer) store(s store.Stats) {
	w.value(historyPoints, float64(s.Points))
	w.value(historyFailed, float64(s.Failed))
	w.value(historyRefused, float64(s.Refused))
	w.value(historyFull, truth(s.Full))
	w.distribution(storeCommits, s.Commits, ns)
	w.distribution(storeSizes, s.Sizes, 1)
	w.value(storeFolds, float64(s.Folds))
	w.value(storeDamaged, float64(s.Damaged))
	w.value(storeBacklog, float64(s.Backlog))
	w.value(storeHeads, float64(s.Heads))
	w.value(storeHeadBytes, float64(s.HeadBytes))
	w.value(storeLogRows, float64(s.LogRows))
	w.value(storeLogBytes, float64(s.LogBytes))
}

var (
	memoryLimit = gauge("memory_limit_bytes", "The bound of the process's memory (limits.memory), 0 if there is none.")
	memoryUsed  = gauge("memory_used_bytes", "Memory that is in use, without garbage, at the last look.")
	memoryTight = gauge("memory_tight", "1 while memory is short and the server refuses what it may.")
	memoryTimes = counter("memory_tight_total", "Times that memory became short.")
)

func (w writer) memory(s memory.Stats) {
	w.value(memoryLimit, float64(s.Limit))
	w.value(memoryUsed, float64(s.Used))
	w.value(memoryTight, truth(s.Tight))
	w.count(memoryTimes, s.Times)
}

var (
	traceRecords = counter("trace_records_total", "Records of devices' messages that were kept.")
	traceLost    = counter("trace_records_lost_total", "Records that were not kept, because there were too many at once or the disk did not take them.")
	traceBytes   = gauge("trace_disk_bytes", "Size of the devices' message records on disk.")
)

func (w writer) trace(s trace.Stats) {
	w.count(traceRecords, s.Kept)
	w.count(traceLost, s.Lost)
	w.value(traceBytes, float64(s.DiskBytes))
}
