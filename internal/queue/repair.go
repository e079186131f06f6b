package queue

import (
	"fmt"
	"time"
)

const (
	// maxReopenWait bounds the wait between attempts to reopen.
	maxReopenWait = 10 * time.Second
	// windDown is how long a failed store may take to end before its successor is
	// opened regardless; its fence keeps it off the disk.
	windDown = 2 * time.Second
)

// supervise replaces the store whenever its fence trips.
func (l *Log) supervise() {
	for {
		l.mu.Lock()
		e := l.engine
		l.mu.Unlock()
		select {
		case <-l.stop:
			return
		case <-e.fence.tripped:
		}
		if !l.replace(e) {
			return
		}
	}
}

// replace gives up a failed store and opens it anew; false when the Log is closed
// first.
func (l *Log) replace(failed *engine) bool {
	cause := failed.fence.err()
	l.opts.Logger.Error("the message store failed and is being reopened; publishers get no acknowledgement meanwhile",
		"folder", l.opts.Dir, "error", cause)
	l.mu.Lock()
	l.engine, l.downErr = nil, fmt.Errorf("%w: %w", ErrUnavailable, cause)
	l.mu.Unlock()
	failed.fence.drain()

	ended := make(chan struct{})
	l.retired.Go(func() {
		defer close(ended)
		_ = failed.close() // its failure is the one just reported
	})
	give := time.NewTimer(windDown)
	defer give.Stop()
	select {
	case <-ended:
	case <-give.C:
	case <-l.stop:
		return false
	}

	for wait := l.opts.reopenIn; ; wait = min(2*wait, maxReopenWait) {
		e, err := openEngine(l.opts.Dir, l.opts.FS, &l.opts)
		if err == nil {
			l.mu.Lock()
			l.engine, l.downErr = e, nil
			l.mu.Unlock()
			l.stats.reopened.Add(1)
			l.opts.Logger.Info("the message store is open again", "folder", l.opts.Dir)
			return true
		}
		l.mu.Lock()
		l.downErr = fmt.Errorf("%w: %w", ErrUnavailable, err)
		l.mu.Unlock()
		l.opts.Logger.Warn("the message store does not reopen yet", "folder", l.opts.Dir, "again_in", wait, "error", err)
		again := time.NewTimer(wait)
		select {
		case <-again.C:
		case <-l.stop:
			again.Stop()
			return false
		}
	}
}
