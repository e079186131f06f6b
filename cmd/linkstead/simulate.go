package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/demo"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/simulate"
	"github.com/linkstead/linkstead/tsl"
)

type simulateFlags struct {
	target
	options  simulate.Options
	address  string
	secure   bool
	ca       string
	model    string
	shapes   []string
	rows     [3]kindFlags // of devices, gateways and sub-devices
	rate     float64
	qos      uint8
	duration time.Duration
	check    int
}

// kindFlags are what a fleet has of one kind, and where from.
type kindFlags struct {
	count   int
	triples string // file
	product string
}

// The rows of simulateFlags.
const (
	ownDevices = iota
	gateways
	subDevices
)

// simulatedProducts are the products that simulate makes if none is named.
var simulatedProducts = [3]platform.Product{
	{Name: "simulated", Description: "devices of linkstead simulate"},
	{Name: "simulated gateways", Description: "gateways of linkstead simulate", NodeType: "gateway"},
	{Name: "simulated sub-devices", Description: "sub-devices of linkstead simulate", NodeType: "subdevice"},
}

func newSimulateCommand() *cobra.Command {
	var f simulateFlags
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Run a fleet of simulated devices against a server",
		Long: `Runs a fleet of devices that log in with their triples, post properties and events that
fit their product's thing model, answer what they are told, drop out and come back, and
say what they saw: how long replies took, which never came, and which acknowledged posts
are not in the server's history.

With --gateways each gateway has a connection, and --sub-devices of its own that post over
it: it adds them to its topology, logs them in and, with --churn, out and in again.

Devices that do not exist yet are registered through the management API, in products
that are made if none is named; their triples are kept in a file each, readable by its
owner alone, for the next run. With a file of triples that has enough of them no management
API is needed, and the server may be any that speaks the protocol: give --model then.

Shapes of values:
  ` + strings.Join(simulate.Shapes(), "\n  ") + `

It ends after --duration or with Ctrl-C. The exit code is 1 if anything was refused,
missing or lost.`,
		Example: `  linkstead simulate --devices 100 --interval 1s
  linkstead simulate --devices 10000 --interval 10s --duration 2m --churn 5m --commands 50
  linkstead simulate --shape Temp=sine:20:5:10m --shape Gas=constant:300 --events 30s
  linkstead simulate --gateways 20 --sub-devices 50 --interval 5s --churn 2m
  linkstead simulate --triples fleet.csv --model model.json --address iot.example.org:1883`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSimulate(cmd, &f) },
	}
	online(cmd, &f.target)
	cmd.GroupID = groupManage
	fl, o := cmd.Flags(), &f.options
	fl.StringVar(&f.address, "address", "", "MQTT `address` of the server, HOST:PORT; found through the management API if not given")
	fl.BoolVar(&f.secure, "tls", false, "connect with TLS")
	fl.StringVar(&f.ca, "ca", "", "`file` with the certificate of the authority to trust, such as DATA/tls/ca.crt")
	fl.IntVarP(&f.rows[ownDevices].count, "devices", "n", 10, "`number` of devices; 0 by default with --gateways")
	fl.IntVar(&f.rows[gateways].count, "gateways", 0, "`number` of gateways")
	fl.IntVar(&f.rows[subDevices].count, "sub-devices", 10, "`number` of sub-devices of each gateway, at most 1500")
	for i, name := range []string{"", "gateway-", "sub-"} {
		what := []string{"devices", "gateways", "sub-devices"}[i]
		fl.StringVar(&f.rows[i].triples, name+"triples", "", "CSV `file` of ProductKey,DeviceName,DeviceSecret of "+what+"; made if it does not exist (default simulated-PRODUCTKEY.csv)")
		fl.StringVar(&f.rows[i].product, name+"product", "", "`ProductKey` of "+what+" to register; a product called "+simulatedProducts[i].Name+" if not given")
	}
	fl.StringVar(&f.model, "model", "", "thing model, a `file` as the cloud exports it; otherwise the product's")
	fl.StringArrayVar(&f.shapes, "shape", nil, "how a property goes on, `PROPERTY=SHAPE`; see above; can be given several times")
	fl.StringSliceVar(&o.Properties, "properties", nil, "`identifiers` of the properties to post; all that can be read if not given")
	fl.DurationVar(&o.Interval, "interval", 10*time.Second, "between two property posts of a device")
	fl.Float64Var(&f.rate, "rate", 0, "property posts a second of the whole fleet, instead of --interval")
	fl.DurationVar(&o.EventInterval, "events", 0, "between two events of a device; 0: none")
	fl.Float64Var(&o.CommandRate, "commands", 0, "properties set a second through the management API, on one device each")
	fl.Uint8Var(&f.qos, "qos", 1, "QoS of the posts, 0 or 1")
	fl.BoolVar(&o.Persistent, "persistent", false, "connect with Clean Session 0")
	fl.IntVar(&o.LoginRate, "logins", 500, "devices that log in a second at the beginning")
	fl.DurationVar(&o.Churn, "churn", 0, "how long a device or sub-device stays on average until it drops out, half of them without a word; 0: it stays")
	fl.DurationVar(&o.GatewayChurn, "gateway-churn", 0, "how long a gateway's connection stays on average; its sub-devices go with it; 0: it stays")
	fl.DurationVar(&o.Offline, "offline", 5*time.Second, "how long a device that dropped out stays away")
	fl.DurationVar(&o.KeepAlive, "keep-alive", 2*time.Minute, "MQTT keep-alive")
	fl.DurationVar(&o.Timeout, "timeout", 10*time.Second, "how long answers are awaited")
	fl.DurationVar(&f.duration, "duration", 0, "how long; 0: until Ctrl-C")
	fl.IntVar(&f.check, "check", 100, "`devices` whose history is compared with what was acknowledged, at the end")
	fl.Uint64Var(&o.Seed, "seed", 1, "makes values and choices the same in each run")
	cmd.MarkFlagsMutuallyExclusive("interval", "rate")
	return cmd
}

