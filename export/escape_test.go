package export

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// outside makes DIR and beside it a tree that nobody may reach.
func outside(t *testing.T) (dir, secret string) {
	t.Helper()
	top := t.TempDir()
	dir, secret = filepath.Join(top, "dir"), filepath.Join(top, "secret")
	mustMkdir(t, dir)
	mustMkdir(t, secret)
	mustWrite(t, filepath.Join(secret, "f"), "secret")
	return dir, secret
}

func untouched(t *testing.T, secret string) {
	t.Helper()
	names, _ := os.ReadDir(secret)
	got, _ := os.ReadFile(filepath.Join(secret, "f"))
	if len(names) != 1 || string(got) != "secret" {
		t.Errorf("outside of DIR: %v, %q", names, got)
	}
	checkMode(t, filepath.Join(secret, "f"), unix.S_IFREG|0o600)
}

func TestSymlinksLeadNowhere(t *testing.T) {
	dir, secret := outside(t)
	links := map[string]string{"abs": secret, "rel": "../secret", "file": "../secret/f", "up": "..", "proc": "/proc/self/root", "dangling": "../secret/new"}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	_, sock := serve(t, dir, Options{})
	root := mount(t, sock)
	rawRoot := raw(t, dir, Options{})
	for name, to := range links {
		for _, r := range []p9.File{root, rawRoot} {
			if _, _, err := r.Walk([]string{name, "f"}); err == nil {
				t.Errorf("walked through %s", name)
			}
			l := walk(t, r, name)
			if got, err := l.Readlink(); got != to || err != nil {
				t.Errorf("Readlink %s: %q %v", name, got, err)
			}
			if _, _, err := l.Open(p9.ReadOnly); err == nil {
				t.Errorf("opened %s", name)
			}
			_, _, attr, _ := l.GetAttr(p9.AttrMaskAll)
			if attr.Mode&p9.FileModeMask != p9.ModeSymlink {
				t.Errorf("GetAttr followed %s: %o", name, attr.Mode)
			}
			if _, _, _, err := walk(t, r).Create(name, p9.ReadWrite|flagTrunc, 0o600, p9.NoUID, p9.NoGID); err == nil {
				t.Errorf("created through %s", name)
			}
			l.SetAttr(p9.SetAttrMask{Permissions: true}, p9.SetAttr{Permissions: 0o777})
			l.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{})
			l.SetAttr(p9.SetAttrMask{MTime: true}, p9.SetAttr{})
			if _, err := l.Mkdir("x", 0o700, p9.NoUID, p9.NoGID); err == nil {
				t.Errorf("mkdir below %s", name)
			}
			if err := r.RenameAt("nothing", l, "x"); err == nil {
				t.Errorf("rename below %s", name)
			}
			if err := r.Link(l, "hard-"+name); err == nil { // a name for the link, not for the target
				checkLink(t, filepath.Join(dir, "hard-"+name))
				r.UnlinkAt("hard-"+name, 0)
			}
		}
	}
	if os.Geteuid() == 0 { // the link gets the owner, not the target
		if err := walk(t, root, "file").SetAttr(p9.SetAttrMask{UID: true, GID: true}, p9.SetAttr{UID: 4242, GID: 4242}); err != nil {
			t.Errorf("chown of a link: %v", err)
		}
		checkOwner(t, filepath.Join(dir, "file"), 4242, 4242)
		checkOwner(t, filepath.Join(secret, "f"), 0, 0)
	}
	p := dial(t, sock)
	p.call(tversion, noTag, appendString(u32s(8192), "9P2000.L"))
	p.fails(tattach, attachBody(0, "/rel", noFid), linux.ELOOP)
	p.fails(tattach, attachBody(0, "abs/f", noFid), linux.ENOTDIR)
	p.fails(tattach, attachBody(0, "../secret", noFid), linux.EINVAL)
	untouched(t, secret)
}

func checkLink(t *testing.T, path string) {
	t.Helper()
	if fi, err := os.Lstat(path); err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Errorf("%s: %v %v", path, fi, err)
	}
}

