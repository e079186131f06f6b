package main

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/demo"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/server"
	"github.com/linkstead/linkstead/mqtt"
)

type demoFlags struct {
	data   string
	listen string
	admin  string
	once   bool
}

func newDemoCommand() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Watch an 8-bit device log in, report and be commanded, every byte explained",
		GroupID: groupServer,
		Args:    cobra.NoArgs,
		Long: `Start a server in a folder of its own, make a product, its thing model and a device, and
run a simulated STC15 microcontroller against it over TCP. Both directions are shown as
annotated bytes. Then the server goes on: connect your own device, or any MQTT client.

A second run finds what is there and goes on with it.`,
		Example: `  linkstead demo
  linkstead demo --once --listen 127.0.0.1:0 --admin 127.0.0.1:0`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, f) },
	}
	cmd.Flags().StringVar(&f.data, "data", "linkstead-demo", "`directory` of the demo's server")
	cmd.Flags().StringVar(&f.listen, "listen", ":1883", "`address` for devices and MQTT clients")
	cmd.Flags().StringVar(&f.admin, "admin", "127.0.0.1:8080", "`address` of the admin API")
	cmd.Flags().BoolVar(&f.once, "once", false, "stop after the walk instead of serving on")
	return cmd
}

func runDemo(cmd *cobra.Command, f demoFlags) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := cmd.OutOrStdout()
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.Admin = f.data, []string{f.listen}, f.admin
	cfg.Log.Level = "warn"
	logger, _ := newLogger(cmd.ErrOrStderr(), cfg.Log)

	s, err := startDemo(ctx, out, &cfg, server.Options{Logger: logger, Version: version()})
	if err != nil {
		return startError(err)
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.Background(), time.Duration(cfg.DrainTimeout))
		defer cancel()
		_ = s.Shutdown(stopping)
	}()
	fmt.Fprintf(out, "linkstead serves MQTT on %s; its data is in %s\n", strings.Join(s.Addresses(), " "), cfg.Data)
	if err := furnish(ctx, out, s.Platform); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(s.Addresses()[0])
	if err != nil {
		return err
	}
	show := &narrator{out: out, on: true}
	d, err := demo.Dial(net.JoinHostPort("127.0.0.1", port), show.frame)
	if err != nil {
		return err
	}
	defer d.Close()
	err = demo.Walk(ctx, d, demo.Steps{
		Say: show.say,
		SetLight: func(ctx context.Context) error {
			_, err := s.Platform.SetProperties(ctx, "demo", demo.ProductKey, demo.DeviceName, json.RawMessage(`{"Light":1}`),
				platform.CallOptions{ForceID: demo.CommandID})
			return err
		},
	})
	if err != nil {
		return fmt.Errorf("the demo did not go as it should: %w", err)
	}
	show.on = false
	if err := stored(ctx, out, s.Platform); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nLight=1 delivered")
	if f.once {
		return nil
	}
	password, err := watcher(ctx, s.Platform)
	if err != nil {
		return err
	}
	tryNext(out, port, cfg, password)
	if err := demo.Run(ctx, d, 10*time.Second); err != nil && ctx.Err() == nil {
		fmt.Fprintf(out, "The simulated device has left (%v); the server goes on. Another login as STC15 takes its place.\n", err)
	}
	<-ctx.Done()
	stop()
	fmt.Fprintln(out, "\nStopping; run the same command again to go on.")
	return nil
}

// startDemo starts the server; if a port is taken it looks for a free one.
func startDemo(ctx context.Context, out io.Writer, cfg *config.Config, o server.Options) (*server.Server, error) {
	s, err := server.Start(ctx, *cfg, o)
	for range 2 {
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return s, err
		}
		if ln, lerr := net.Listen("tcp", cfg.Listen[0]); lerr != nil {
			fmt.Fprintf(out, "%s is taken by another program; another port is used.\n", cfg.Listen[0])
			host, _, _ := net.SplitHostPort(cfg.Listen[0])
			cfg.Listen[0] = net.JoinHostPort(host, "0")
		} else {
			ln.Close()
			cfg.Admin = "127.0.0.1:0"
		}
		s, err = server.Start(ctx, *cfg, o)
	}
	return s, err
}

