package interop

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"syscall"
	"time"

	"p9mapfs/p9client"
)

// interruptTime is how long an interrupted call may go on; p9client promises 0.8 s, on a machine that has time.
const interruptTime = 20 * time.Second

var interruptCases = []testCase{
	{name: "calls to a stopped server can be interrupted, and their fids go on", verbs: "Tflush", run: func(r *rig) {
		for _, name := range []string{"file", "written", "old", "unopened"} {
			r.put(name, "content")
		}
		file, unopened, dir := r.open("file", syscall.O_RDWR), r.walk("unopened"), r.quietDir()
		// The server may obey these much later: nothing else is to happen to their file.
		written := r.open("written", syscall.O_RDWR)
		calls := map[string]func(ctx context.Context) error{
			"read":      func(ctx context.Context) error { return ignore(file.ReadAt(ctx, make([]byte, 7), 0)) },
			"long read": func(ctx context.Context) error { return ignore(file.ReadAt(ctx, make([]byte, 9*file.MaxIO()), 0)) },
			"write":     func(ctx context.Context) error { return ignore(written.WriteAt(ctx, []byte("content"), 0)) },
			"fsync":     func(ctx context.Context) error { return written.Sync(ctx, false) },
			"getattr":   func(ctx context.Context) error { return ignore(file.GetAttr(ctx)) },
			"setattr":   func(ctx context.Context) error { return written.Truncate(ctx, 7) },
			"walk":      func(ctx context.Context) error { return ignore(r.top.Walk(ctx, "file")) },
			"open":      func(ctx context.Context) error { return unopened.Open(ctx, syscall.O_RDONLY) },
			"readdir":   func(ctx context.Context) error { _, _, err := dir.ReadDir(ctx, 0, 4096); return err },
			"create": func(ctx context.Context) error {
				return ignore(r.top.Create(ctx, "created", syscall.O_RDWR|syscall.O_EXCL, 0o644, 0))
			},
			"mkdir":  func(ctx context.Context) error { return ignore(r.top.Mkdir(ctx, "dir", 0o755, 0)) },
			"rename": func(ctx context.Context) error { return r.top.Rename(ctx, "old", r.top, "new") },
		}
		more, _ := r.optionalCalls()
		maps.Copy(calls, more)
		r.peer.Pause()
		errs := interruptAll(r.ctx, calls)
		r.peer.Continue()
		for name, err := range errs {
			r.wants(err, syscall.EINTR, "interrupted "+name)
		}
		if g := r.session.Link(); !g.Up {
			r.Error("the connection was given up")
		}
		r.reads(file, "content", 0)
		r.write(file, "CONTENT", 0)
		r.has("file", "CONTENT")
		r.reads(written, "content", 0)
		if l := r.list(dir, 4096); len(l) != 4 {
			r.Errorf("listed %+v", l)
		}
		r.eitherName("old", "new")
		f, err := r.top.Create(r.ctx, "created", syscall.O_RDWR, 0o644, 0)
		r.keep(f, err)
		r.write(f, "content", 0)
		r.has("created", "content")
	}},
	{name: "interrupts at any moment spoil nothing", verbs: "Tflush Tread Twrite", run: func(r *rig) {
		f := r.create("file")
		r.inParallel(func(w int) error {
			for round := range 20 {
				ctx, cancel := context.WithCancel(r.ctx)
				stop := time.AfterFunc(time.Duration((w*7+round*13)%40)*50*time.Microsecond, cancel)
				err := interruptible(ctx, f, w)
				stop.Stop()
				cancel()
				if err != nil {
					return err
				}
			}
			want := fmt.Sprintf("worker %03d", w)
			if _, err := f.WriteAt(r.ctx, []byte(want), int64(w*64)); err != nil {
				return err
			}
			got := make([]byte, len(want))
			if _, err := f.ReadAt(r.ctx, got, int64(w*64)); err != nil || string(got) != want {
				return fmt.Errorf("read %q: %w", got, err)
			}
			return nil
		})
	}},
}

// interruptAll starts calls, ends their context and returns what each said, or that it did not end.
func interruptAll(parent context.Context, calls map[string]func(ctx context.Context) error) map[string]error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	var mu sync.Mutex // guards errs
	errs := map[string]error{}
	var wg sync.WaitGroup
	for name, call := range calls {
		wg.Go(func() {
			err := call(ctx)
			mu.Lock()
			defer mu.Unlock()
			errs[name] = err
		})
	}
	time.Sleep(50 * time.Millisecond) // for most to be sent; the outcome must be the same for the others
	began := time.Now()
	cancel()
	wg.Wait()
	if d := time.Since(began); d > interruptTime {
		errs["all"] = fmt.Errorf("it took %v until all had ended", d)
	}
	return errs
}

// interruptible writes and reads one worker's place; that it was interrupted is no error.
func interruptible(ctx context.Context, f *p9client.Fid, w int) error {
	b := fmt.Appendf(nil, "worker %03d", w)
	_, err := f.WriteAt(ctx, b, int64(w*64))
	if err == nil {
		_, err = f.ReadAt(ctx, b, int64(w*64))
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// eitherName checks that a file has one of two names, and the session sees that one too.
func (r *rig) eitherName(a, b string) {
	r.Helper()
	there := ""
	for _, name := range []string{a, b} {
		f, err := r.top.Walk(r.ctx, name)
		if err == nil {
			f.Clunk()
			there += name
			r.has(name, "content")
		}
	}
	if there != a && there != b {
		r.Errorf("there is %q, of %q and %q", there, a, b)
	}
}
