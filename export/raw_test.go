package export_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"

	"p9mapfs/export"
)

func TestAnOpenFileSurvivesRenameReplacementAndRemoval(t *testing.T) {
	tr := newTree(t, export.Options{})
	tr.furnish()
	f := tr.open(p9.ReadWrite, "file")
	was, _, _, err := f.GetAttr(p9.AttrMaskAll)
	tr.must(err)
	tr.must(tr.root.RenameAt("file", tr.walk("dir"), "elsewhere"))
	tr.must(os.Rename(tr.path("other"), tr.path("dir/elsewhere"))) // on the host: f has no name now
	tr.write("file", "a new one")
	if _, err := f.WriteAt([]byte("still"), 0); err != nil {
		t.Fatal(err)
	}
	tr.must(f.FSync())
	tr.must(f.SetAttr(p9.SetAttrMask{Size: true, Permissions: true}, p9.SetAttr{Size: 7, Permissions: 0o600}))
	buf := make([]byte, 16)
	n, err := f.ReadAt(buf, 0)
	if err != nil && err != io.EOF || string(buf[:n]) != "still\x00\x00" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
	is, _, a, err := f.GetAttr(p9.AttrMaskAll)
	if err != nil || is.Path != was.Path || a.NLink != 0 || a.Mode.Permissions() != 0o600 {
		t.Errorf("attributes %v %v, %v", is, a, err)
	}
	if got, err := os.ReadFile(tr.path("file")); err != nil || string(got) != "a new one" {
		t.Errorf("the new file says %q, %v", got, err)
	}
}

func TestXattrsGoThereAndBack(t *testing.T) {
	tr := newTree(t, export.Options{})
	tr.furnish()
	for _, name := range []string{"file", "dir"} {
		f := tr.walk(name)
		long := bytes.Repeat([]byte("v"), 2000)
		tr.must(f.SetXattr("user.long", long, 0))
		tr.must(f.SetXattr("user.empty", nil, p9.XattrCreate))
		got, err := f.GetXattr("user.long")
		if err != nil || !bytes.Equal(got, long) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if got, err = f.GetXattr("user.empty"); err != nil || len(got) != 0 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		tr.must(f.RemoveXattr("user.empty"))
		l, err := f.ListXattrs()
		have := map[string]bool{}
		for _, n := range l {
			have[n] = true
		}
		if err != nil || !have["user.long"] || have["user.empty"] {
			t.Errorf("%s: list %q, %v", name, l, err)
		}
	}
	if l, err := tr.walk("other").ListXattrs(); err != nil || len(l) != 0 {
		t.Errorf("list of none: %q, %v", l, err)
	}
	_, err := tr.walk("fifo").ListXattrs() // must not open it
	wantErrno(t, "list of a fifo", err, 0)
}

func TestLocksOfTwoFilesExcludeEachOther(t *testing.T) {
	tr := newTree(t, export.Options{})
	tr.furnish()
	a, b := tr.open(p9.ReadWrite, "file"), tr.open(p9.ReadWrite, "file")
	lock := func(f p9.File, typ p9.LockType, start, length uint64, want p9.LockStatus) {
		t.Helper()
		got, err := f.Lock(1, typ, p9.LockFlagsBlock, start, length, "test")
		if err != nil || got != want {
			t.Errorf("lock %v %d+%d: %v, %v; want %v", typ, start, length, got, err, want)
		}
	}
	lock(a, p9.WriteLock, 0, 10, p9.LockStatusOK)
	lock(b, p9.WriteLock, 10, 10, p9.LockStatusOK)
	lock(b, p9.ReadLock, 9, 1, p9.LockStatusBlocked)
	lock(a, p9.ReadLock, 0, 5, p9.LockStatusOK) // downgrades a half
	lock(b, p9.ReadLock, 0, 5, p9.LockStatusOK)
	lock(b, p9.ReadLock, 0, 0, p9.LockStatusBlocked) // to the end: 5..9 is a's
	lock(a, p9.Unlock, 0, 0, p9.LockStatusOK)
	lock(b, p9.WriteLock, 0, 0, p9.LockStatusOK)
	lock(a, p9.ReadLock, 1<<40, 1, p9.LockStatusBlocked)
	b.Close() // its locks go with it
	lock(a, p9.WriteLock, 0, 0, p9.LockStatusOK)
	_, err := a.Lock(1, p9.ReadLock, 0, 1<<63, 1, "")
	wantErrno(t, "lock beyond 2^63", err, linux.EINVAL)
	_, err = a.Lock(1, 77, 0, 0, 1, "")
	wantErrno(t, "lock of no type", err, linux.EINVAL)
	_, err = tr.walk("file").Lock(1, p9.ReadLock, 0, 0, 1, "")
	wantErrno(t, "lock of a fid not open", err, linux.EBADF)
}

func TestASymlinkIsNeverARoad(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	tr := newTree(t, export.Options{})
	for name, target := range map[string]string{"abs": outside, "file": outside + "/secret", "up": "../..", "dangling": outside + "/made", "magic": "/proc/self/root"} {
		tr.must(os.Symlink(target, tr.path(name)))
		l := tr.walk(name)
		if got, err := l.Readlink(); err != nil || got != target {
			t.Errorf("readlink %s: %q, %v", name, got, err)
		}
		_, _, a, err := l.GetAttr(p9.AttrMaskAll)
		if err != nil || !a.Mode.IsSymlink() {
			t.Errorf("%s: %v, %v", name, a, err)
		}
		if _, _, err := l.Open(p9.ReadOnly); err == nil {
			t.Errorf("%s was opened", name)
		}
		if _, _, err := tr.root.Walk([]string{name, "secret"}); err == nil {
			t.Errorf("walked through %s", name)
		}
		if f, _, _, err := tr.root.Create(name, p9.ReadWrite|unix.O_TRUNC, 0o644, p9.NoUID, p9.NoGID); err == nil {
			f.Close()
			t.Errorf("created through %s", name)
		}
		if err := l.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{}); err == nil {
			t.Errorf("truncated through %s", name)
		}
		_ = l.SetAttr(p9.SetAttrMask{Permissions: true}, p9.SetAttr{Permissions: 0o777})
		_ = l.SetAttr(p9.SetAttrMask{MTime: true, MTimeNotSystemTime: true}, p9.SetAttr{MTimeSeconds: 1})
		_ = l.SetXattr("user.x", []byte("x"), 0)
		tr.must(tr.root.Link(l, "h"+name)) // links the symlink itself
		tr.must(tr.root.UnlinkAt("h"+name, 0))
	}
	st, err := os.Stat(filepath.Join(outside, "secret"))
	if err != nil || st.Size() != 6 || st.Mode().Perm() != 0o600 || st.ModTime().Unix() == 1 {
		t.Errorf("the outside was altered: %v, %v", st, err)
	}
	if l, err := os.ReadDir(outside); err != nil || len(l) != 1 {
		t.Errorf("the outside has %v, %v", l, err)
	}
}
