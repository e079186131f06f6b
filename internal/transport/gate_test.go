package transport

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// from dials a server from one of the loopback addresses.
func from(t *testing.T, s *Server, local string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}, Timeout: patience}
	nc, err := d.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Skipf("%s cannot be used here: %v", local, err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// wantBurst connects until it is turned away: after a burst, and one more for each
// second that this took.
func wantBurst(t *testing.T, connect func() bool) {
	t.Helper()
	begun := time.Now()
	welcome := 0
	for welcome < 10*gateBurst && connect() {
		welcome++
	}
	if most := gateBurst + int(time.Since(begun)/time.Second) + 1; welcome < gateBurst || welcome > most {
		t.Errorf("%d connections at once, want %d to %d", welcome, gateBurst, most)
	}
}

// TestAcceptPerAddress: an address that comes too often is turned away, one that
// is exempt and everybody else are not.
func TestAcceptPerAddress(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		var log lockedBuffer
		o.Handler, o.Logger = newRecorder(), log.logger()
		o.AcceptPerAddress, o.AcceptExempt = 1, []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}
		s := mustListen(t, o)
		echo := func(local string) bool {
			nc := from(t, s, local)
			nc.SetDeadline(time.Now().Add(patience))
			nc.Write(connect)
			_, err := io.ReadFull(nc, make([]byte, len(connect)))
			return err == nil
		}
		wantBurst(t, func() bool { return echo("127.0.0.2") })
		if !echo("127.0.0.3") {
			t.Error("another address is turned away")
		}
		for range gateBurst + 5 {
			if !echo("127.0.0.9") {
				t.Fatal("an exempt address is turned away")
			}
		}
		if n := s.Stats().Refused[RefusedRate]; n == 0 {
			t.Error("it is not counted")
		}
		log.waitFor(t, "limits.accept_per_address")
	})
}

// TestAcceptPerProxiedAddress: behind a load balancer it is the client's address
// that counts, not the load balancer's.
func TestAcceptPerProxiedAddress(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		s := mustListen(t, Options{Handler: &recorder{received: whoami, ended: make(chan closing, 1000)}, Portable: portable, AcceptPerAddress: 1,
			Listeners: []Listener{{Network: "tcp", Address: "127.0.0.1:0", Proxies: loopback}}})
		from := func(client string) bool {
			return ask(t, dialTo(t, s), "PROXY TCP4 "+client+" 198.51.100.2 12345 1883\r\n", "\x10\x00") != ""
		}
		wantBurst(t, func() bool { return from("192.0.2.1") })
		if !from("192.0.2.2") {
			t.Error("another client behind the same load balancer is turned away")
		}
		if n := s.Stats().Refused[RefusedRate]; n == 0 {
			t.Error("it is not counted")
		}
	})
}

// TestAcceptRate: what comes faster than allowed waits, and nobody is turned away.
func TestAcceptRate(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		const rate, count = 100, 40
		o.Handler, o.AcceptRate = newRecorder(), rate
		s := mustListen(t, o)
		begun := time.Now()
		var all []net.Conn
		for range count {
			nc := mustDial(t, s)
			nc.Write(connect)
			all = append(all, nc)
		}
		for _, nc := range all {
			mustRead(t, nc, connect)
		}
		if took, least := time.Since(begun), time.Second*(count-rate/10-1)/rate; took < least {
			t.Errorf("%d connections were served after %v, want %v at least", count, took, least)
		}
	})
}

// TestAcceptWaits: while too many connections wait for us, no more are accepted;
// they are when there is room again.
func TestAcceptWaits(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		paused := make(chan *Conn, 100)
		h.received = func(c *Conn, b []byte) int {
			if !c.Paused() && c.Attachment == nil {
				c.Attachment = true
				c.Pause()
				paused <- c
				return 0
			}
			c.Write(b)
			return len(b)
		}
		o.Handler, o.Loops, o.MaxOpening = h, 1, 8
		s := mustListen(t, o)
		var all []net.Conn
		for range 3 {
			nc := mustDial(t, s)
			nc.Write(connect)
			all = append(all, nc)
		}
		var waiting []*Conn
		for range 3 {
			waiting = append(waiting, await(t, paused, "a connection that waits"))
		}
		before := s.Stats()
		if before.Awaiting != 3 {
			t.Errorf("%d connections wait for us, want 3", before.Awaiting)
		}
		nc := mustDial(t, s)
		nc.Write(connect)
		time.Sleep(20 * gatePause)                                        // nothing is to happen
		if accepted := s.Stats().Accepted; accepted > before.Accepted+1 { // the portable variant has asked already
			t.Errorf("%d more are accepted", accepted-before.Accepted)
		}
		for _, c := range waiting {
			on(t, c.Loop(), c.Resume)
		}
		for _, nc := range all {
			mustRead(t, nc, connect)
		}
		last := await(t, paused, "the connection that was left outside")
		on(t, last.Loop(), last.Established)
		on(t, last.Loop(), last.Resume)
		mustRead(t, nc, connect)
		if n := s.Stats().Awaiting; n != 0 {
			t.Errorf("%d connections are said to wait", n)
		}
		all[0].Close()
	})
}
