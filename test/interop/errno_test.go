package interop

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"p9mapfs/p9client"
)

const nobody = 65534

var errnoCases = []testCase{
	{name: "a read-only file system refuses every change", verbs: "Tlopen Tlcreate Tsetattr Tmkdir Tunlinkat Trenameat", run: func(r *rig) {
		name := readOnlyMount
		if r.deviates(bindMounts) {
			name = readOnlyFS
		}
		ro := r.walkFrom(r.session.Root(), name)
		r.refusesChanges(ro)
		f := r.walkFrom(ro, "file")
		r.ok(f.Open(r.ctx, syscall.O_RDONLY))
		r.reads(f, "unchanging", 0)
	}},
	{name: "what the server has mounted below the export is there", verbs: "Twalk", run: func(r *rig) {
		fs := r.walkFrom(r.session.Root(), readOnlyFS)
		f, err := fs.Walk(r.ctx, "file")
		if r.deviates(mountPoints) {
			r.wants(err, syscall.ENOENT, "walk below a mount point")
			return
		}
		r.keep(f, err)
		r.ok(f.Open(r.ctx, syscall.O_RDONLY))
		r.reads(f, "unchanging", 0)
	}},
	{name: "a full file system says so and goes on when there is room", verbs: "Twrite", run: func(r *rig) {
		small := r.walkFrom(r.session.Root(), "small")
		f, err := small.Create(r.ctx, "file", syscall.O_RDWR, 0o644, 0)
		r.keep(f, err)
		n, err := f.WriteAt(r.ctx, make([]byte, 3<<20), 0)
		r.wants(err, syscall.ENOSPC, "write to a full file system")
		if n > 1<<20 {
			r.Errorf("%d bytes were taken, there is room for %d", n, 1<<20)
		}
		r.ok(f.Truncate(r.ctx, 0))
		r.write(f, "room again", 0)
		r.reads(f, "room again", 0)
		r.ok(f.Sync(r.ctx, false))
		r.ok(os.Remove(filepath.Join(r.export, "small", "file")))
	}},
	{name: "a rename or link to another file system is refused", verbs: "Trenameat", run: func(r *rig) {
		r.put("file", "content")
		small := r.walkFrom(r.session.Root(), "small")
		r.wants(r.top.Rename(r.ctx, "file", small, "file"), syscall.EXDEV, "rename to another file system")
		if !r.lacks(hardLinks) {
			r.wants(small.Link(r.ctx, r.walk("file"), "file"), syscall.EXDEV, "link to another file system")
		}
		r.has("file", "content")
	}},
	{name: "what the attached user may not do is refused", verbs: "Tlopen Tattach Tlcreate Tsetattr Tunlinkat", needs: users, run: func(r *rig) {
		r.ok(os.Mkdir(r.host("roots"), 0o755))
		r.put("roots/private", "secret")
		r.ok(os.Chmod(r.host("roots/private"), 0o600))
		d := r.asNobody("roots")
		f := r.walkFrom(d, "private")
		r.wants(f.Open(r.ctx, syscall.O_RDONLY), syscall.EACCES, "open of another user's private file")
		r.wants(ignore(d.Create(r.ctx, "new", syscall.O_RDWR, 0o644, nobody)), syscall.EACCES, "create in another user's directory")
		r.wants(ignore(d.Mkdir(r.ctx, "new dir", 0o755, nobody)), syscall.EACCES, "mkdir in another user's directory")
		r.wants(d.Unlink(r.ctx, "private", 0), syscall.EACCES, "unlink in another user's directory")
		r.wants(r.walkFrom(d, "private").SetAttr(r.ctx, p9client.SetAttr{Valid: p9client.SetMode, Mode: 0o777}), syscall.EPERM, "chmod of another user's file")
		r.has("roots/private", "secret")
	}, refused: func(r *rig) func() error {
		r.ok(os.Mkdir(r.host("roots"), 0o755))
		r.put("roots/private", "secret")
		r.ok(os.Chmod(r.host("roots/private"), 0o600))
		f := r.walkFrom(r.asNobody("roots"), "private")
		return func() error { return f.Open(r.ctx, syscall.O_RDONLY) }
	}},
	{name: "what another user makes is his", verbs: "Tlcreate Tattach Tmkdir", needs: owners, run: func(r *rig) {
		d := r.asNobody()
		f, err := d.Create(r.ctx, "file", syscall.O_RDWR, 0o600, nobody)
		r.keep(f, err)
		r.write(f, "his", 0)
		_, err = d.Mkdir(r.ctx, "dir", 0o700, nobody)
		r.ok(err)
		for _, name := range []string{"file", "dir"} {
			if st := r.stat(name); st.Uid != nobody || st.Gid != nobody {
				r.Errorf("%s belongs to %d.%d, want %d.%d", name, st.Uid, st.Gid, nobody, nobody)
			}
		}
		r.has("file", "his")
	}, refused: func(r *rig) func() error {
		d := r.asNobody()
		return func() error { return ignore(d.Create(r.ctx, "file", syscall.O_RDWR, 0o600, nobody)) }
	}},
	{name: "errors keep the verb, the path and the errno", verbs: "Twalk Tlopen", run: func(r *rig) {
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		_, err := r.walk("dir").Walk(r.ctx, "missing")
		var e *p9client.Error
		if !errors.As(err, &e) || e.Op != "Twalk" || e.Errno != syscall.ENOENT || filepath.Base(e.Path) != "dir" || e.Disconnected() {
			r.Errorf("%#v", err)
		}
	}},
}

