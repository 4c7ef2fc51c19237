package legacy9p

import (
	"io"
	"net"
	"sync"
)

// Replies that wait for a client who does not read; beyond it, requests wait.
const maxQueued = 4 << 20

// replies sends what is added to it, from a goroutine of its own: srv9p writes its replies one by one, which is a
// system call for each 8 KiB; here those that come together go together.
type replies struct {
	w    io.Writer
	done chan struct{}

	mu     sync.Mutex // guards everything below
	change sync.Cond
	queue  net.Buffers
	size   int   // bytes of it
	closed bool  // nothing more will be added
	err    error // of writing; nothing is kept after that
}

func newReplies(w io.Writer) *replies {
	r := &replies{w: w, done: make(chan struct{})}
	r.change.L = &r.mu
	go r.send()
	return r
}

// add takes over the message b.
func (r *replies) add(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.size > maxQueued && r.err == nil && !r.closed {
		r.change.Wait()
	}
	if r.err == nil && !r.closed {
		r.queue = append(r.queue, b)
		r.size += len(b)
		r.change.Broadcast()
	}
}

// close waits until what was added has been written, or could not be.
func (r *replies) close() {
	r.mu.Lock()
	r.closed = true
	r.change.Broadcast()
	r.mu.Unlock()
	<-r.done
}

func (r *replies) send() {
	defer close(r.done)
	var spare net.Buffers
	for {
		r.mu.Lock()
		for len(r.queue) == 0 && !r.closed && r.err == nil {
			r.change.Wait()
		}
		if len(r.queue) == 0 || r.err != nil {
			r.mu.Unlock()
			return
		}
		batch := r.queue
		r.queue, r.size = spare[:0], 0
		r.change.Broadcast()
		r.mu.Unlock()
		rest := batch
		_, err := rest.WriteTo(r.w)
		clear(batch)
		spare = batch
		if err != nil {
			r.mu.Lock()
			r.err, r.queue = err, nil
			r.change.Broadcast()
			r.mu.Unlock()
		}
	}
}
