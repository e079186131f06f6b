package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/server"
)

// TestOnline runs the sessions in testdata/online, each against a server of its own whose data directory is
// where commands look for it.
func TestOnline(t *testing.T) {
	model, err := os.ReadFile("../../tsl/testdata/stc15.json")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/online",
		Setup: func(env *testscript.Env) error {
			cfg := config.Default()
			cfg.Data = filepath.Join(env.WorkDir, "linkstead-data")
			cfg.Listen, cfg.Admin, cfg.Durability = []string{"127.0.0.1:0"}, "127.0.0.1:0", "memory"
			cfg.Device.Pace, cfg.Device.Settle = 0, 0
			s, err := server.Start(context.Background(), cfg, server.Options{Version: "test"})
			if err != nil {
				return err
			}
			env.Defer(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
				defer cancel()
				if err := s.Shutdown(ctx); err != nil {
					t.Errorf("shutdown: %v", err)
				}
			})
			env.Setenv("MQTT", s.Addresses()[0])
			env.Setenv("ADMIN", s.AdminAddress())
			env.Setenv("TOKEN", s.AdminToken())
			env.Values["server"] = s
			return os.WriteFile(filepath.Join(env.WorkDir, "model.json"), model, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"connect":    connectDevice,
			"background": background,
			"await":      await,
			"exits":      exits,
		},
	})
}

// connectDevice is "connect PK/DN SECRET [REPLYCODE]": a device that logs in, reports Temp 6 and answers every
// command with a code; 0 is silence. With "!" it must be refused.
func connectDevice(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: connect PK/DN SECRET [REPLYCODE]")
	}
	code := "200"
	if len(args) > 2 {
		code = args[2]
	}
	pk, dn, _ := strings.Cut(args[0], "/")
	login := alink.Triple{ProductKey: pk, DeviceName: dn, DeviceSecret: args[1]}.Login(alink.LoginOptions{Prefix: "test"})
	o := paho.NewClientOptions().AddBroker("tcp://" + ts.Getenv("MQTT")).SetClientID(login.ClientID).
		SetUsername(login.Username).SetPassword(login.Password).SetProtocolVersion(4).SetAutoReconnect(false)
	o.SetDefaultPublishHandler(func(c paho.Client, m paho.Message) {
		var in struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(m.Payload(), &in) != nil || code == "0" || strings.HasSuffix(m.Topic(), "_reply") {
			return
		}
		topic := strings.Replace(m.Topic(), "/rrpc/request/", "/rrpc/response/", 1)
		if topic == m.Topic() {
			topic += "_reply"
		}
		c.Publish(topic, 0, false, `{"id":"`+in.ID+`","code":`+code+`,"data":{}}`)
	})
	c := paho.NewClient(o)
	done := c.Connect()
	done.Wait()
	if neg {
		if done.Error() == nil {
			ts.Fatalf("the login of %s was accepted", args[0])
		}
		return
	}
	if done.Error() != nil {
		ts.Fatalf("%s: %v", args[0], done.Error())
	}
	ts.Defer(func() { c.Disconnect(0) })
	post := c.Publish("/sys/"+pk+"/"+dn+"/thing/event/property/post", 1, false,
		`{"id":"1","version":"1.0","params":{"Temp":6},"method":"thing.event.property.post"}`)
	if post.Wait(); post.Error() != nil {
		ts.Fatalf("post: %v", post.Error())
	}
}

// background is "background FILE COMMAND…": runs a command of linkstead, its output to FILE and FILE.err, its
// exit code to FILE.code when it has ended.
func background(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: background FILE COMMAND…")
	}
	path := ts.MkAbs(args[0])
	out, err := os.Create(path)
	ts.Check(err)
	errs, err := os.Create(path + ".err")
	ts.Check(err)
	call := append(args[1:], "--data", ts.MkAbs("linkstead-data"))
	go func() {
		code := run(call, strings.NewReader(""), out, errs)
		_, _ = out.Close(), errs.Close()
		_ = os.WriteFile(path+".code", []byte(strconv.Itoa(code)), 0o600)
	}()
}

// exits is "exits CODE COMMAND…": a command of linkstead ends with that exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	var out strings.Builder
	call := append(args[1:], "--data", ts.MkAbs("linkstead-data"))
	if code := strconv.Itoa(run(call, strings.NewReader(""), &out, &out)); code != args[0] {
		ts.Fatalf("exit code %s, want %s:\n%s", code, args[0], &out)
	}
}

// await is "await FILE TEXT": waits until the file holds the text.
func await(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	path := ts.MkAbs(args[0])
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		b, _ := os.ReadFile(path)
		if strings.Contains(string(b), args[1]) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s never held %q", args[0], args[1])
}
