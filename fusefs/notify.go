package fusefs

import (
	"context"
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

// notify is the only goroutine that talks to the kernel first. The kernel writes
// dirty pages before it answers, and those WRITEs are requests to us.
func (fsys *FS) notify() {
	var queue []notice
	for {
		var out notice
		if len(queue) > 0 {
			out, queue = queue[0], queue[1:]
			fsys.tell(out)
			continue
		}
		select {
		case <-fsys.ctx.Done():
			return
		case n := <-fsys.notices:
			queue = append(queue, n)
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
	fsys.wg.Go(func() {
		select {
		case fsys.notices <- n:
		case <-fsys.ctx.Done():
		}
	})
}

// invalidateKernel makes the kernel hand over f's dirty pages and forget the
// rest, and waits until it did or ctx ends. No lock may be held.
func (fsys *FS) invalidateKernel(ctx context.Context, f *file) {
	done := make(chan struct{})
	select {
	case fsys.notices <- notice{f: f, done: done}:
	case <-ctx.Done():
		return
	case <-fsys.ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	case <-fsys.ctx.Done():
	}
}
