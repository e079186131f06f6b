// Package broker is the MQTT server: it turns the bytes of connections into
// sessions, subscriptions and deliveries. It knows nothing of any device
// protocol: an [Authority] decides who may log in and what they may do, and a
// [Handler] answers the topics that the authority calls system topics.
//
// # How a message walks
//
// A connection belongs to one event loop of package transport, and so does its
// session: whatever changes a session runs on that loop (its home), so sessions
// have no locks. A login whose session lives on another loop moves its
// connection there before it is answered. A publication is routed on the
// publisher's loop with the plan cached for its topic; receivers of the same
// loop are written at once, those of another loop are put into one handoff per
// loop and turn.
//
// What must outlive the server (a queued QoS 1 message, a subscription, a
// retained message) goes into the loop's batch, which is submitted to the queue
// at the end of the turn. Acknowledgements that depend on it are held until the
// batch is on disk and leave in the order of the packets they answer.
//
// # Caveats
//
// Every unexported method with a receiver of *loop, *client or *Session must run
// on the event loop in question. What comes from elsewhere is posted.
package broker