func runSimulate(cmd *cobra.Command, f *simulateFlags) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := f.prepare(cmd); err != nil {
		return err
	}
	api, apiErr := f.client(cmd)
	if err := f.locate(ctx, api, apiErr); err != nil {
		return err
	}
	if err := f.furnish(ctx, cmd.ErrOrStderr(), api, apiErr); err != nil {
		return err
	}
	if f.options.CommandRate > 0 {
		if api == nil {
			return onlineError(apiErr)
		}
		f.options.Commander = commander{api}
	}
	fleet, err := simulate.New(f.options)
	if err != nil {
		return usageError("%w", err)
	}
	if f.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		fleet.Run(ctx)
	}()
	watch(cmd.ErrOrStderr(), fleet, ended)
	stop() // a second Ctrl-C ends the program
	r := fleet.Report()
	if api != nil && f.check > 0 {
		checking, cancel := context.WithTimeout(cmd.Context(), time.Minute)
		defer cancel()
		if err := fleet.Check(checking, history{api}, f.check, &r); err != nil {
			return onlineError(err)
		}
	}
	if err := output(cmd, r, func(w io.Writer) error { return printFleet(w, &r) }); err != nil {
		return err
	}
	if !r.Good() {
		return errReported
	}
	return nil
}

// prepare turns flags into options.
func (f *simulateFlags) prepare(cmd *cobra.Command) error {
	o := &f.options
	o.QoS = f.qos
	own, gw, subs := &f.rows[ownDevices].count, f.rows[gateways].count, &f.rows[subDevices].count
	if gw > 0 && !cmd.Flags().Changed("devices") {
		*own = 0
	}
	switch {
	case *own < 0 || *own > 1_000_000 || *own+gw == 0:
		return usageError("--devices %d is not between 1 and 1000000", *own)
	case gw < 0 || gw > 100_000:
		return usageError("--gateways %d is not between 0 and 100000", gw)
	case gw == 0 && cmd.Flags().Changed("sub-devices"):
		return usageError("--sub-devices need gateways: --gateways N")
	case *subs < 1 || *subs > 1500:
		return usageError("--sub-devices %d is not between 1 and 1500", *subs)
	}
	*subs *= gw // of all of them
	if cmd.Flags().Changed("rate") {
		if !(f.rate > 0) {
			return usageError("--rate has to be above 0")
		}
		o.Interval = time.Duration(float64(*own+*subs) / f.rate * float64(time.Second))
	}
	o.Shapes = make(map[string]simulate.Shape)
	for _, s := range f.shapes {
		id, text, ok := strings.Cut(s, "=")
		if !ok {
			return usageError("--shape %q: write PROPERTY=SHAPE, such as Temp=sine:20:5:10m", s)
		}
		shape, err := simulate.ParseShape(text)
		if err != nil {
			return usageError("%w", err)
		}
		o.Shapes[id] = shape
	}
	if f.ca != "" || f.secure {
		o.TLS = &tls.Config{}
	}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return usageError("%w", err)
		}
		o.TLS.RootCAs = x509.NewCertPool()
		if !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return usageError("%s holds no certificate in PEM", f.ca)
		}
	}
	return nil
}

