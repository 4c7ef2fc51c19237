package writeback

import (
	"context"
	"time"
)

// Drain sends everything that is dirty now and waits until the server has
// acknowledged or refused it. It returns the file's verdict: nil only if the
// server has acknowledged every byte. It waits for a lost connection until the
// hold time runs out.
func (f *File) Drain(ctx context.Context) error {
	f.mu.Lock()
	epoch := f.newEpochLocked()
	f.mu.Unlock()
	return f.drain(ctx, epoch)
}

// Sync makes everything durable that was stored before the call: it tries again
// what was refused, drains, and sends a Tfsync. It returns nil only if the
// server has acknowledged all of it and a Tfsync that came after. With
// Options.Trust no Tfsync is sent: what is acknowledged is taken for durable.
func (f *File) Sync(ctx context.Context) error {
	f.mu.Lock()
	epoch := f.newEpochLocked()
	f.retryLocked(true)
	f.changedLocked()
	f.mu.Unlock()
	for {
		if err := f.drain(ctx, epoch); err != nil {
			return err
		}
		if f.fl.o.Trust {
			return nil
		}
		if link, _ := f.fl.link(); !link.Up && f.durable(epoch) {
			return nil
		}
		if _, err := f.fl.awaitUp(ctx); err != nil {
			return err
		}
		c := f.commit()
		select {
		case <-c.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		switch {
		case disconnected(c.err):
		case c.err != nil:
			return c.err
		case f.durable(epoch): // else the connection was lost between the two
			return f.Verdict()
		}
	}
}

// durable reports whether nothing stored up to epoch still needs a Twrite or a
// Tfsync, refused bytes excepted.
func (f *File) durable(epoch uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set.durable(epoch) && f.trunc == nil
}

// Verdict returns the server's newest refusal while bytes are failed, and nil
// otherwise.
func (f *File) Verdict() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.verdictLocked()
}

func (f *File) verdictLocked() error {
	if f.trunc != nil && f.trunc.err != nil {
		return f.trunc.err
	}
	if f.set.bytes[failed] > 0 {
		return f.refusal
	}
	return nil
}

func (f *File) newEpochLocked() uint64 {
	e := f.epoch
	f.epoch++
	return e
}

// drain waits until nothing stored up to epoch is dirty or in flight.
func (f *File) drain(ctx context.Context, epoch uint64) error {
	f.mu.Lock()
	f.urgent++
	f.mu.Unlock()
	f.fl.kick()
	defer func() {
		f.mu.Lock()
		f.urgent--
		f.mu.Unlock()
		f.fl.kick()
	}()
	for {
		link, _ := f.fl.link()
		f.mu.Lock()
		stuck := f.trunc != nil && f.trunc.err != nil // extents wait for the truncation
		resending := f.trunc != nil && f.trunc.resend
		if stuck || f.set.settled(epoch) && !resending {
			defer f.mu.Unlock()
			return f.verdictLocked()
		}
		if !link.Up {
			f.pendLocked(link, time.Now())
		}
		news := f.newsLocked()
		f.mu.Unlock()
		if err := f.fl.await(ctx, news); err != nil {
			return err
		}
	}
}
