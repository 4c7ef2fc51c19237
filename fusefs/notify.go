package fusefs

import (
	"context"
	"sync"
	"syscall"
)

// A notice asks the kernel to hand over the dirty pages of a range and to forget
// the others; n of 0 means to the end.
type notice struct {
	f      *file
	off, n int64
	stale  bool          // only if the kernel has not been told yet of what f.stale counts
	done   chan struct{} // closed afterwards, if not nil
}

// notices are what the kernel has yet to be told, in the order in which that was
// asked for: who waits for one has waited for those before it too. An invalidation
// that came later would have the kernel throw away the attributes it then asks for.
type notices struct {
	kicked chan struct{} // capacity 1: there may be one

	mu    sync.Mutex
	queue []notice
}

func (q *notices) add(n notice) {
	q.mu.Lock()
	q.queue = append(q.queue, n)
	q.mu.Unlock()
	select {
	case q.kicked <- struct{}{}:
	default:
	}
}

func (q *notices) take() (n notice, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return n, false
	}
	n, q.queue = q.queue[0], q.queue[1:]
	return n, true
}

// notify is the only goroutine that talks to the kernel first. The kernel writes
// dirty pages before it answers, and those WRITEs are requests to us.
func (fsys *FS) notify() {
	for {
		if n, ok := fsys.notices.take(); ok {
			fsys.tell(n)
			continue
		}
		select {
		case <-fsys.notices.kicked:
		case <-fsys.ctx.Done():
			return
		}
	}
}

// tell does not ask twice because of one change: the kernel takes no attributes
// from a reply to a question that it asked before a notice, and a reader who had
// just asked for the new size would go on with the old one.
func (fsys *FS) tell(n notice) {
	fsys.mu.Lock()
	node := n.f.node
	fsys.mu.Unlock()
	n.f.mu.Lock()
	stale := n.f.stale
	known := n.f.cleared == stale
	n.f.mu.Unlock()
	if n.stale && known {
		return
	}
	if node != nil {
		// ENOENT: the kernel does not know the inode any more.
		if errno := node.NotifyContent(n.off, n.n); errno != 0 && errno != syscall.ENOENT {
			fsys.o.Log.Warn("kernel refuses to invalidate", "file", n.f.fid.Path(), "err", errno)
		}
	}
	if n.off == 0 && n.n == 0 {
		n.f.mu.Lock()
		n.f.cleared = max(n.f.cleared, stale)
		n.f.mu.Unlock()
	}
	if n.done != nil {
		close(n.done)
	}
}

// noticeLater has the notifier tell the kernel, without waiting for it.
func (fsys *FS) noticeLater(n notice) {
	fsys.notices.add(n)
}

// invalidateKernel makes the kernel hand over f's dirty pages and forget the
// rest, and waits until it did or ctx ends. No lock may be held.
func (fsys *FS) invalidateKernel(ctx context.Context, f *file) {
	done := make(chan struct{})
	fsys.notices.add(notice{f: f, done: done})
	select {
	case <-done:
	case <-ctx.Done():
	case <-fsys.ctx.Done():
	}
}
