package e2e

import (
	"net"
	"time"

	"github.com/linkstead/linkstead/mqtt"
)

// loadWindow is how many publications of a load may be unacknowledged.
const loadWindow = 16

// load publishes with QoS 1 as fast as its window allows, until the server is gone. It counts on in the next run.
type load struct {
	connect      []byte
	topic        string
	payload      func(n int) string
	sent         int   // publications 0 to sent-1 were sent, or at least begun
	acknowledged []int // by PUBACK
}

func (l *load) run(address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(l.connect); err != nil {
		return
	}
	waiting := map[uint16]int{}
	id := uint16(0)
	var in, out []byte
	for buf := make([]byte, 16<<10); ; {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		in = append(in, buf[:n]...)
		ready := false
		for {
			f, n, err := mqtt.Split(in, 0)
			if err != nil || n == 0 {
				break
			}
			in = in[n:]
			ready = true
			if f.Type == mqtt.PUBACK {
				id := uint16(f.Body[0])<<8 | uint16(f.Body[1])
				l.acknowledged = append(l.acknowledged, waiting[id])
				delete(waiting, id)
			}
		}
		out = out[:0]
		for ready && len(waiting) < loadWindow {
			id = max(id+1, 1)
			waiting[id] = l.sent
			out = append(out, publish(l.topic, l.payload(l.sent), id)...)
			l.sent++
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}