// client finds the management API; without one the error says why.
func (f *simulateFlags) client(cmd *cobra.Command) (c *client.Client, err error) {
	err = f.run(func(_ *cobra.Command, found *client.Client, _ []string) error {
		if _, err := found.Status(cmd.Context()); err != nil {
			return err
		}
		c = found
		return nil
	})(cmd, nil)
	return c, err
}

// locate finds the address that devices connect to.
func (f *simulateFlags) locate(ctx context.Context, api *client.Client, apiErr error) error {
	if f.address == "" {
		if api == nil {
			return apiErr
		}
		s, err := api.Status(ctx)
		if err != nil {
			return onlineError(err)
		}
		for _, a := range s.Addresses {
			host, port, err := net.SplitHostPort(a)
			if err != nil {
				continue
			}
			if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
				host = "127.0.0.1"
			}
			f.address = net.JoinHostPort(host, port)
			break
		}
	}
	host, _, err := net.SplitHostPort(f.address)
	if err != nil {
		return usageError("--address %q: write HOST:PORT, such as 127.0.0.1:1883", f.address)
	}
	f.options.Address = f.address
	if f.options.TLS != nil {
		f.options.TLS.ServerName = host
	}
	return nil
}

// furnish finds triples and model, and makes what is missing.
func (f *simulateFlags) furnish(ctx context.Context, say io.Writer, api *client.Client, apiErr error) error {
	var found [3][]alink.Triple
	var doc []byte
	if f.model != "" {
		var err error
		if doc, err = os.ReadFile(f.model); err != nil {
			return usageError("%w", err)
		}
	}
	for _, kind := range []int{ownDevices, subDevices, gateways} {
		row := &f.rows[kind]
		if row.count == 0 {
			continue
		}
		pk, devices, err := f.triplesOf(ctx, say, api, apiErr, kind, doc)
		if err != nil {
			return err
		}
		found[kind] = devices
		if doc == nil && kind != gateways {
			if api == nil {
				return withHint(usageError("the thing model of product %s is not known", pk), "Give it with --model FILE.")
			}
			if doc, err = api.ExportModel(ctx, pk); err != nil {
				return onlineError(err)
			}
		}
	}
	f.options.Devices = found[ownDevices]
	for i, t := range found[gateways] {
		each := len(found[subDevices]) / len(found[gateways])
		f.options.Gateways = append(f.options.Gateways, simulate.Gateway{Triple: t, SubDevices: found[subDevices][i*each : (i+1)*each]})
	}
	var err error
	if f.options.Model, err = tsl.Parse(doc); err != nil {
		return usageError("the thing model: %w", err)
	}
	return nil
}

// triplesOf finds the triples of one kind and registers what is missing, in a product
// that gets the thing model doc if it is made.
func (f *simulateFlags) triplesOf(ctx context.Context, say io.Writer, api *client.Client, apiErr error, kind int, doc []byte) (pk string, devices []alink.Triple, err error) {
	row := &f.rows[kind]
	pk = row.product
	if row.triples == "" {
		if api == nil {
			return "", nil, apiErr
		}
		if pk, err = row.ensureProduct(ctx, api, kind, doc); err != nil {
			return "", nil, onlineError(err)
		}
		row.triples = "simulated-" + pk + ".csv"
	}
	if devices, err = readTriples(row.triples); err != nil {
		return "", nil, err
	}
	if len(devices) > 0 {
		pk = devices[0].ProductKey
		for _, d := range devices {
			if d.ProductKey != pk {
				return "", nil, usageError("%s has devices of the products %s and %s: a fleet is of one product", row.triples, pk, d.ProductKey)
			}
		}
		if row.product != "" && row.product != pk {
			return "", nil, usageError("the devices of %s are of product %s, not %s", row.triples, pk, row.product)
		}
	}
	if len(devices) < row.count {
		if api == nil {
			return "", nil, withHint(usageError("%s has %d devices, %d are wanted", row.triples, len(devices), row.count), sentence(apiErr.Error()))
		}
		if pk == "" {
			if pk, err = row.ensureProduct(ctx, api, kind, doc); err != nil {
				return "", nil, onlineError(err)
			}
		}
		more, err := register(ctx, say, api, pk, len(devices), row.count-len(devices))
		if err != nil {
			return "", nil, onlineError(err)
		}
		devices = append(devices, more...)
		if err := appendTriples(row.triples, more); err != nil {
			return "", nil, err
		}
		fmt.Fprintf(say, "%d devices of product %s are registered; their triples are in %s\n", len(more), pk, row.triples)
	}
	return pk, devices[:row.count], nil
}