// TestSwappedComponentsLeadNowhere: a local user swaps a directory for a symlink
// to the outside, again and again, while a client works through the name.
func TestSwappedComponentsLeadNowhere(t *testing.T) {
	dir, secret := outside(t)
	at := func(n string) string { return filepath.Join(dir, n) }
	mustMkdir(t, at("real"))
	mustWrite(t, at("real/f"), "public")
	os.Symlink("../secret", at("link"))
	os.Symlink("real", at("name"))
	_, sock := serve(t, dir, Options{})
	root := mount(t, sock)

	swap := background(func() {
		unix.Renameat2(unix.AT_FDCWD, at("real"), unix.AT_FDCWD, at("link"), unix.RENAME_EXCHANGE)
		unix.Renameat2(unix.AT_FDCWD, at("real"), unix.AT_FDCWD, at("link"), unix.RENAME_EXCHANGE)
	})
	defer swap.end()
	reached := 0
	deadline := time.Now().Add(patience)
	for i := 0; i < 1500 && time.Now().Before(deadline); i++ {
		_, d, err := root.Walk([]string{"real"})
		if err != nil {
			t.Fatalf("walk: %v", err)
		}
		if _, f, err := d.Walk([]string{"f"}); err == nil {
			reached++
			if _, _, err := f.Open(p9.ReadWrite); err == nil {
				var b [6]byte
				if n, _ := f.ReadAt(b[:], 0); string(b[:n]) != "public" {
					t.Fatalf("read %q", b[:n])
				}
				f.WriteAt([]byte("public"), 0)
			}
			f.SetAttr(p9.SetAttrMask{Permissions: true}, p9.SetAttr{Permissions: 0o644})
			f.Close()
		}
		if g, _, _, err := d.Create("g", p9.ReadWrite, 0o600, p9.NoUID, p9.NoGID); err == nil {
			g.Close() // d itself
			continue
		}
		d.UnlinkAt("g", 0)
		d.Mkdir("h", 0o700, p9.NoUID, p9.NoGID)
		d.Close()
	}
	if reached == 0 {
		t.Error("the walk never met the directory: this tested nothing")
	}
	untouched(t, secret)
}

