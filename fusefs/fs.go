package fusefs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	errjournal "p9mapfs/errors"
	"p9mapfs/p9client"
	"p9mapfs/pagecache"
	"p9mapfs/writeback"
)

// Options are how a session is shown. Zero values mean the defaults.
type Options struct {
	Source        string         // what df and mount show as the device
	AllowOther    bool           // let other users in
	ReadOnly      bool           // refuse every change with EROFS
	AttrTimeout   time.Duration  // how long the kernel may keep names and attributes; 1 s, below 0: not at all
	CloseTimeout  time.Duration  // how long close(2) may wait for the server; 10 s
	WritebackWait time.Duration  // how long a WRITE of the kernel's write-back may wait for room; 10 s
	Interruptible bool           // any signal ends a request, not only fatal ones
	MagicPrefix   string         // of the names of the magic files; "."
	LogLevel      *slog.LevelVar // of Log, for .ctl to change; nil: it cannot
	KernelAhead   int            // KiB that the kernel reads ahead, where sysfs lets us say so; 1024
	Cache         pagecache.Options
	Writeback     writeback.Options
	Journal       errjournal.Options
	Log           *slog.Logger // nil: silent
}

func (o Options) withDefaults() Options {
	def := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	def(&o.AttrTimeout, time.Second)
	def(&o.CloseTimeout, 10*time.Second)
	def(&o.WritebackWait, 10*time.Second)
	o.AttrTimeout = max(o.AttrTimeout, 0)
	if o.MagicPrefix == "" {
		o.MagicPrefix = "."
	}
	if o.KernelAhead == 0 {
		o.KernelAhead = 1024
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Writeback.Pin = p9client.AtGeneration
	o.Writeback.Log = o.Log
	return o
}

// An FS is a mounted session.
type FS struct {
	o       Options
	session *p9client.Session
	journal *errjournal.Journal
	cache   *pagecache.Cache
	flusher *writeback.Flusher
	server  *fuse.Server
	ctx     context.Context // of our goroutines; ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	notices notices
	since   time.Time // when it was mounted
	shadows shadows
	syncs   syncs
	foreign foreignXattrs

	mu    sync.Mutex
	files map[fileKey]*file
	idle  map[*file]struct{} // no node and no handle: to be closed once clean
}

// Mount shows the session at dir, which must be a directory. The session stays
// the caller's, and must outlive the FS.
func Mount(dir string, session *p9client.Session, o Options) (*FS, error) {
	o = o.withDefaults()
	root := session.Root()
	if root.Qid().Type&p9client.QTDIR == 0 {
		return nil, errors.New("the attached tree is a file, not a directory; see --aname")
	}
	if o.Writeback.MaxWrite == 0 {
		o.Writeback.MaxWrite = root.MaxIO()
	}
	fsys := &FS{
		o: o, session: session,
		journal: errjournal.New(o.Journal), cache: pagecache.New(o.Cache), flusher: writeback.New(o.Writeback),
		notices: notices{kicked: make(chan struct{}, 1)}, files: make(map[fileKey]*file), idle: make(map[*file]struct{}),
		since: time.Now(),
	}
	fsys.ctx, fsys.cancel = context.WithCancel(context.Background())
	f := fsys.file(root.Qid(), root)
	n := &node{fsys: fsys, f: f}
	f.known = true
	raw := fs.NewNodeFS(n, &fs.Options{
		EntryTimeout: &o.AttrTimeout, AttrTimeout: &o.AttrTimeout, NullPermissions: true,
		RootStableAttr: &fs.StableAttr{Ino: ino(root.Qid())},
	})
	server, err := fuse.NewServer(&rawFS{raw}, dir, fsys.mountOptions())
	if err != nil {
		fsys.end()
		return nil, fmt.Errorf("cannot mount on %s: %w", dir, err)
	}
	fsys.server = server
	fsys.wg.Go(fsys.watchLink)
	fsys.wg.Go(fsys.notify)
	fsys.wg.Go(fsys.reap)
	fsys.wg.Go(func() { fsys.lookForShadows(n) })
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		server.Unmount()
		server.Wait()
		fsys.end()
		return nil, fmt.Errorf("cannot mount on %s: %w", dir, err)
	}
	tuneKernel(dir, o.KernelAhead, o.Log)
	return fsys, nil
}

