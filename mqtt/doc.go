// Package mqtt is the wire of MQTT 3.1, 3.1.1 and 5.0: every control packet
// in both directions, decoded in place from bytes and appended to bytes. It
// has no I/O, no state and no dependencies, so servers, clients and tools can
// share it.
//
// # Reading
//
// [Split] cuts packets off a buffer; the Decode method of the packet's type
// reads one:
//
//	for {
//		f, n, err := mqtt.Split(buf, limit)
//		if err != nil {
//			return err // the stream cannot be read on: close the connection
//		}
//		if n == 0 {
//			break // wait for more bytes
//		}
//		switch f.Type {
//		case mqtt.PUBLISH:
//			var p mqtt.Publish
//			if err := p.Decode(f, mqtt.V311, 0); err != nil {
//				return err
//			}
//			…
//		}
//		buf = buf[n:]
//	}
//
// Nothing is copied: topics, payloads, strings and property blocks are views
// into the buffer. They are valid until it is overwritten; what has to live
// longer is copied by the caller. Packet structs can be reused, and decoding
// then allocates nothing.
//
// Decoding is strict by the clauses of 3.1.1 and 5.0. What is wrong comes
// back as a *[MalformedError], which names the byte, the clause, what would
// be right, and the reason code for a CONNACK or DISCONNECT. What known
// devices do against the letter is accepted where a [Tolerance] says so.
//
// # Writing
//
// The Append methods append a packet to a slice, in the shortest form the
// version has:
//
//	out = mqtt.AppendAck(out, mqtt.PUBACK, mqtt.V311, p.PacketID, mqtt.Success)
//
// A packet decoded and appended again is the same packet. To send one message
// to many receivers, append it once and change the packet identifier at
// [Publish.IDOffset] in each copy.
//
// # Properties
//
// The properties of 5.0 stay the bytes they are on the wire, see
// [Properties]: checked once while decoding, looked up when somebody asks,
// forwarded as they came, composed by appending.
//
// # Caveats
//
// Decoding sees one packet at a time. Rules that depend on direction or on
// what came before are for the session: that a client sends no subscription
// identifier [MQTT-3.3.4-6], that a topic alias is known, which packet types
// may arrive now and from which side, that AUTH arrives in 5.0 only.
//
// Append writes what it is told. It never breaks the framing, but it does
// not notice a topic with a wildcard, QoS 3 (which becomes what two bits
// hold), or a property where it does not belong; [ValidTopicName],
// [ValidTopicFilter], [ValidUTF8] and [Properties.Validate] do.
//
// Whether the payload is UTF-8 when the payload format indicator says so is
// not checked.
package mqtt