// ensureProduct finds the product, or makes the one that simulate has of its own.
func (row *kindFlags) ensureProduct(ctx context.Context, api *client.Client, kind int, doc []byte) (string, error) {
	if row.product != "" {
		p, err := api.Product(ctx, row.product)
		return p.ProductKey, err
	}
	own := simulatedProducts[kind]
	for after := ""; ; {
		page, err := api.Products(ctx, after, listPage)
		if err != nil {
			return "", err
		}
		for _, p := range page {
			if p.Name == own.Name {
				return p.ProductKey, nil
			}
		}
		if len(page) < listPage {
			break
		}
		after = page[len(page)-1].ProductKey
	}
	p, err := api.CreateProduct(ctx, own)
	if err != nil || kind == gateways {
		return p.ProductKey, err
	}
	if doc == nil {
		doc = demo.Model
	}
	if _, err := api.ImportModel(ctx, p.ProductKey, doc); err != nil {
		return "", err
	}
	return p.ProductKey, nil
}

// register makes n devices, numbered after those that there are.
func register(ctx context.Context, say io.Writer, api *client.Client, pk string, have, n int) ([]alink.Triple, error) {
	run := make([]byte, 3)
	if _, err := rand.Read(run); err != nil {
		return nil, err
	}
	var out []alink.Triple
	for len(out) < n {
		var chunk []platform.NewDevice
		for range min(importChunk, n-len(out)) {
			secret := make([]byte, 16)
			if _, err := rand.Read(secret); err != nil {
				return nil, err
			}
			t := alink.Triple{ProductKey: pk, DeviceName: fmt.Sprintf("sim-%x-%06d", run, have+len(out)+1), DeviceSecret: hex.EncodeToString(secret)}
			out = append(out, t)
			chunk = append(chunk, platform.NewDevice{ProductKey: pk, DeviceName: t.DeviceName, DeviceSecret: t.DeviceSecret})
		}
		results, err := api.ImportDevices(ctx, chunk)
		if err != nil {
			return nil, err
		}
		for _, r := range results {
			if r.Error != "" {
				return nil, fmt.Errorf("device %s/%s: %s", r.ProductKey, r.DeviceName, r.Error)
			}
		}
		if len(out) < n {
			fmt.Fprintf(say, "%d of %d devices registered\n", len(out), n)
		}
	}
	return out, nil
}

// readTriples reads a CSV file of triples, as device import does; none if there
// is no file.
func readTriples(file string) ([]alink.Triple, error) {
	in, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, usageError("%w", err)
	}
	defer func() { _ = in.Close() }()
	var out []alink.Triple
	for rows := newDeviceRows(in, ""); ; {
		d, line, err := rows.next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err == nil && d.DeviceSecret == "" {
			err = errors.New("the DeviceSecret is missing")
		}
		if err != nil {
			return nil, usageError("%s: line %d: %w", file, line, err)
		}
		out = append(out, alink.Triple{ProductKey: d.ProductKey, DeviceName: d.DeviceName, DeviceSecret: d.DeviceSecret})
	}
}

