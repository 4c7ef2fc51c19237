package fusefs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// maxTogether is how many files a command is busy with at a time.
const maxTogether = 16

// forEach does something with every file, several at a time, and returns all
// errors.
func forEach(l []*file, do func(f *file) error) error {
	var g errgroup.Group
	g.SetLimit(maxTogether)
	var mu sync.Mutex
	var errs []error
	for _, f := range l {
		g.Go(func() error {
			if err := do(f); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("%q: %w", f.fid.Path(), err))
				mu.Unlock()
			}
			return nil
		})
	}
	g.Wait()
	return errors.Join(errs...)
}

// sync makes durable what was stored in f; see FS.Sync.
func (f *file) sync(ctx context.Context, collect bool) error {
	if f.wb == nil {
		return nil
	}
	if collect && f.writable() {
		f.fsys.invalidateKernel(ctx, f)
	}
	if f.wb.Clean() {
		return nil
	}
	return f.wb.Sync(ctx)
}

func (fsys *FS) ctlSync(ctx context.Context, l []*file) (string, error) {
	if err := forEach(l, func(f *file) error { return f.sync(ctx, true) }); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s synced", files(len(l))), nil
}

// ctlRetry has what was refused sent again, and does not wait for it.
func (fsys *FS) ctlRetry(_ context.Context, l []*file) (string, error) {
	n := 0
	for _, f := range l {
		if f.wb.Verdict() != nil {
			n++
		}
		f.wb.Retry()
	}
	return fmt.Sprintf("%s with refused bytes, which are sent again", files(n)), nil
}

// ctlDiscard drops what the server has not made durable. The kernel's dirty pages
// are collected before, lest they come later; afterwards it forgets what it has,
// so that programs see the server's bytes when the command answers.
func (fsys *FS) ctlDiscard(ctx context.Context, l []*file) (string, error) {
	var bytes, n atomic.Int64
	err := forEach(l, func(f *file) error {
		if f.writable() {
			fsys.invalidateKernel(ctx, f)
		}
		if f.wb.Clean() {
			return nil
		}
		dropped, err := f.wb.Discard(ctx, 0, -1)
		if err != nil {
			return err
		}
		if bytes.Add(dropped); dropped > 0 {
			n.Add(1)
		}
		f.attr(ctx) // the size may be another now; who looks next is told if that fails
		fsys.invalidateKernel(ctx, f)
		return nil
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d bytes of %s dropped", bytes.Load(), files(int(n.Load()))), nil
}

// ctlDrop forgets clean pages, here and in the kernel. No byte is lost by it.
func (fsys *FS) ctlDrop(ctx context.Context, l []*file) (string, error) {
	err := forEach(l, func(f *file) error {
		fsys.invalidateKernel(ctx, f)
		f.pages.Invalidate(0, 1<<63-1)
		return ctx.Err()
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("clean pages of %s dropped", files(len(l))), nil
}

func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}
