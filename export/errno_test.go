package export

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// TestErrnosAreTheHosts: what the client gets is what a local program would.
func TestErrnosAreTheHosts(t *testing.T) {
	dir := t.TempDir()
	_, sock := serve(t, dir, Options{})
	root := mount(t, sock)
	mustMkdir(t, filepath.Join(dir, "full/x"))
	mustMkdir(t, filepath.Join(dir, "empty"))
	mustWrite(t, filepath.Join(dir, "file"), "x")
	os.Symlink("file", filepath.Join(dir, "sym"))
	unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600)
	unix.Mknod(filepath.Join(dir, "sock"), unix.S_IFSOCK|0o600, 0)

	walkTo := func(names ...string) error {
		_, f, err := root.Walk(names)
		if err == nil {
			f.Close()
		}
		return err
	}
	openAs := func(name string, flags p9.OpenFlags) error {
		_, _, err := walk(t, root, name).Open(flags)
		return err
	}
	openTwice := func(name string) error {
		_, _, err := open(t, walk(t, root, name), p9.ReadOnly).Open(p9.ReadOnly)
		return err
	}
	createAs := func(name string, flags p9.OpenFlags) error {
		f, _, _, err := walk(t, root).Create(name, flags, 0o644, p9.NoUID, p9.NoGID)
		if err == nil {
			f.Close()
		}
		return err
	}
	mkdir := func(name string) error { _, err := root.Mkdir(name, 0o755, p9.NoUID, p9.NoGID); return err }
	long := strings.Repeat("n", 256)
	for _, c := range []struct {
		what string
		err  error
		want linux.Errno
	}{
		{"walk to nothing", walkTo("nothing"), linux.ENOENT},
		{"walk to a long name", walkTo(long), linux.ENAMETOOLONG},
		{"walk to NUL", walkTo("a\x00b"), linux.EINVAL},
		{"walk to ..", walkTo(".."), linux.EINVAL},
		{"walk to .", walkTo("."), linux.EINVAL},
		{"walk to the empty name", walkTo(""), linux.EINVAL},
		{"walk to a/b as one name", walkTo("full/x"), linux.EINVAL},
		{"walk through a file", walkTo("file", "x"), linux.ENOTDIR},
		{"walk through a symlink", walkTo("sym", "x"), linux.ENOTDIR},
		{"walk through nothing", walkTo("nothing", "x"), linux.ENOENT},
		{"walk through a file to ..", walkTo("file", ".."), linux.EINVAL},
		{"open a symlink", openAs("sym", p9.ReadOnly), linux.ELOOP},
		{"open a socket", openAs("sock", p9.ReadOnly), linux.ENXIO},
		{"open twice", openTwice("file"), linux.EBUSY},
		{"open a fifo", openAs("fifo", p9.ReadOnly), linux.ENXIO},
		{"open a fifo to write", openAs("fifo", p9.ReadWrite), linux.ENXIO},
		{"open a directory to write", openAs("full", p9.WriteOnly), linux.EISDIR},
		{"open a file as a directory", openAs("file", flagDirectory), linux.ENOTDIR},
		{"create below an open directory", second(first4(open(t, walk(t, root, "empty"), p9.ReadOnly).Create("x", p9.ReadWrite, 0o644, p9.NoUID, p9.NoGID))), linux.EBUSY},
		{"create over an existing name, O_EXCL", createAs("file", p9.ReadWrite|flagExcl), linux.EEXIST},
		{"create over an existing name", createAs("file", p9.ReadWrite), 0},
		{"create over a directory", createAs("full", p9.ReadWrite), linux.EISDIR},
		{"create over a symlink", createAs("sym", p9.ReadWrite), linux.ELOOP},
		{"create over a fifo", createAs("fifo", p9.WriteOnly), linux.ENXIO},
		{"create a long name", createAs(long, p9.ReadWrite), linux.ENAMETOOLONG},
		{"mkdir over an existing name", mkdir("full"), linux.EEXIST},
		{"unlink nothing", root.UnlinkAt("nothing", 0), linux.ENOENT},
		{"unlink a directory", root.UnlinkAt("empty", 0), linux.EISDIR},
		{"rmdir a file", root.UnlinkAt("file", unix.AT_REMOVEDIR), linux.ENOTDIR},
		{"rmdir a full directory", root.UnlinkAt("full", unix.AT_REMOVEDIR), linux.ENOTEMPTY},
		{"unlink with odd flags", root.UnlinkAt("file", 1), linux.EINVAL},
		{"rename nothing", root.RenameAt("nothing", root, "y"), linux.ENOENT},
		{"rename onto a full directory", root.RenameAt("empty", root, "full"), linux.ENOTEMPTY},
		{"rename a directory onto a file", root.RenameAt("empty", root, "file"), linux.ENOTDIR},
		{"rename a file onto a directory", root.RenameAt("file", root, "empty"), linux.EISDIR},
		{"rename a directory into itself", root.RenameAt("full", walk(t, root, "full", "x"), "y"), linux.EINVAL},
		{"rename to ..", root.RenameAt("file", root, ".."), linux.EINVAL},
		{"link a directory", root.Link(walk(t, root, "full"), "l"), linux.EPERM},
		{"link onto an existing name", root.Link(walk(t, root, "file"), "sym"), linux.EEXIST},
		{"symlink to the empty path", second(root.Symlink("", "e", p9.NoUID, p9.NoGID)), linux.ENOENT},
		{"symlink to a long path", second(root.Symlink(strings.Repeat("a/", 2100), "e", p9.NoUID, p9.NoGID)), linux.ENAMETOOLONG},
		{"mknod a directory", second(root.Mknod("e", p9.ModeDirectory|0o755, 0, 0, p9.NoUID, p9.NoGID)), linux.EPERM},
		{"mknod a symlink", second(root.Mknod("e", p9.ModeSymlink|0o755, 0, 0, p9.NoUID, p9.NoGID)), linux.EINVAL},
		{"readlink of a file", second(walk(t, root, "file").Readlink()), linux.EINVAL},
		{"truncate a directory", walk(t, root, "full").SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{}), linux.EISDIR},
		{"truncate beyond 2^63", walk(t, root, "file").SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{Size: 1 << 63}), linux.EINVAL},
		{"a time of 2 s in nanoseconds", walk(t, root, "file").SetAttr(p9.SetAttrMask{MTime: true, MTimeNotSystemTime: true}, p9.SetAttr{MTimeNanoSeconds: 2e9}), linux.EINVAL},
		{"mode of a symlink", walk(t, root, "sym").SetAttr(p9.SetAttrMask{Permissions: true}, p9.SetAttr{Permissions: 0o600}), linux.EOPNOTSUPP},
		{"fsync of what is not open", walk(t, root, "file").FSync(), linux.EBADF},
	} {
		wantErrno(t, c.what, c.err, c.want)
	}
	checkMode(t, filepath.Join(dir, "file"), unix.S_IFREG|0o600)
	if got, err := os.ReadFile(filepath.Join(dir, "file")); string(got) != "x" {
		t.Errorf("file: %q %v", got, err)
	}
}

