package faultproxy

import (
	"context"
	"sync"
	"sync/atomic"
)

// watch lets goroutines wait for conditions; whoever may have made one true calls touch.
type watch struct {
	waiters atomic.Int32 // touch costs nothing while it is 0
	mu      sync.Mutex   // guards ch
	ch      chan struct{}
}

// wait returns nil as soon as cond holds, or the context's error.
func (w *watch) wait(ctx context.Context, cond func() bool) error {
	w.waiters.Add(1)
	defer w.waiters.Add(-1)
	for {
		w.mu.Lock()
		if w.ch == nil {
			w.ch = make(chan struct{})
		}
		ch := w.ch
		w.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *watch) touch() {
	if w.waiters.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ch != nil {
		close(w.ch)
		w.ch = nil
	}
}
