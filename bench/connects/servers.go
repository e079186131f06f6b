package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/bench/house"
)

const productKey, user, password = "a1connects1", "bench", "bench-password"

// startLinkstead starts a linkstead that knows the devices.
func startLinkstead(o options, dir string) (*server, func(), error) {
	data := filepath.Join(dir, "data")
	h, err := house.Start(o.linkstead, data, "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	s := &server{name: "linkstead", address: h.Address, pid: h.PID()}
	var csv strings.Builder
	for i := range o.devices {
		t := alink.Triple{ProductKey: productKey, DeviceName: fmt.Sprintf("device%05d", i), DeviceSecret: fmt.Sprintf("%032x", i+1)}
		fmt.Fprintf(&csv, "%s,%s,%s\n", t.ProductKey, t.DeviceName, t.DeviceSecret)
		s.logins = append(s.logins, t.Login(alink.LoginOptions{Method: alink.HMACSHA256}))
	}
	list := filepath.Join(dir, "devices.csv")
	err = os.WriteFile(list, []byte(csv.String()), 0o600)
	for _, args := range [][]string{{"product", "create", productKey}, {"device", "import", list}} {
		if err != nil {
			break
		}
		if out, runErr := exec.Command(o.linkstead, append(args, "--data", data)...).CombinedOutput(); runErr != nil {
			err = fmt.Errorf("linkstead %s: %w: %s", strings.Join(args, " "), runErr, out)
		}
	}
	if err != nil {
		h.Stop()
		return nil, nil, err
	}
	return s, h.Stop, nil
}

// startMosquitto starts a mosquitto with one user and a password file, as
// Debian's is after mosquitto_passwd.
func startMosquitto(o options, dir string) (*server, func(), error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free, a moment later too
	if err != nil {
		return nil, nil, err
	}
	address := ln.Addr().String()
	_ = ln.Close()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, nil, err
	}
	passwords := filepath.Join(dir, "passwords")
	if out, err := exec.Command("mosquitto_passwd", "-b", "-c", passwords, user, password).CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("mosquitto_passwd: %w: %s", err, out)
	}
	config := filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf("user root\nlistener %s 127.0.0.1\nallow_anonymous false\npassword_file %s\npersistence false\nmax_connections -1\nset_tcp_nodelay true\nlog_dest none\n", port, passwords)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(o.mosquitto, "-c", config)
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	s := &server{name: "mosquitto", address: address, pid: cmd.Process.Pid}
	for i := range o.devices {
		s.logins = append(s.logins, alink.Login{ClientID: fmt.Sprintf("device%05d", i), Username: user, Password: password})
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := s.come("", s.logins[0])
		if err == nil {
			return s, stop, nil
		}
		if time.Now().After(end) {
			stop()
			return nil, nil, fmt.Errorf("mosquitto does not serve: %w", err)
		}
	}
}