// asNobody attaches as a user without rights and returns his fid of names below the case's directory.
func (r *rig) asNobody(names ...string) *p9client.Fid {
	r.Helper()
	o := rootUser(r.peer)
	o.Uname, o.NUname = "nobody", nobody
	s := dial(r.T, r.peer, o)
	return r.walkFrom(s.Root(), append([]string{filepath.Base(r.dir)}, names...)...)
}

// refusesChanges checks that whatever would change something below dir, which has "file", "file 2" and "dir", is EROFS.
func (r *rig) refusesChanges(dir *p9client.Fid) {
	r.Helper()
	f := r.walkFrom(dir, "file")
	changes := map[string]func() error{
		"open for writing":  func() error { return r.walkFrom(dir, "file").Open(r.ctx, syscall.O_WRONLY) },
		"open with O_TRUNC": func() error { return r.walkFrom(dir, "file").Open(r.ctx, syscall.O_RDWR|syscall.O_TRUNC) },
		"create":            func() error { return ignore(dir.Create(r.ctx, "new", syscall.O_RDWR, 0o644, 0)) },
		"mkdir":             func() error { return ignore(dir.Mkdir(r.ctx, "new", 0o755, 0)) },
		"unlink":            func() error { return dir.Unlink(r.ctx, "file", 0) },
		"rmdir":             func() error { return dir.Unlink(r.ctx, "dir", unix.AT_REMOVEDIR) },
		"rename":            func() error { return dir.Rename(r.ctx, "file", dir, "new") },
		"truncate":          func() error { return f.Truncate(r.ctx, 1) },
	}
	for capability, more := range map[capability]map[string]func() error{
		chmod:        {"chmod": func() error { return f.SetAttr(r.ctx, p9client.SetAttr{Valid: p9client.SetMode, Mode: 0o600}) }},
		setTimes:     {"set times": func() error { return f.SetAttr(r.ctx, p9client.SetAttr{Valid: p9client.SetMtime}) }},
		symlinks:     {"symlink": func() error { return ignore(dir.Symlink(r.ctx, "new", "x", 0)) }},
		hardLinks:    {"link": func() error { return dir.Link(r.ctx, f, "new") }},
		specialFiles: {"mknod": func() error { return ignore(dir.Mknod(r.ctx, "new", syscall.S_IFIFO|0o600, 0, 0, 0)) }},
	} {
		if r.lacks(capability) {
			continue
		}
		for name, change := range more {
			changes[name] = change
		}
	}
	for name, change := range changes {
		r.wants(change(), syscall.EROFS, "read-only: "+name)
	}
}
