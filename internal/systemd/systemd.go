// Package systemd is what a server and the service manager that runs it say to
// each other: sockets that were opened for it, the notifications of sd_notify(3),
// and the watchdog. Where there is no service manager everything does nothing.
package systemd

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// Sockets returns the sockets that were handed to this process, by the name that
// FileDescriptorName= gives them (without it that of the socket unit). They are
// handed out once.
func Sockets() map[string][]*os.File {
	out := map[string][]*os.File{}
	for _, f := range activation.Files(true) {
		out[f.Name()] = append(out[f.Name()], f)
	}
	return out
}

// Notifier tells the service manager how the process is. The zero value is ready.
type Notifier struct{}

// notify sends a state. Without a service manager, or if it does not listen, that
// changes nothing for us.
func notify(format string, a ...any) { _, _ = daemon.SdNotify(false, fmt.Sprintf(format, a...)) }

// Ready says that the start, or a reload, is done.
func (Notifier) Ready(status string) { notify("%s\nSTATUS=%s", daemon.SdNotifyReady, status) }

// Reloading says that the configuration is being read again; Ready follows.
func (Notifier) Reloading() {
	notify("%s\n%s", daemon.SdNotifyReloading, daemon.SdNotifyMonotonicUsec())
}

// Stopping says that the end has begun, and how long it may take.
func (Notifier) Stopping(within time.Duration) {
	notify("%s\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=%d", daemon.SdNotifyStopping, within.Microseconds())
}

// Watchdog feeds the service manager's watchdog, if it has one, until ctx ends: twice
// in its interval, as long as alive returns true within the half of that. starving,
// called when it does not, may be nil.
func (Notifier) Watchdog(ctx context.Context, alive func(context.Context) bool, starving func()) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval <= 0 {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		look, cancel := context.WithTimeout(ctx, interval/4)
		ok := alive(look)
		cancel()
		switch {
		case ok:
			notify(daemon.SdNotifyWatchdog)
		case starving != nil && ctx.Err() == nil:
			starving()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
