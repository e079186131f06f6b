package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/linkstead/linkstead/bench/house"
	"github.com/linkstead/linkstead/mqtt"
)

// misbehave starts the offenders, each in a process of its own, so that what
// they do to themselves is not measured, and returns once all are at it. end
// ends them and returns how many messages were flooded.
func misbehave(o options, h *house.House) (end func() int64, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var enders []func() int64
	end = func() (flooded int64) {
		for _, f := range enders {
			flooded += f()
		}
		return flooded
	}
	for _, who := range strings.Split(o.offenders, ",") {
		cmd := exec.Command(self, "--offender", who, "--address", h.Address, "--payload", fmt.Sprint(o.payload))
		cmd.Stderr = os.Stderr
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err1 != nil || err2 != nil || cmd.Start() != nil {
			end()
			return nil, fmt.Errorf("the %s client cannot be started", who)
		}
		lines := bufio.NewScanner(out)
		enders = append(enders, func() (flooded int64) {
			_ = in.Close()
			for lines.Scan() {
				_, _ = fmt.Sscan(lines.Text(), &flooded)
			}
			_ = cmd.Wait()
			return flooded
		})
		if !lines.Scan() { // it says when it begins
			end()
			return nil, fmt.Errorf("the %s client did not begin", who)
		}
	}
	return end, nil
}

// offend is the process of one offender. It ends with its standard input.
func offend(o options) {
	c, err := house.Dial(o.address, "", o.offender, user, password, true, 4<<10)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var flooded int64
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		fmt.Println(flooded)
		os.Exit(0)
	}()
	_ = c.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	begin := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("begins")
	}
	switch o.offender {
	case "frozen": // asks for everything and reads nothing
		begin(c.Subscribe("#", 1))
	case "slow": // 1 KB/s
		begin(c.Subscribe("#", 0))
		for b := make([]byte, 102); err == nil; {
			time.Sleep(100 * time.Millisecond)
			_, err = c.In.Read(b)
		}
	case "flood":
		begin(nil)
		m := mqtt.Publish{Topic: []byte("flood"), Payload: make([]byte, o.payload)}
		var block []byte
		n := int64(0)
		for len(block) < 64<<10 {
			block = m.Append(block, mqtt.V311)
			n++
		}
		for err == nil {
			_, err = c.Conn.Write(block)
			flooded += n
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, o.offender, "was closed:", err)
	}
	select {}
}
