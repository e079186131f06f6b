package platform

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/rate"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/mqtt"
)

// Broker is what the platform needs of the MQTT engine.
type Broker interface {
	Publish(m broker.Message, done func(error))
	PublishFor(in broker.Inbound, done func(mqtt.ReasonCode, []broker.Reply))
	Online(key string) bool
	Disconnect(key string)
	DisconnectOwner(owner string)
	Forget(key string)
	ForgetUnits(key string)
	Carry(gateway string, principal any, key string, rights broker.Rights, profile *broker.Profile, clean bool, done func(carried bool))
	PutDown(gateway string, principal any, key string, done func())
}

// Options configure a Platform. Store is required.
type Options struct {
	Store  *store.Store
	Logger *slog.Logger
	// Now is the clock: time.Now if nil.
	Now func() time.Time
	// Files is where firmware is and how its addresses are signed.
	Files FileOptions
	// FailedLogins is how many logins of one device from one address may fail in a
	// minute at the doors beside MQTT; further ones are refused without a look. 0 is
	// any number.
	FailedLogins int
	Settings
}

// Settings are the options that can be changed while the platform runs.
type Settings struct {
	// Device and Application are how the two kinds of client are treated.
	Device, Application broker.Profile
	// Strict refuses what the cloud refuses: a keep-alive outside 30 to 1200 s, more
	// than five logins of a device in a minute, and what the limits of Device say, which
	// have to be the cloud's.
	Strict bool
	// SCRAM offers applications SCRAM-SHA-256 and keeps a verifier for it with each
	// password that is set.
	SCRAM bool
	// CallTimeout is how long the reply to a command is awaited: 8 s.
	CallTimeout time.Duration
	// SubDevices is the most sub-devices of a gateway: 1500. SubLogins is how often
	// one sub-device may log in per minute: 60.
	SubDevices, SubLogins int
	// UploadBytes is how many bytes the files of all devices may have together,
	// UploadDeviceBytes those of one; 0 takes none.
	UploadBytes, UploadDeviceBytes int64
	// ShadowRate is how many requests to its shadow a device may send in a second, on
	// average; 0 is any number.
	ShadowRate int
	// BroadcastEvery is the least time between two broadcasts to all devices of a
	// product; 0 is none.
	BroadcastEvery time.Duration

	registering broker.Profile // of devices that register themselves, made by Set
	gateway     broker.Profile // of gateways: their sub-devices' messages are not theirs
}

// Platform serves devices and those who manage them. All methods may be called
// from any goroutine.
type Platform struct {
	settings atomic.Pointer[Settings]
	store    *store.Store
	logger   *slog.Logger
	now      func() time.Time
	broker   Broker

	devices    *otter.Cache[string, *deviceEntry]
	generation atomic.Uint64 // grows whenever a cached device may have changed

	productMu sync.RWMutex
	products  map[string]*product

	users   users
	lookup  chan func()
	records chan func() // writes of devices, one after the other, so that their order stays
	verify  chan func() // passwords, apart from devices so that neither waits for the other
	stop    context.CancelFunc
	ctx     context.Context
	wg      sync.WaitGroup

	presentMu sync.RWMutex
	present   map[string]int // ext bitmap of the devices that are connected

	failedAt atomic.Int64 // Unix seconds of the last log line about a failing store

	subs subSessions

	passes   passes
	entrance entrance

	noise    noise
	calls    calls
	figures  figures
	refusals refusals
	drops    drops
	unserved unserved
	remarks  remarks

	greetings greetings
	files     files
	uploads   uploads
	upgrades  upgrades
	jobs      scheduler

	connects   *rate.Table[string] // logins by device, counted if the settings are strict
	broadcasts broadcasts
	scripts    scriptQueues
}

// lookups is how many logins may wait for a record that is not in memory, and
// lookupWorkers how many are read at the same time.
const (
	lookups          = 8192
	lookupWorkers    = 8
	passwordsWaiting = 256
	cachedDevices    = 200_000
)

// cloudConnects is how often a device may log in per minute on the cloud
// (spec/connect.md §14), cloudConnecting of how many devices that is remembered.
const (
	cloudConnects   = 5
	cloudConnecting = 16384
)