// furnish makes product, model and device, or says that they are there.
func furnish(ctx context.Context, out io.Writer, p *platform.Platform) error {
	const who = "demo"
	if _, err := p.Product(ctx, demo.ProductKey); err == nil {
		fmt.Fprintf(out, "Product %s with device %s is there already; going on with it.\n", demo.ProductKey, demo.DeviceName)
	} else if !isNotFound(err) {
		return err
	} else if _, err := p.CreateProduct(ctx, who, platform.Product{ProductKey: demo.ProductKey, Name: "STC15 demo"}); err != nil {
		return err
	} else {
		fmt.Fprintf(out, "Made product %s, its thing model and device %s with the secret of the note.\n", demo.ProductKey, demo.DeviceName)
	}
	if m, err := p.Model(ctx, demo.ProductKey); err != nil {
		return err
	} else if m == nil {
		if _, err := p.ImportModel(ctx, who, demo.ProductKey, demo.Model); err != nil {
			return err
		}
	}
	_, err := p.Device(ctx, demo.ProductKey, demo.DeviceName)
	if isNotFound(err) {
		_, err = p.CreateDevice(ctx, who, platform.NewDevice{ProductKey: demo.ProductKey, DeviceName: demo.DeviceName, DeviceSecret: demo.DeviceSecret})
	}
	return err
}

func isNotFound(err error) bool { return err != nil && platform.KindOf(err) == platform.KindNotFound }

// stored shows what the platform keeps of the device.
func stored(ctx context.Context, out io.Writer, p *platform.Platform) error {
	values, err := p.LatestProperties(ctx, demo.ProductKey, demo.DeviceName)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nStored of %s/%s:\n", demo.ProductKey, demo.DeviceName)
	rows := make([][]string, 0, len(values))
	for _, v := range values {
		rows = append(rows, []string{"  " + v.Identifier, string(v.Value), time.UnixMilli(v.Time).Format("2006-01-02 15:04:05.000")})
	}
	return printTable(out, []string{"  PROPERTY", "VALUE", "TIME"}, rows)
}

// demoUser is the application that may read everything.
const demoUser = "watcher"

// watcher makes the application's user anew, with a fresh password.
func watcher(ctx context.Context, p *platform.Platform) (password string, err error) {
	var b [10]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	password = strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
	return password, p.PutUser(ctx, "demo", demoUser, password, []platform.Right{{Filter: "#", Subscribe: true}})
}

// tryNext says what can be done with the running server.
func tryNext(out io.Writer, port string, cfg config.Config, password string) {
	fmt.Fprintf(out, `
What to try next, in another terminal (the server goes on until Ctrl-C):

  Command the simulated device, and watch its frames
    go run ./cmd/linkstead tail --data %[2]s --hex
    go run ./cmd/linkstead property set %[3]s/%[4]s Light=0 --data %[2]s
    go run ./cmd/linkstead property history %[3]s/%[4]s Temp --data %[2]s

  Watch everything from any MQTT client (this login may read, not write; it is shown once)
    mosquitto_sub -h 127.0.0.1 -p %[1]s -u %[5]s -P %[6]s -t '#' -v
    MQTTX: host 127.0.0.1, port %[1]s, user name %[5]s, password %[6]s, subscribe to #

  Connect your own device: host = this machine, port = %[1]s (plain, TLS or WebSocket)
    go run ./cmd/linkstead device create %[3]s/mydevice --data %[2]s
    go run ./cmd/linkstead sign -k %[3]s -d mydevice --secret SECRET --client-id 10001
    go run ./cmd/linkstead frame connect -k %[3]s -d mydevice --secret SECRET --client-id 10001 --format c
    go run ./cmd/linkstead refusals --data %[2]s     # why a device could not log in

`, port, cfg.Data, demo.ProductKey, demo.DeviceName, demoUser, password)
}

// narrator shows the walk: what happens, and each frame annotated.
type narrator struct {
	out io.Writer
	on  bool
	n   int
}

func (t *narrator) say(format string, args ...any) {
	t.n++
	fmt.Fprintf(t.out, "\n%d  %s\n", t.n, fmt.Sprintf(format, args...))
}

func (t *narrator) frame(fromServer bool, frame []byte) {
	if !t.on {
		return
	}
	o := mqtt.ExplainOptions{Version: mqtt.V311, Direction: mqtt.FromClient, ShowSecrets: true} // the secret of the note is public
	arrow := "device -> server"
	if fromServer {
		o.Direction, arrow = mqtt.FromServer, "server -> device"
	}
	e := mqtt.Explain(frame, o)
	fmt.Fprintf(t.out, "   %s\n", arrow)
	for line := range strings.Lines(e.String()) {
		fmt.Fprintf(t.out, "     %s", line)
	}
}
