package broker

import "sync"

// readers are the goroutines that read messages from disk for sessions, so that
// loops never wait for it.
type readers struct {
	log  storage
	mu   sync.Mutex
	cond *sync.Cond
	jobs []job
	stop bool
	wg   sync.WaitGroup
}

// job is something that is read from disk.
type job interface{ work(log storage) }

func newReaders(log storage, n int) *readers {
	r := &readers{log: log}
	r.cond = sync.NewCond(&r.mu)
	for range n {
		r.wg.Go(r.run)
	}
	return r
}

// submit does not block: a session, there or ended, has at most one read under
// way, so sessions bound the list.
func (r *readers) submit(j job) {
	r.mu.Lock()
	r.jobs = append(r.jobs, j)
	r.mu.Unlock()
	r.cond.Signal()
}

func (r *readers) run() {
	for {
		r.mu.Lock()
		for len(r.jobs) == 0 && !r.stop {
			r.cond.Wait()
		}
		if r.stop {
			r.mu.Unlock()
			return
		}
		j := r.jobs[0]
		r.jobs[0] = nil
		r.jobs = r.jobs[1:]
		r.mu.Unlock()
		j.work(r.log)
	}
}

func (r *readers) close() {
	r.mu.Lock()
	r.stop = true
	r.mu.Unlock()
	r.cond.Broadcast()
	r.wg.Wait()
}