func (fsys *FS) mountOptions() *fuse.MountOptions {
	o := fsys.o
	m := &fuse.MountOptions{
		AllowOther: o.AllowOther, FsName: o.Source, Name: "p9mapfs",
		MaxWrite: 1 << 20, MaxBackground: 128, MaxReadAhead: 1 << 20,
		ExplicitDataCacheControl: true, DisableSplice: true, DirectMount: true,
		ExtraCapabilities: killpriv,
		Options:           []string{"default_permissions"},
	}
	if o.ReadOnly {
		m.Options = append(m.Options, "ro")
	}
	return m
}

// Journal returns the mount's journal.
func (fsys *FS) Journal() *errjournal.Journal { return fsys.journal }

// Wait returns when the file system was unmounted.
func (fsys *FS) Wait() { fsys.server.Wait() }

// Unmount unmounts. It fails with EBUSY while programs use the mount. Where a copy
// of the mount lives on in another mount namespace, the file system does not end:
// Unmount then returns ctx's cause, with the mount gone from this namespace.
func (fsys *FS) Unmount(ctx context.Context) error {
	ended := make(chan error, 1)
	fsys.wg.Go(func() { ended <- fsys.server.Unmount() })
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Held returns the bytes that the server has not acknowledged, those of them it
// refused, and those it has acknowledged but not made durable.
func (fsys *FS) Held() (held, failed, unstable int64) { return fsys.flusher.Held() }

// Sync has the kernel hand over the dirty pages of every file, if collect is true,
// and makes everything durable. The error is that of every file that failed.
func (fsys *FS) Sync(ctx context.Context, collect bool) error {
	return forEach(fsys.all(), func(f *file) error { return f.sync(ctx, collect) })
}

// Close ends everything after the file system was unmounted. Bytes that are
// still held are gone with it: Sync first.
func (fsys *FS) Close() {
	fsys.server.Wait()
	fsys.end()
}

func (fsys *FS) end() {
	fsys.cancel()
	fsys.wg.Wait()
	fsys.cache.Close()
	fsys.flusher.Close()
	// The fids end with the session: to clunk them might wait for a dead server.
}

// watchLink tells the flusher how the connection stands.
func (fsys *FS) watchLink() {
	for {
		news := fsys.session.LinkChanged()
		l := fsys.session.Link()
		fsys.flusher.SetLink(writeback.Link{Up: l.Up, Generation: l.Generation, HoldUntil: l.HoldUntil, Err: l.Err})
		select {
		case <-news:
		case <-fsys.ctx.Done():
			return
		}
	}
}

// rawFS says what go-fuse's nodes cannot. It marks WRITEs of the kernel's
// write-back: their caller is pid 0.
type rawFS struct{ fuse.RawFileSystem }

// Lookup and GetAttr say that nothing may be kept of magic files.

func (r *rawFS) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	status := r.RawFileSystem.Lookup(cancel, in, name, out)
	if out.EntryTimeout() == uncached {
		out.SetEntryTimeout(0)
		out.SetAttrTimeout(0)
	}
	return status
}

func (r *rawFS) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	status := r.RawFileSystem.GetAttr(cancel, in, out)
	if out.Timeout() == uncached {
		out.SetTimeout(0)
	}
	return status
}

func (r *rawFS) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if in.WriteFlags&fuse.WRITE_CACHE != 0 {
		in.Pid = 0
	}
	return r.RawFileSystem.Write(cancel, in, data)
}
