package interop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"p9mapfs/p9client"
)

// patience is how long a case may take.
const patience = 60 * time.Second

// A rig is what a case works with: a directory of the server's that is its own, and a fid of it.
type rig struct {
	*testing.T
	ctx     context.Context
	server  *server
	peer    peer
	session *p9client.Session
	export  string // the exported directory
	dir     string // the case's own, below it
	top     *p9client.Fid
	asked   *sync.Map // which declarations the cases looked at
	here    sync.Map  // of them, the deviations that this case met
}

func newRig(t *testing.T, s *server, p peer, session *p9client.Session, export, caseName string) *rig {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	r := &rig{T: t, ctx: ctx, server: s, peer: p, session: session, export: export, dir: filepath.Join(export, dirName(caseName))}
	r.ok(os.Mkdir(r.dir, 0o777))
	r.ok(os.Chmod(r.dir, 0o777))
	t.Cleanup(func() {
		if err := os.RemoveAll(r.dir); err != nil {
			t.Error(err)
		}
	})
	r.top = r.walkFrom(session.Root(), filepath.Base(r.dir))
	return r
}

// ok fails the case if there is an error.
func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// wants fails the case if the error is not errno, or what the server declares to answer in that situation.
func (r *rig) wants(err error, errno syscall.Errno, situation string) {
	r.Helper()
	if declared, ok := r.server.answers[situation]; ok {
		r.asked.Store(situation, true)
		errno = declared
	}
	if errno == 0 && err == nil {
		return
	}
	if errno == 0 || !errors.Is(err, errno) {
		var got syscall.Errno
		errors.As(err, &got)
		r.Errorf("%s: %v (%d), want %v (%d)", situation, err, int(got), errno, int(errno))
	}
}

// is fails the case if the error is another one.
func (r *rig) is(err, want error) {
	r.Helper()
	if !errors.Is(err, want) {
		r.Errorf("%v, want %v", err, want)
	}
}

// deviates reports whether the server declares to do something else than Linux in what.
func (r *rig) deviates(what string) bool {
	_, ok := r.server.deviates[what]
	if ok {
		r.asked.Store(what, true)
		r.here.Store(what, true)
	}
	return ok
}

// lacks reports whether the server declares to lack a capability.
func (r *rig) lacks(c capability) bool {
	_, ok := r.server.lacks[c]
	return ok
}

// expectRefusal runs an attempt that must fail with errno and change nothing; or, if errno is notJudged, succeed.
func (r *rig) expectRefusal(attempt func() error, errno syscall.Errno) {
	r.Helper()
	before := r.contents()
	err := attempt()
	if errno == notJudged {
		if err != nil {
			r.Errorf("declared as let pass: %v", err)
		}
		return
	}
	if !errors.Is(err, errno) {
		var got syscall.Errno
		errors.As(err, &got)
		r.Errorf("declared as lacking: %v (%d), want %v (%d)", err, int(got), errno, int(errno))
	}
	if after := r.contents(); after != before {
		r.Errorf("it was refused, but the directory was\n%s and is\n%s", before, after)
	}
}

// contents tells what is in the case's directory.
func (r *rig) contents() (s string) {
	r.ok(filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		if err == nil && path != r.dir {
			st := i.Sys().(*syscall.Stat_t)
			s += fmt.Sprintf("%q %v %d %d %d %d %v\n", path[len(r.dir):], i.Mode(), st.Nlink, st.Uid, st.Gid, st.Size, i.ModTime())
		}
		return err
	}))
	return s
}

// host is the path on the server's side of what is below the case's directory.
func (r *rig) host(names ...string) string {
	return filepath.Join(append([]string{r.dir}, names...)...)
}

// put makes a file on the server's side.
func (r *rig) put(name, content string) {
	r.Helper()
	r.ok(os.WriteFile(r.host(name), []byte(content), 0o666))
}

// has checks a file on the server's side.
func (r *rig) has(name, content string) {
	r.Helper()
	if b, err := os.ReadFile(r.host(name)); err != nil || string(b) != content {
		r.Errorf("the server's %q is %.100q, %v; want %.100q", name, b, err, content)
	}
}

// exists checks whether a name is there on the server's side.
func (r *rig) exists(name string, want bool) {
	r.Helper()
	if _, err := os.Lstat(r.host(name)); (err == nil) != want {
		r.Errorf("%q: %v; it is to be there: %v", name, err, want)
	}
}

func (r *rig) keep(f *p9client.Fid, err error) *p9client.Fid {
	r.Helper()
	r.ok(err)
	r.Cleanup(f.Clunk)
	return f
}

func (r *rig) walkFrom(f *p9client.Fid, names ...string) *p9client.Fid {
	r.Helper()
	g, err := f.Walk(r.ctx, names...)
	return r.keep(g, err)
}

// walk returns a fid below the case's directory, clunked at the end of the case.
func (r *rig) walk(names ...string) *p9client.Fid {
	r.Helper()
	return r.walkFrom(r.top, names...)
}

func (r *rig) open(name string, flags uint32) *p9client.Fid {
	r.Helper()
	f := r.walk(name)
	r.ok(f.Open(r.ctx, flags))
	return f
}

// create makes a file and opens it for reading and writing.
func (r *rig) create(name string) *p9client.Fid {
	r.Helper()
	f, err := r.top.Create(r.ctx, name, syscall.O_RDWR|syscall.O_EXCL, 0o644, 0)
	return r.keep(f, err)
}

func (r *rig) mkdir(name string) *p9client.Fid {
	r.Helper()
	_, err := r.top.Mkdir(r.ctx, name, 0o755, 0)
	r.ok(err)
	return r.walk(name)
}

func (r *rig) write(f *p9client.Fid, s string, off int64) {
	r.Helper()
	if n, err := f.WriteAt(r.ctx, []byte(s), off); n != len(s) || err != nil {
		r.Fatalf("wrote %d of %d at %d: %v", n, len(s), off, err)
	}
}

// reads checks what is at off; s must not go beyond the end of the file.
func (r *rig) reads(f *p9client.Fid, s string, off int64) {
	r.Helper()
	b := make([]byte, len(s))
	if n, err := f.ReadAt(r.ctx, b, off); n != len(s) || err != nil || string(b) != s {
		r.Errorf("read %d at %d: %.100q, %v; want %.100q", n, off, b[:n], err, s)
	}
}

func (r *rig) attr(f *p9client.Fid) p9client.Attr {
	r.Helper()
	a, err := f.GetAttr(r.ctx)
	r.ok(err)
	return a
}

// stat is what the server's side says of a name.
func (r *rig) stat(name string) *syscall.Stat_t {
	r.Helper()
	var st syscall.Stat_t
	r.ok(syscall.Lstat(r.host(name), &st))
	return &st
}