// TestMadeObjectIsNotMistakenForAnother: between mkdir and chown a local user puts
// something older in its place.
func TestMadeObjectIsNotMistakenForAnother(t *testing.T) {
	dir := t.TempDir()
	s, err := New(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a, _ := s.Attach()
	defer a.Close()
	root := a.(*File)
	old := filepath.Join(dir, "old")
	mustMkdir(t, old)
	unix.Chmod(old, 0o700)
	var st unix.Statx_t
	unix.Statx(unix.AT_FDCWD, old, 0, statxMask, &st)
	if st.Mask&unix.STATX_BTIME == 0 {
		t.Skip("this file system keeps no birth time, by which the server tells")
	}
	time.Sleep(2 * clockSlack) // so old must become
	_, err = root.make("new", unix.S_IFDIR, 0o777, owner{4242, 4242}, func(int) error {
		return os.Rename(old, filepath.Join(dir, "new"))
	})
	wantErrno(t, "mkdir with a swap", err, 0)
	checkMode(t, filepath.Join(dir, "new"), unix.S_IFDIR|0o700)
	checkOwner(t, filepath.Join(dir, "new"), 0, os.Getegid())

	mustWrite(t, filepath.Join(dir, "precious"), "")
	_, err = root.make("node", unix.S_IFREG, 0o777, owner{4242, 4242}, func(int) error {
		return os.Link(filepath.Join(dir, "precious"), filepath.Join(dir, "node"))
	})
	wantErrno(t, "mknod with a hard link", err, 0)
	checkMode(t, filepath.Join(dir, "precious"), unix.S_IFREG|0o600)
	checkOwner(t, filepath.Join(dir, "precious"), 0, os.Getegid())

	_, err = root.make("link", unix.S_IFLNK, 0o777, owner{4242, 4242}, func(int) error {
		return os.Mkdir(filepath.Join(dir, "link"), 0o700)
	})
	wantErrno(t, "symlink with a directory instead", err, linux.ESTALE)
}

func TestFifoOpenDoesNotHang(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "p"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, sock := serve(t, dir, Options{})
	root := mount(t, sock)
	done := make(chan error, 3)
	for _, flags := range []p9.OpenFlags{p9.ReadOnly, p9.WriteOnly, p9.ReadWrite} {
		f := walk(t, root, "p")
		go func() { _, _, err := f.Open(flags); done <- err }()
	}
	for range 3 {
		select {
		case err := <-done:
			wantErrno(t, "open of a fifo", err, linux.ENXIO)
		case <-time.After(patience):
			t.Fatal("open of a fifo hangs")
		}
	}
}

func TestReadOnlyExportRefusesEveryChange(t *testing.T) {
	dir := t.TempDir()
	mustMkdir(t, filepath.Join(dir, "d"))
	mustWrite(t, filepath.Join(dir, "f"), "text")
	root := raw(t, dir, Options{ReadOnly: true})
	f, d := walk(t, root, "f"), walk(t, root, "d")
	openAs := func(name string, flags p9.OpenFlags) error {
		_, _, err := walk(t, root, name).Open(flags)
		return err
	}
	for what, err := range map[string]error{
		"open for writing":     openAs("f", p9.WriteOnly),
		"open for both":        openAs("f", p9.ReadWrite),
		"open with O_TRUNC":    openAs("f", p9.ReadOnly|flagTrunc),
		"create":               second(first4(root.Create("n", p9.ReadOnly, 0o600, p9.NoUID, p9.NoGID))),
		"mkdir":                second(root.Mkdir("n", 0o700, p9.NoUID, p9.NoGID)),
		"symlink":              second(root.Symlink("x", "n", p9.NoUID, p9.NoGID)),
		"link":                 root.Link(f, "n"),
		"mknod":                second(root.Mknod("n", p9.ModeNamedPipe, 0, 0, p9.NoUID, p9.NoGID)),
		"rename":               root.RenameAt("f", d, "n"),
		"unlink":               root.UnlinkAt("f", 0),
		"rmdir":                root.UnlinkAt("d", unix.AT_REMOVEDIR),
		"set size":             f.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{}),
		"set mode":             f.SetAttr(p9.SetAttrMask{Permissions: true}, p9.SetAttr{}),
		"set owner":            f.SetAttr(p9.SetAttrMask{UID: true}, p9.SetAttr{}),
		"set times":            f.SetAttr(p9.SetAttrMask{MTime: true}, p9.SetAttr{}),
		"set an attribute":     f.SetXattr("user.a", []byte("b"), 0),
		"remove an attribute":  f.RemoveXattr("user.a"),
		"write, open to read":  nil,
		"truncate a directory": d.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{}),
	} {
		if err != nil || what != "write, open to read" {
			wantErrno(t, what, err, linux.EROFS)
		}
	}
	open(t, f, p9.ReadOnly)
	wantErrno(t, "write", second(f.WriteAt([]byte("x"), 0)), linux.EBADF)
	buf := make([]byte, 9)
	if n, err := f.ReadAt(buf, 0); string(buf[:n]) != "text" {
		t.Errorf("read: %q %v", buf[:n], err)
	}
	if st, err := f.Lock(1, p9.ReadLock, 0, 0, 0, ""); st != p9.LockStatusOK || err != nil {
		t.Errorf("read lock: %v %v", st, err)
	}
	names, _ := os.ReadDir(dir)
	if len(names) != 2 {
		t.Errorf("left in DIR: %v", names)
	}
}

func TestNewNamesTheDirectoryItCannotServe(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "f"), "")
	for path, want := range map[string]error{
		filepath.Join(dir, "none"): unix.ENOENT,
		filepath.Join(dir, "f"):    unix.ENOTDIR,
	} {
		_, err := New(path, Options{})
		if !errors.Is(err, want) || err == nil || !contains(err.Error(), path) {
			t.Errorf("New(%s): %v", path, err)
		}
	}
}
