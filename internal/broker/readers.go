package broker

import "sync"

// readers are the goroutines that read messages from disk for sessions, so that
// loops never wait for it.
type readers struct {
	log  storage
	mu   sync.Mutex
	cond *sync.Cond
	jobs []diskJob
	stop bool
	wg   sync.WaitGroup
}

func newReaders(log storage, n int) *readers {
	r := &readers{log: log}
	r.cond = sync.NewCond(&r.mu)
	for range n {
		r.wg.Go(r.run)
	}
	return r
}

// diskJob is something to read.
type diskJob interface {
	// work reads, and posts what comes of it to a loop.
	work(log storage)
}

// submit does not block: a session has at most one read of each kind under way,
// so sessions bound the list.
func (r *readers) submit(job diskJob) {
	r.mu.Lock()
	r.jobs = append(r.jobs, job)
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
		job := r.jobs[0]
		r.jobs[0] = nil
		r.jobs = r.jobs[1:]
		r.mu.Unlock()
		job.work(r.log)
	}
}

func (r *readers) close() {
	r.mu.Lock()
	r.stop = true
	r.mu.Unlock()
	r.cond.Broadcast()
	r.wg.Wait()
}
