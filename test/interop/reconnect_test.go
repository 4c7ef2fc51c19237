package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"p9mapfs/p9client"
)

var reconnectCases = []testCase{
	{name: "fids go on after the server was killed and started again", verbs: "Tattach Twalk Tlopen Tread Twrite Tfsync Tgetattr Treaddir Trenameat", run: afterRestart},
	{name: "requests under which the server was killed are answered rightly", verbs: "Tread Twrite Tlopen Tgetattr Tsetattr Treaddir Tlcreate Tmkdir Trenameat", run: underKill},
}

// afterRestart makes fids of every sort, kills the server, starts it again, and uses each.
func afterRestart(r *rig) {
	for _, name := range []string{"file", "trunc", "moved", "other", "gone", "replaced", "a"} {
		r.put(name, "content")
	}
	walked, open, reading := r.walk("file"), r.open("file", syscall.O_RDWR), r.open("file", syscall.O_RDONLY)
	trunc := r.open("trunc", syscall.O_RDWR|syscall.O_TRUNC)
	r.write(trunc, "new", 0)
	created := r.create("created")
	r.write(created, "created", 0)
	moved := r.open("moved", syscall.O_RDWR)
	dir := r.mkdir("dir")
	r.ok(r.top.Rename(r.ctx, "moved", r.top, "moved 2"))
	deep := r.mkdir("deep")
	_, err := deep.Mkdir(r.ctx, "deeper", 0o755, 0)
	r.ok(err)
	r.put("deep/deeper/file", "deep")
	inside := r.walk("deep", "deeper", "file")
	r.ok(inside.Open(r.ctx, syscall.O_RDWR))
	r.ok(r.top.Rename(r.ctx, "deep", r.top, "deep 2"))
	listing := r.openDir()
	first, next, err := listing.ReadDir(r.ctx, 0, 200)
	r.ok(err)
	before := r.session.Link().Generation
	gone := r.open("gone", syscall.O_RDWR)

	r.peer.Kill()
	r.wants(ignore(open.GetAttr(shortly(r))), syscall.ETIMEDOUT, "call while the server is away")
	r.peer.Start()

	r.reads(open, "content", 0)
	r.write(open, "C", 0)
	r.ok(open.Sync(r.ctx, false))
	r.reads(reading, "Content", 0)
	if a := r.attr(walked); a.Size != 7 {
		r.Errorf("walked: %+v", a)
	}
	r.ok(walked.Open(r.ctx, syscall.O_RDONLY))
	r.reads(walked, "Content", 0)
	r.reads(trunc, "new", 0) // not truncated again
	r.write(created, "C", 0)
	r.has("created", "Created")
	r.reads(moved, "content", 0)
	r.reads(inside, "deep", 0)
	r.write(inside, "D", 0)
	r.has("deep 2/deeper/file", "Deep")
	f, err := dir.Create(r.ctx, "new", syscall.O_RDWR, 0o644, 0)
	r.keep(f, err)
	r.ok(r.top.Rename(r.ctx, "other", r.top, "other 2"))
	rest := append(first, r.listFrom(listing, next, 4096)...)
	if n := len(distinct(rest)); n < 8 {
		r.Errorf("listing across the restart: %d names", n)
	}
	r.reads(gone, "content", 0)
	if l := r.session.Link(); l.Generation <= before || !l.Up {
		r.Errorf("link %+v; generation was %d", l, before)
	}
	r.replacedMeanwhile()
}

// replacedMeanwhile checks that a fid does not become one of another file, put in its place while the server was away.
func (r *rig) replacedMeanwhile() {
	r.Helper()
	lost, replaced := r.open("gone", syscall.O_RDWR), r.open("replaced", syscall.O_RDWR)
	r.peer.Kill()
	r.put("another", "other content")
	r.ok(syscall.Unlink(r.host("gone")))
	r.ok(syscall.Rename(r.host("another"), r.host("replaced")))
	r.peer.Start()
	r.wants(ignore(lost.ReadAt(r.ctx, make([]byte, 7), 0)), syscall.ESTALE, "use of a file removed while the server was away")
	r.wants(ignore(replaced.ReadAt(r.ctx, make([]byte, 7), 0)), syscall.ESTALE, "use of a file replaced while the server was away")
	r.reads(r.open("replaced", syscall.O_RDONLY), "other", 0)
}

// shortly is a context that ends soon.
func shortly(r *rig) context.Context {
	ctx, cancel := context.WithTimeout(r.ctx, 50*time.Millisecond)
	r.Cleanup(cancel)
	return ctx
}