// New makes a platform. Bind it to the broker before the first connection.
func New(o Options) *Platform {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Platform{
		store: o.Store, logger: o.Logger, now: o.Now,
		devices:  otter.Must(&otter.Options[string, *deviceEntry]{MaximumSize: cachedDevices}),
		products: make(map[string]*product),
		present:  make(map[string]int),
		subs:     subSessions{m: make(map[string]*device), gateways: make(map[string]*device)},
		lookup:   make(chan func(), lookups),
		verify:   make(chan func(), passwordsWaiting),
		records:  make(chan func(), lookups),
		connects: rate.NewTable[string](cloudConnecting, cloudConnects/60.0, cloudConnects),
	}
	p.Set(o.Settings)
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.calls.init(o.Now())
	p.figures.init()
	p.users.init()
	p.entrance.init(o.FailedLogins)
	p.files.options = o.Files
	p.upgrades.init()
	p.jobs.init()
	p.scripts.init()
	p.uploads.init()
	p.greetings.init(greeting{store.WaitsDesired, p.greetDesired}, greeting{store.WaitsShadow, p.greetShadow},
		greeting{store.WaitsUpgrade, p.greetUpgrade}, greeting{store.WaitsTask, p.greetJobs})
	for range lookupWorkers {
		p.wg.Go(func() { p.work(p.lookup) })
	}
	p.wg.Go(func() { p.work(p.records) })
	for _, q := range p.scripts {
		p.wg.Go(func() { p.work(q) })
	}
	for i := range p.uploads.queues {
		p.wg.Go(func() { p.work(p.uploads.queues[i].jobs) })
	}
	for range passwordsAtOnce {
		p.wg.Go(func() { p.work(p.verify) })
	}
	return p
}

func (p *Platform) work(jobs <-chan func()) {
	for {
		select {
		case f := <-jobs:
			f()
		case <-p.ctx.Done():
			return
		}
	}
}

// Bind tells the platform which broker it serves, once; what it does by itself
// begins then.
func (p *Platform) Bind(b Broker) {
	p.broker = b
	p.wg.Go(p.greet)
	p.wg.Go(func() { p.upgrades.run(p.ctx, p.scheduleDue, p.storeFailed) })
	p.wg.Go(func() { p.jobs.run(p.ctx, p.scheduleJobs, p.storeFailed) })
	p.wg.Go(p.sweepUploads)
}

// Set changes the settings. Profiles handed out before stay as they were: the
// broker has to ask for them again.
func (p *Platform) Set(s Settings) {
	if s.CallTimeout <= 0 {
		s.CallTimeout = 8 * time.Second
	}
	if s.SubDevices <= 0 {
		s.SubDevices = 1500
	}
	if s.SubLogins <= 0 {
		s.SubLogins = 60
	}
	s.registering = s.Device
	s.registering.Device = false // it has no session that lasts, and no record of messages
	s.registering.MinKeepAlive, s.registering.MaxKeepAlive = 0, 0
	s.registering.MaxQueued, s.registering.MaxQueuedBytes, s.registering.SessionExpiry = 1, 1<<10, time.Second
	s.registering.Lifetime = registrationTime
	s.gateway = s.Device
	s.gateway.LossyRates = [2]int{}
	p.settings.Store(&s)
}

// Profile is how devices, or applications, are treated.
func (p *Platform) Profile(device bool) *broker.Profile {
	if device {
		return &p.settings.Load().Device
	}
	return &p.settings.Load().Application
}

// Close ends what the platform does by itself. Calls that wait for a device
// return ErrClosed.
func (p *Platform) Close() {
	p.stop()
	p.wg.Wait()
	p.productMu.Lock()
	for _, pr := range p.products {
		if s := pr.script.Swap(nil); s != nil {
			s.Close()
		}
	}
	p.productMu.Unlock()
	p.devices.StopAllGoroutines()
}

// later runs f on a worker of the given queue. It reports false when too much
// waits already.
func later(jobs chan<- func(), f func()) bool {
	select {
	case jobs <- f:
		return true
	default:
		return false
	}
}

// DeviceKey is the session key of a device.
func DeviceKey(productKey, deviceName string) string { return "d:" + productKey + "/" + deviceName }

var (
	_ broker.Authority = (*Platform)(nil)
	_ broker.Handler   = (*Platform)(nil)
	_ broker.Recorder  = (*Platform)(nil)
)
