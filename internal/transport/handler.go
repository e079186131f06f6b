package transport

// Handler is what the transport serves: the broker. All methods are called on
// a loop, never two at a time on the same loop. A panic in one of them ends
// the connection it was about, is logged with its stack, and the loop goes on.
type Handler interface {
	// Opened says that a stream is classified and ready: TLS handshake and
	// WebSocket upgrade are done, the first byte of the content is 0x10
	// (a CONNECT) for TCP and TLS.
	Opened(c *Conn)

	// Received presents the unconsumed bytes and returns how many were
	// consumed. The rest is kept and presented again, followed by more, once
	// more has arrived or reading is resumed after Pause. b is valid only
	// during the call and must not be modified.
	Received(c *Conn, b []byte) (n int)

	// Writable says that a backlog (Buffered() > 0 after the end of a turn)
	// has been written completely.
	Writable(c *Conn)

	// Idle says that nothing was received for the time set with SetReadTimeout:
	// the connection is closed with ErrIdle once it has returned. It may append
	// a farewell, or close with another cause.
	Idle(c *Conn)

	// EndTurn is called once in every turn, before the connections that were
	// appended to are written; it may append more.
	EndTurn(l *Loop)

	// Closed is called exactly once for each Opened. After it the connection
	// must not be used. Output appended before Close may still be on its way
	// to the peer for a bounded time.
	Closed(c *Conn, cause error)
}

// Task is something to be done on a loop. A pointer type makes posting free of
// allocations.
type Task interface {
	// Run is called on the loop l.
	Run(l *Loop)
}