// underKill sends one request of each sort to a stopped server, which is then killed and started again. Whether a request was
// written to its socket before does not matter: the outcome must be the same.
func underKill(r *rig) {
	for _, name := range []string{"file", "old", "doomed", "sized", "unopened"} {
		r.put(name, "content")
	}
	file, sized, unopened, listing := r.open("file", syscall.O_RDWR), r.walk("sized"), r.walk("unopened"), r.quietDir()
	b := make([]byte, 7)
	lost := func(err error) error { // what is not sent again by itself says that it was lost
		if e := (*p9client.Error)(nil); errors.As(err, &e) && e.Disconnected() {
			return nil
		}
		return err
	}
	calls := map[string]func() error{
		"read":    func() error { return wrong(ignore(file.ReadAt(r.ctx, b, 0)), string(b) == "content") },
		"write":   func() error { return lost(ignore(file.WriteAt(r.ctx, []byte("tail"), 100))) },
		"fsync":   func() error { return lost(file.Sync(r.ctx, false)) },
		"getattr": func() error { return ignore(file.GetAttr(r.ctx)) },
		"setattr": func() error { return sized.Truncate(r.ctx, 3) },
		"open":    func() error { return unopened.Open(r.ctx, syscall.O_RDWR) },
		"walk": func() error {
			f, err := r.top.Walk(r.ctx, "file")
			if err == nil {
				f.Clunk()
			}
			return err
		},
		"missing": func() error {
			return wrong(nil, errors.Is(ignore(r.top.Walk(r.ctx, "missing")), syscall.ENOENT))
		},
		"readdir": func() error { l, _, err := listing.ReadDir(r.ctx, 0, 8192); return wrong(err, len(l) == 4) },
		"create": func() error {
			f, err := r.top.Create(r.ctx, "created", syscall.O_RDWR|syscall.O_EXCL, 0o644, 0)
			if err == nil {
				f.Clunk()
			}
			return err
		},
		"mkdir":  func() error { return ignore(r.top.Mkdir(r.ctx, "dir", 0o755, 0)) },
		"rename": func() error { return r.top.Rename(r.ctx, "old", r.top, "new") },
	}
	if !r.lacks(removal) {
		calls["unlink"] = func() error { return r.top.Unlink(r.ctx, "doomed", 0) }
	}
	more, made := r.optionalCalls()
	for name, call := range more {
		calls[name] = func() error { return call(r.ctx) }
	}
	r.peer.Pause()
	var wg sync.WaitGroup
	for name, call := range calls {
		wg.Go(func() {
			if err := call(); err != nil {
				r.Errorf("%s: %v", name, err)
			}
		})
	}
	time.Sleep(100 * time.Millisecond) // for most to be in the server's socket
	r.peer.Kill()
	r.peer.Start()
	wg.Wait()
	r.exists("created", true)
	r.exists("dir", true)
	r.has("new", "content")
	r.exists("old", false)
	r.has("sized", "con")
	if calls["unlink"] != nil {
		r.exists("doomed", false)
	}
	r.reads(file, "content", 0)
	r.reads(unopened, "content", 0)
	for _, name := range made {
		r.exists(name, true)
	}
}

// quietDir opens a directory of four names, none of which comes or goes.
func (r *rig) quietDir() *p9client.Fid {
	r.Helper()
	r.ok(os.Mkdir(r.host("quiet"), 0o755))
	for i := range 4 {
		r.put(fmt.Sprint("quiet/", i), "")
	}
	return r.open("quiet", syscall.O_RDONLY)
}

// optionalCalls are calls of verbs that not every server has, and the names that they make.
func (r *rig) optionalCalls() (calls map[string]func(ctx context.Context) error, made []string) {
	r.Helper()
	calls = map[string]func(ctx context.Context) error{}
	r.put("linked", "content")
	if !r.lacks(symlinks) {
		r.ok(os.Symlink("target", r.host("link")))
		link := r.walk("link")
		calls["readlink"] = func(ctx context.Context) error { return ignore(link.Readlink(ctx)) }
		calls["symlink"] = func(ctx context.Context) error { return ignore(r.top.Symlink(ctx, "new symlink", "target", 0)) }
		made = append(made, "new symlink")
	}
	if !r.lacks(hardLinks) {
		linked := r.walk("linked")
		calls["link"] = func(ctx context.Context) error { return r.top.Link(ctx, linked, "new link") }
		made = append(made, "new link")
	}
	if !r.lacks(specialFiles) {
		calls["mknod"] = func(ctx context.Context) error {
			return ignore(r.top.Mknod(ctx, "new fifo", syscall.S_IFIFO|0o600, 0, 0, 0))
		}
		made = append(made, "new fifo")
	}
	if !r.lacks(statfs) {
		calls["statfs"] = func(ctx context.Context) error { return ignore(r.top.StatFS(ctx)) }
	}
	return calls, made
}

// wrong is err, or an error of its own if the result is not right.
func wrong(err error, right bool) error {
	if err == nil && !right || err == io.EOF {
		return fmt.Errorf("a wrong result, %v", err)
	}
	return err
}