// appendTriples adds triples to a file that only its owner can read.
func appendTriples(file string, triples []alink.Triple) (err error) {
	out, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("the triples cannot be kept: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := csv.NewWriter(out)
	for _, t := range triples {
		if err := w.Write([]string{t.ProductKey, t.DeviceName, t.DeviceSecret}); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// watch shows how a fleet goes on: once a second on a terminal, in place, and
// every ten seconds elsewhere.
func watch(w io.Writer, fleet *simulate.Fleet, ended <-chan struct{}) {
	every, start, end := 10*time.Second, "", "\n"
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			every, start, end = time.Second, "\r\x1b[K", ""
			defer fmt.Fprintln(w)
		}
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last int64
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		r := fleet.Report()
		fmt.Fprintf(w, "%s%s%s", start, liveLine(&r, float64(r.Posts-last)/every.Seconds()), end)
		last = r.Posts
	}
}

// liveLine says how a fleet is now.
func liveLine(r *simulate.Report, rate float64) string {
	line := fmt.Sprintf("%d/%d online", r.Online, r.Devices+r.Gateways)
	if r.SubDevices > 0 {
		line += fmt.Sprintf(" · %d/%d sub-devices", r.SubsOnline, r.SubDevices)
	}
	return line + fmt.Sprintf(" · %.0f posts/s · replies p50 %.1f ms, p99 %.1f ms · %d refused · %d broken · %d missing · %d commands",
		rate, r.ReplyP50MS, r.ReplyP99MS, r.LoginsRefused+r.SubsRefused+r.Rejected, r.Broken+r.SubsBroken, r.Missing, r.CommandsReceived)
}

// printFleet tells people how it went.
func printFleet(w io.Writer, r *simulate.Report) error {
	verdict := "everything went as it should"
	if !r.Good() {
		verdict = "NOT everything went as it should"
	}
	count := func(n int64, what string) string { return fmt.Sprintf("%d %s", n, what) }
	fields := [][2]string{
		{"devices", fmt.Sprintf("%d, %d online at once, %.1f s", r.Devices+r.Gateways, r.MostAtOnce, r.Seconds)},
		{"logins", strings.Join([]string{count(r.Logins, "done"), count(r.LoginsRefused, "refused"), count(r.DroppedOut, "dropped out"), count(r.Broken, "broken")}, ", ")},
		{"posts", fmt.Sprintf("%d (%.0f/s), %d of them events, %d skipped", r.Posts, r.PostsPerS, r.Events, r.Skipped)},
		{"answers", fmt.Sprintf("%d acknowledged, %d replied, %d rejected, %d missing, %d unknown since the connection ended", r.Acknowledged, r.Replied, r.Rejected, r.Missing, r.Unknown)},
		{"reply time", fmt.Sprintf("p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms", r.ReplyP50MS, r.ReplyP99MS, r.ReplyP999MS)},
		{"commands", fmt.Sprintf("%d received; %d sent, %d replied, %d lost", r.CommandsReceived, r.CommandsSent, r.CommandsReplied, r.CommandsLost)},
	}
	if r.Gateways > 0 {
		fields = slices.Insert(fields, 2, [2]string{"sub-devices", fmt.Sprintf("%d of %d gateways, %d online at once; %d logins, %d refused, %d logged out, %d broken; %d requests, %d replied",
			r.SubDevices, r.Gateways, r.MostSubs, r.SubLogins, r.SubsRefused, r.SubLogouts, r.SubsBroken, r.Requests, r.RequestsReplied)})
	}
	if r.Checked > 0 {
		fields = append(fields, [2]string{"history", fmt.Sprintf("of %d devices compared: %d posts acknowledged, %d lost", r.Checked, r.CheckedKept, r.Lost)})
	}
	if r.LastError != "" {
		fields = append(fields, [2]string{"last error", r.LastError})
	}
	return printFields(w, append(fields, [2]string{"verdict", verdict})...)
}

// commander sets properties through the management API.
type commander struct{ api *client.Client }

// SetProperties implements [simulate.Commander].
func (c commander) SetProperties(ctx context.Context, pk, dn string, params json.RawMessage) (int, error) {
	r, err := c.api.SetProperties(ctx, pk, dn, admin.SetRequest{Params: params, CallRequest: admin.CallRequest{Wait: true}})
	return int(r.Code), err
}

// history counts stored values through the management API.
type history struct{ api *client.Client }

// historyPage is how many values are read at once.
const historyPage = 1000

// Count implements [simulate.History].
func (h history) Count(ctx context.Context, pk, dn, property string, from, to time.Time) (n int64, err error) {
	for at := from.UnixMilli(); ; {
		page, err := h.api.PropertyHistory(ctx, pk, dn, property, platform.HistoryQuery{From: at, To: to.UnixMilli(), Limit: historyPage})
		if err != nil {
			return n, err
		}
		n += int64(len(page))
		if len(page) < historyPage {
			return n, nil
		}
		last := page[len(page)-1].Time
		if page[0].Time == last {
			at = last + 1
			continue
		}
		for _, v := range page { // read again by the next page
			if v.Time == last {
				n--
			}
		}
		at = last
	}
}
