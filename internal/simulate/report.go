package simulate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/linkstead/linkstead/tsl"
)

// Report is what a fleet did and saw. Counts are since the beginning.
type Report struct {
	Devices    int     `json:"devices"` // with a connection of their own
	Online     int64   `json:"online"`  // devices and gateways
	MostAtOnce int64   `json:"mostOnline"`
	Seconds    float64 `json:"seconds"`

	Logins        int64 `json:"logins"`
	LoginsRefused int64 `json:"loginsRefused"`
	DroppedOut    int64 `json:"droppedOut"` // by the device's own will; see Options.Churn
	Broken        int64 `json:"broken"`     // connections that failed or ended otherwise

	Gateways        int   `json:"gateways,omitempty"`
	SubDevices      int   `json:"subDevices,omitempty"`
	SubsOnline      int64 `json:"subsOnline,omitempty"`
	MostSubs        int64 `json:"mostSubsOnline,omitempty"`
	SubLogins       int64 `json:"subLogins,omitempty"`
	SubsRefused     int64 `json:"subsRefused,omitempty"`     // by the topology or at login
	SubLogouts      int64 `json:"subLogouts,omitempty"`      // of their own will; see Options.Churn
	SubsBroken      int64 `json:"subsBroken,omitempty"`      // logins that ended otherwise
	Requests        int64 `json:"gatewayRequests,omitempty"` // topology, login and logout
	RequestsReplied int64 `json:"gatewayRequestsReplied,omitempty"`

	Posts        int64   `json:"posts"`  // of properties and events
	Events       int64   `json:"events"` // of these
	PostsPerS    float64 `json:"postsPerSecond"`
	Acknowledged int64   `json:"acknowledged"`
	Replied      int64   `json:"replied"`
	Rejected     int64   `json:"rejected"` // replied with another code than 200
	Missing      int64   `json:"missing"`  // no PUBACK or no reply in time, on a connection that stayed
	Unknown      int64   `json:"cut"`      // the connection ended before the answer
	Skipped      int64   `json:"skipped"`  // not sent, since too many had no answer
	ReplyP50MS   float64 `json:"replyP50Ms"`
	ReplyP99MS   float64 `json:"replyP99Ms"`
	ReplyP999MS  float64 `json:"replyP999Ms"`

	CommandsSent     int64 `json:"commandsSent"`
	CommandsReplied  int64 `json:"commandsReplied"`
	CommandsLost     int64 `json:"commandsLost"`
	CommandsReceived int64 `json:"commandsReceived"` // from whomever
	OtherMessages    int64 `json:"otherMessages"`
	Strange          int64 `json:"strange"` // answers to nothing, or that cannot be read

	Checked     int    `json:"checkedDevices,omitempty"`
	CheckedKept int64  `json:"checkedPosts,omitempty"` // of these devices, acknowledged
	Lost        int64  `json:"lost"`                   // of these, not in the history
	LastError   string `json:"lastError,omitempty"`
}

// Report returns what there is to tell now.
func (f *Fleet) Report() Report {
	t := &f.Tally
	r := Report{
		Devices: len(f.devices), Online: t.Online.Load(), MostAtOnce: t.mostOnline.Load(),
		Logins: t.LoggedIn.Load(), LoginsRefused: t.Refused.Load(), DroppedOut: t.Left.Load(), Broken: t.Broken.Load(),
		Posts: t.Posted.Load(), Events: t.Events.Load(), Acknowledged: t.Acknowledged.Load(), Replied: t.Replied.Load(),
		Rejected: t.Rejected.Load(), Missing: t.Missing.Load(), Unknown: t.Cut.Load(), Skipped: t.Skipped.Load(),
		ReplyP50MS: milliseconds(t.latency.quantile(0.5)), ReplyP99MS: milliseconds(t.latency.quantile(0.99)),
		ReplyP999MS:  milliseconds(t.latency.quantile(0.999)),
		CommandsSent: t.CommandsSent.Load(), CommandsReplied: t.CommandsReplied.Load(), CommandsLost: t.CommandsLost.Load(),
		CommandsReceived: t.Received.Load(), OtherMessages: t.Unknown.Load(), Strange: t.Strange.Load(),
	}
	r.Gateways, r.SubDevices = len(f.gateways), len(f.units)-len(f.devices)
	r.SubsOnline, r.MostSubs = t.SubsOnline.Load(), t.mostSubs.Load()
	r.SubLogins, r.SubsRefused, r.SubLogouts, r.SubsBroken = t.SubsLoggedIn.Load(), t.SubsRefused.Load(), t.SubsLeft.Load(), t.SubsBroken.Load()
	r.Requests, r.RequestsReplied = t.Asked.Load(), t.AskedReplied.Load()
	if e := t.lastError.Load(); e != nil {
		r.LastError = *e
	}
	if began := f.began.Load(); began != nil {
		r.Seconds = time.Since(*began).Seconds()
		r.PostsPerS = float64(r.Posts) / max(r.Seconds, 1e-9)
	}
	return r
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Good reports whether everything went as it should: devices were online, none
// was refused or cut off, every post was answered with 200, nothing
// acknowledged is missing.
func (r *Report) Good() bool {
	return r.LoginsRefused+r.Broken+r.Rejected+r.Missing+r.CommandsLost+r.Strange+r.Lost+r.SubsRefused+r.SubsBroken == 0 &&
		r.MostAtOnce > 0 && (r.SubDevices == 0 || r.MostSubs > 0)
}

// History counts the stored values of a property.
type History interface {
	Count(ctx context.Context, productKey, deviceName, property string, from, to time.Time) (int64, error)
}

// Check compares the history of at most n devices, chosen at random, with the
// posts of theirs that the server has acknowledged, and writes what is missing
// into r. Call it after Run.
func (f *Fleet) Check(ctx context.Context, h History, n int, r *Report) error {
	began := f.began.Load()
	if len(f.properties) == 0 || f.o.QoS == 0 || began == nil {
		return nil
	}
	from, to := began.Add(-time.Minute), time.Now().Add(time.Minute)
	for _, i := range rand.New(rand.NewPCG(f.o.Seed, 0)).Perm(len(f.units))[:min(n, len(f.units))] {
		d := f.units[i]
		stored, err := h.Count(ctx, d.triple.ProductKey, d.triple.DeviceName, f.properties[0].Identifier, from, to)
		if err != nil {
			return fmt.Errorf("the history of %s: %w", d.triple, err)
		}
		kept := d.kept.Load()
		r.Checked++
		r.CheckedKept += kept
		if stored < kept {
			r.Lost += kept - stored
			r.LastError = fmt.Sprintf("%s: %d posts were acknowledged, %d values of %s are stored", d.triple, kept, stored, f.properties[0].Identifier)
		}
	}
	return nil
}

// Properties are those that are posted.
func (f *Fleet) Properties() []*tsl.Property { return f.properties }