// TestRawFileErrnos: what the core would answer itself, or never asks.
func TestRawFileErrnos(t *testing.T) {
	dir := t.TempDir()
	mustMkdir(t, filepath.Join(dir, "d"))
	mustWrite(t, filepath.Join(dir, "file"), "x")
	os.Symlink("file", filepath.Join(dir, "sym"))
	unix.Mknod(filepath.Join(dir, "sock"), unix.S_IFSOCK|0o600, 0)
	root := raw(t, dir, Options{})
	openAs := func(name string, flags p9.OpenFlags) error {
		_, _, err := walk(t, root, name).Open(flags)
		return err
	}
	rw := open(t, walk(t, root, "file"), p9.ReadWrite)
	ro := open(t, walk(t, root, "file"), p9.ReadOnly)
	wo := open(t, walk(t, root, "file"), p9.WriteOnly)
	d := open(t, walk(t, root, "d"), p9.ReadOnly)
	buf := make([]byte, 8)
	read := func(f p9.File, off int64) error { return second(f.ReadAt(buf, off)) }
	write := func(f p9.File, off int64) error { return second(f.WriteAt(buf, off)) }
	for _, c := range []struct {
		what string
		err  error
		want linux.Errno
	}{
		{"open a symlink", openAs("sym", p9.ReadOnly), linux.ELOOP},
		{"open a socket", openAs("sock", p9.ReadOnly), linux.ENXIO},
		{"open with access mode 3", openAs("file", 3), linux.EINVAL},
		{"open twice", second(first2(rw.Open(p9.ReadOnly))), linux.EBUSY},
		{"truncate a directory by open", openAs("d", flagTrunc), linux.EISDIR},
		{"walk through a file", second(first2(root.Walk([]string{"file", "x"}))), linux.ENOTDIR},
		{"read before 0", read(rw, -1), linux.EINVAL},
		{"read beyond 2^63", read(rw, 1<<63-4), linux.EINVAL},
		{"write before 0", write(rw, -5), linux.EINVAL},
		{"read what is open for writing", read(wo, 0), linux.EBADF},
		{"write what is open for reading", write(ro, 0), linux.EBADF},
		{"read a directory", read(d, 0), linux.EISDIR},
		{"read what is not open", read(walk(t, root, "file"), 0), linux.EBADF},
		{"readdir of a file", second(rw.Readdir(0, 100)), linux.ENOTDIR},
		{"readdir at -1", second(d.Readdir(1<<64-1, 100)), linux.EINVAL},
		{"create below a file", second(first4(walk(t, root, "file").Create("x", p9.ReadWrite, 0o600, p9.NoUID, p9.NoGID))), linux.ENOTDIR},
		{"mkdir of NUL", second(root.Mkdir("a\x00b", 0o600, p9.NoUID, p9.NoGID)), linux.EINVAL},
		{"symlink that says NUL", second(root.Symlink("a\x00b", "z", p9.NoUID, p9.NoGID)), linux.EINVAL},
		{"lock of an odd type", second(rw.Lock(1, 9, 0, 0, 0, "")), linux.EINVAL},
		{"a forged detour", second(rw.Lock(1, detourLock, 0, 0, 0, "")), linux.EINVAL},
		{"lock beyond 2^63", second(rw.Lock(1, p9.WriteLock, 0, 1<<63, 1, "")), linux.EINVAL},
		{"lock of what is not open", second(walk(t, root, "file").Lock(1, p9.ReadLock, 0, 0, 0, "")), linux.EBADF},
	} {
		wantErrno(t, c.what, c.err, c.want)
	}
}

func second[T any](_ T, err error) error { return err }

func first2[A, B any](a A, _ B, err error) (A, error) { return a, err }

func first4[A, B, C any](a A, _ B, _ C, err error) (A, error) { return a, err }
