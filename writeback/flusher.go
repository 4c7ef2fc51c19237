package writeback

import (
	"context"
	"log/slog"
	"sync"
	"time"

	errjournal "p9mapfs/errors"
)

// Remote is one file on the server, reached by the fids its inode owns.
// Its methods may be called concurrently. An error that has a method
// Disconnected() bool returning true means that the connection was lost; every
// other error is a refusal, and its syscall.Errno (errors.As) is the verdict.
type Remote interface {
	// ReadAt is io.ReaderAt with a context: n < len(p) comes with an error,
	// io.EOF at the end of the file.
	ReadAt(ctx context.Context, p []byte, off int64) (n int, err error)
	// WriteAt returns nil only when the server has acknowledged all of p.
	WriteAt(ctx context.Context, p []byte, off int64) (n int, err error)
	Truncate(ctx context.Context, size int64) error
	// Sync returns nil when everything acknowledged before is durable.
	Sync(ctx context.Context) error
}

// Options are the limits of a Flusher. Zero values mean the defaults.
type Options struct {
	Budget     int64 // bytes that may be dirty, in flight or failed; 64 MiB, at least 4 MiB
	Background int64 // bytes above which extents are sent before their Age; Budget/4
	Unstable   int64 // bytes that may be unstable before a Tfsync is sent for them; 64 MiB, more
	// where a Tfsync takes long: see UnstableMost
	UnstableMost int64         // bytes that may be unstable at all, however fast the server takes them; 8 times Unstable
	MaxWrite     int           // bytes of the largest Twrite; 64 KiB
	Workers      int           // Twrites in flight; 16
	Age          time.Duration // after which a dirty extent is sent; 500 ms
	SyncAge      time.Duration // after which an unstable extent gets a Tfsync; 5 s
	Retry        time.Duration // between two attempts at what the server refused; 5 s

	Trust   bool // an acknowledged Twrite counts as durable; no Tfsync is sent
	Through bool // WriteAt waits until the server has answered

	// Pin returns a context in which a Remote's calls fail as disconnected,
	// instead of waiting, unless they run on that generation of the connection.
	// Nil leaves the context as it is: for a Remote that never loses anything.
	Pin func(ctx context.Context, generation uint64) context.Context

	Log *slog.Logger // nil: silent
}

func (o Options) withDefaults() Options {
	def := func(p *int64, v int64) {
		if *p <= 0 {
			*p = v
		}
	}
	defTime := func(p *time.Duration, v time.Duration) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&o.Budget, 64<<20)
	o.Budget = max(o.Budget, 4<<20)
	def(&o.Background, o.Budget/4)
	def(&o.Unstable, 64<<20)
	def(&o.UnstableMost, 8*o.Unstable)
	o.UnstableMost = max(o.UnstableMost, 2*o.Unstable)
	if o.MaxWrite <= 0 {
		o.MaxWrite = 64 << 10
	}
	if o.Workers <= 0 {
		o.Workers = 16
	}
	defTime(&o.Age, 500*time.Millisecond)
	defTime(&o.SyncAge, 5*time.Second)
	defTime(&o.Retry, 5*time.Second)
	if o.Pin == nil {
		o.Pin = func(ctx context.Context, _ uint64) context.Context { return ctx }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Flusher sends the dirty extents of all files of a mount.
type Flusher struct {
	o      Options
	ctx    context.Context // of all I/O; cancelled by Close
	cancel context.CancelFunc
	kicked chan struct{} // capacity 1: the scheduler has something to look at
	work   chan *flight
	wg     sync.WaitGroup

	mu struct {
		sync.Mutex
		queue    []*File // files that have extents or a truncation, in turn
		link     Link
		linkNews chan struct{} // closed when link changes
		room     chan struct{} // closed when held or unstable shrinks; nil if nobody waits
		held     int64
		unstable int64
		covered  int64 // of unstable, what Tfsyncs under way are about
		ours     int   // Tfsyncs under way that nobody asked for
		pace     pace
		failed   int64
	}
}

// New starts a Flusher, with its link up at generation 0.
func New(o Options) *Flusher {
	fl := &Flusher{o: o.withDefaults(), kicked: make(chan struct{}, 1), work: make(chan *flight)}
	fl.ctx, fl.cancel = context.WithCancel(context.Background())
	fl.mu.link = Link{Up: true}
	fl.mu.linkNews = make(chan struct{})
	fl.wg.Go(fl.schedule)
	for range fl.o.Workers {
		fl.wg.Go(fl.worker)
	}
	return fl
}

// Close ends all I/O and joins every goroutine. What is still held is gone with
// it: Sync the files first, or rescue their extents.
func (fl *Flusher) Close() {
	fl.cancel()
	fl.wg.Wait()
}

// Open returns the dirty side of one file, empty. There must be one File per
// inode. The journal log is told of every failure; dropped is called, without
// locks held, for ranges that the server never got and that are held no more.
func (fl *Flusher) Open(r Remote, log *errjournal.Log, dropped func(off, n int64)) *File {
	f := &File{fl: fl, remote: r, log: log, dropped: dropped, truncating: make(chan struct{}, 1)}
	f.epoch = 1
	return f
}

// Held returns the bytes of all files that the server has not acknowledged,
// those of them that it refused, and those acknowledged but not yet durable.
func (fl *Flusher) Held() (held, failed, unstable int64) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return fl.mu.held, fl.mu.failed, fl.mu.unstable
}

func (fl *Flusher) kick() {
	select {
	case fl.kicked <- struct{}{}:
	default:
	}
}
