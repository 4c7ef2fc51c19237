package export

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

func TestEveryVerbWorksThroughTheCore(t *testing.T) {
	dir := t.TempDir()
	_, sock := serve(t, dir, Options{})
	root := mount(t, sock)

	qid, err := root.Mkdir("d", 0o1755, p9.NoUID, p9.NoGID)
	if err != nil || qid.Type != p9.TypeDir {
		t.Fatalf("Mkdir: %v %v", qid, err)
	}
	checkQID(t, "Mkdir", qid, filepath.Join(dir, "d"))
	checkMode(t, filepath.Join(dir, "d"), unix.S_IFDIR|0o1755)

	d := walk(t, root, "d")
	f, qid, _, err := walk(t, d).Create("f", p9.ReadWrite, 0o666, p9.NoUID, p9.NoGID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checkQID(t, "Create", qid, filepath.Join(dir, "d/f"))
	checkMode(t, filepath.Join(dir, "d/f"), unix.S_IFREG|0o666)

	data := bytes.Repeat([]byte("mapped page "), 300_000) // several messages
	if n, err := f.WriteAt(data, 7); n != len(data) || err != nil {
		t.Fatalf("WriteAt: %d %v", n, err)
	}
	got := make([]byte, len(data)+100)
	n, err := f.ReadAt(got, 7)
	if n != len(data) || !bytes.Equal(got[:n], data) {
		t.Fatalf("ReadAt: %d of %d, %v", n, len(data), err)
	}
	if err := f.FSync(); err != nil {
		t.Errorf("FSync: %v", err)
	}

	qid, err = d.Symlink("../../anywhere", "s", p9.NoUID, p9.NoGID)
	if err != nil || qid.Type != p9.TypeSymlink {
		t.Errorf("Symlink: %v %v", qid, err)
	}
	checkQID(t, "Symlink", qid, filepath.Join(dir, "d/s"))
	if target, err := walk(t, d, "s").Readlink(); target != "../../anywhere" || err != nil {
		t.Errorf("Readlink: %q %v", target, err)
	}
	qid, err = d.Mknod("p", p9.ModeNamedPipe|0o622, 0, 0, p9.NoUID, p9.NoGID)
	if err != nil {
		t.Errorf("Mknod: %v", err)
	}
	checkQID(t, "Mknod", qid, filepath.Join(dir, "d/p"))
	checkMode(t, filepath.Join(dir, "d/p"), unix.S_IFIFO|0o622)

	if err := d.Link(walk(t, d, "f"), "f2"); err != nil {
		t.Errorf("Link: %v", err)
	}
	_, mask, attr, err := walk(t, d, "f2").GetAttr(p9.AttrMaskAll)
	if err != nil || attr.NLink != 2 || attr.Size != uint64(len(data)+7) || !mask.Mode {
		t.Errorf("GetAttr: %v %v %v", mask, attr, err)
	}
	if !mask.BTime || attr.BTimeSeconds == 0 {
		t.Logf("no birth time on this file system")
	}
	if err := d.RenameAt("f2", root, "g"); err != nil {
		t.Errorf("RenameAt: %v", err)
	}
	if err := walk(t, root, "g").Rename(d, "h"); err != nil { // Trename
		t.Errorf("Rename: %v", err)
	}
	if err := d.UnlinkAt("h", 0); err != nil {
		t.Errorf("UnlinkAt: %v", err)
	}
	st, err := root.StatFS()
	var want unix.Statfs_t
	unix.Statfs(dir, &want)
	if err != nil || st.Blocks != want.Blocks || st.NameLength != uint32(want.Namelen) || st.Type != uint32(want.Type) {
		t.Errorf("StatFS: %+v %v, want %+v", st, err, want)
	}
	dd := open(t, walk(t, root, "d"), p9.ReadOnly)
	entries, err := dd.Readdir(0, 1<<16)
	if err != nil || len(entries) != 3 {
		t.Fatalf("Readdir: %v %v", entries, err)
	}
	for _, e := range entries {
		checkQID(t, "Readdir", e.QID, filepath.Join(dir, "d", e.Name))
		if e.Type != map[string]p9.QIDType{"f": unix.DT_REG, "s": unix.DT_LNK, "p": unix.DT_FIFO}[e.Name] {
			t.Errorf("Readdir: %q has type %d", e.Name, e.Type)
		}
	}
	for _, name := range []string{"f", "s", "p"} {
		if err := d.UnlinkAt(name, 0); err != nil {
			t.Errorf("UnlinkAt %s: %v", name, err)
		}
	}
	if err := root.UnlinkAt("d", unix.AT_REMOVEDIR); err != nil {
		t.Errorf("UnlinkAt d: %v", err)
	}
}

func checkQID(t *testing.T, what string, q p9.QID, path string) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	if q.Path != st.Ino || q.Version == 0 {
		t.Errorf("%s: qid %+v, inode %d", what, q, st.Ino)
	}
}

func checkMode(t *testing.T, path string, want uint32) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Mode != want {
		t.Errorf("%s: mode %o, want %o", path, st.Mode, want)
	}
}

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
		{"walk through a file", walkTo("file", "x"), linux.EINVAL}, // the core's word
		{"walk through a symlink", walkTo("sym", "x"), linux.EINVAL},
		{"open a fifo", openAs("fifo", p9.ReadOnly), linux.ENXIO},
		{"open a fifo to write", openAs("fifo", p9.ReadWrite), linux.ENXIO},
		{"open a directory to write", openAs("full", p9.WriteOnly), linux.EISDIR},
		{"open a file as a directory", openAs("file", flagDirectory), linux.ENOTDIR},
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

func second[T any](_ T, err error) error { return err }

func mustMkdir(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func mustWrite(t testing.TB, path, s string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
		t.Fatal(err)
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

func first2[A, B any](a A, _ B, err error) (A, error)         { return a, err }
func first4[A, B, C any](a A, _ B, _ C, err error) (A, error) { return a, err }

func TestModesOwnersAndTimesComeOutAsAsked(t *testing.T) {
	dir := t.TempDir()
	_, sock := serve(t, dir, Options{})
	root := mount(t, sock)
	f := create(t, root, "f", p9.ReadWrite)
	path := filepath.Join(dir, "f")
	for _, mode := range []p9.FileMode{0, 0o444, 0o777, 0o1755} { // 04000 and 02000: hugelgupf's client cannot
		if err := f.SetAttr(p9.SetAttrMask{Permissions: true}, p9.SetAttr{Permissions: mode}); err != nil {
			t.Errorf("SetAttr mode %o: %v", mode, err)
		}
		checkMode(t, path, unix.S_IFREG|uint32(mode))
	}
	// The fid was open for writing: the mode matters no more.
	f.SetAttr(p9.SetAttrMask{Permissions: true}, p9.SetAttr{Permissions: 0o400})
	if err := f.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{Size: 12345}); err != nil {
		t.Errorf("truncate: %v", err)
	}
	set := p9.SetAttrMask{ATime: true, MTime: true, ATimeNotSystemTime: true, MTimeNotSystemTime: true}
	if err := f.SetAttr(set, p9.SetAttr{ATimeSeconds: 1, ATimeNanoSeconds: 2, MTimeSeconds: 1<<64 - 3, MTimeNanoSeconds: 999_999_999}); err != nil {
		t.Errorf("times: %v", err)
	}
	var st unix.Stat_t
	unix.Lstat(path, &st)
	if st.Size != 12345 || st.Atim != (unix.Timespec{Sec: 1, Nsec: 2}) || st.Mtim != (unix.Timespec{Sec: -3, Nsec: 999_999_999}) {
		t.Errorf("after SetAttr: %+v", st)
	}
	_, _, attr, _ := f.GetAttr(p9.AttrMaskAll)
	if int64(attr.MTimeSeconds) != -3 || attr.MTimeNanoSeconds != 999_999_999 || attr.ATimeNanoSeconds != 2 {
		t.Errorf("GetAttr: %v", attr)
	}
	before := time.Now().Add(-time.Second)
	if err := f.SetAttr(p9.SetAttrMask{MTime: true}, p9.SetAttr{}); err != nil {
		t.Errorf("mtime now: %v", err)
	}
	unix.Lstat(path, &st)
	if time.Unix(st.Mtim.Unix()).Before(before) || st.Atim.Sec != 1 {
		t.Errorf("mtime now: %+v", st)
	}
	// An owner the server may not give is kept; root gives it.
	g, _, _, err := walk(t, root).Create("g", p9.ReadWrite, 0o640, 1234, 2345)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	checkOwner(t, filepath.Join(dir, "g"), 1234, 2345)
	checkMode(t, filepath.Join(dir, "g"), unix.S_IFREG|0o640)
	root.Mkdir("h", 0o750, 1234, 2345)
	root.Symlink("x", "i", 1234, 2345)
	root.Mknod("j", p9.ModeNamedPipe|0o640, 0, 0, 1234, 2345)
	for _, n := range []string{"h", "i", "j"} {
		checkOwner(t, filepath.Join(dir, n), 1234, 2345)
	}
	if os.Geteuid() == 0 {
		if err := f.SetAttr(p9.SetAttrMask{UID: true}, p9.SetAttr{UID: 77, GID: 99}); err != nil {
			t.Errorf("chown: %v", err)
		}
		checkOwner(t, path, 77, os.Getegid())
	}
	// In a setgid directory the group is the directory's, and the bit is inherited.
	sg := filepath.Join(dir, "sg")
	mustMkdir(t, sg)
	os.Chown(sg, -1, 555)
	unix.Chmod(sg, 0o2775)
	if _, err := walk(t, root, "sg").Mkdir("d", 0o755, p9.NoUID, 2345); err != nil {
		t.Fatal(err)
	}
	checkMode(t, filepath.Join(sg, "d"), unix.S_IFDIR|0o2755)
	if os.Geteuid() == 0 {
		checkOwner(t, filepath.Join(sg, "d"), 0, 555)
	}
}

func checkOwner(t *testing.T, path string, uid, gid int) {
	t.Helper()
	if os.Geteuid() != 0 {
		uid, gid = os.Geteuid(), os.Getegid()
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	if int(st.Uid) != uid || int(st.Gid) != gid {
		t.Errorf("%s: owner %d:%d, want %d:%d", path, st.Uid, st.Gid, uid, gid)
	}
}

// TestQidVersionTellsChanges: p9mapfs keeps its pages while the version stays.
func TestQidVersionTellsChanges(t *testing.T) {
	dir := t.TempDir()
	root := raw(t, dir, Options{})
	f := create(t, root, "f", p9.ReadWrite)
	version := func() uint32 {
		q, _, attr, err := f.GetAttr(p9.AttrMaskAll)
		if err != nil || q.Version == 0 || attr.DataVersion == 0 {
			t.Fatalf("GetAttr: %+v %v", q, err)
		}
		return q.Version
	}
	change := func(what string, fn func() error) {
		t.Helper()
		was := version()
		deadline := time.Now().Add(patience)
		for { // again, where ctime is coarse
			if err := fn(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if version() != was {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the version stays %d", what, was)
			}
		}
		if now := version(); now != version() {
			t.Errorf("%s: the version changes by itself", what)
		}
	}
	change("write", func() error { return second(f.WriteAt([]byte("a"), 0)) })
	change("write of the same size", func() error { return second(f.WriteAt([]byte("b"), 0)) })
	change("truncate", func() error { return f.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{Size: 9}) })
	change("chmod", func() error { return f.SetAttr(p9.SetAttrMask{Permissions: true}, p9.SetAttr{Permissions: 0o600}) })
	change("a local program", func() error { return os.WriteFile(filepath.Join(dir, "f"), []byte("local"), 0o600) })
}

func TestQidPathKeepsDevicesApart(t *testing.T) {
	seen := map[uint64]bool{}
	for dev := range uint64(50) {
		for ino := range uint64(50) {
			p := qidPath(dev, ino, 7)
			if seen[p] {
				t.Fatalf("device %d inode %d: path %d is taken", dev, ino, p)
			}
			seen[p] = true
			if dev == 7 && p != ino {
				t.Fatalf("inode %d of DIR's device has path %d", ino, p)
			}
		}
	}
}

func TestFileSurvivesRenameAndRemovalWhileOpen(t *testing.T) {
	dir := t.TempDir()
	_, sock := serve(t, dir, Options{})
	root := mount(t, sock)
	mustMkdir(t, filepath.Join(dir, "a/b"))
	f := create(t, walk(t, root, "a", "b"), "f", p9.ReadWrite)
	if _, err := f.WriteAt([]byte("one"), 0); err != nil {
		t.Fatal(err)
	}
	if err := root.RenameAt("a", root, "z"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "z/b/f"), filepath.Join(dir, "elsewhere")); err != nil { // behind the server's back
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("two"), 3); err != nil {
		t.Errorf("write after renames: %v", err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "elsewhere")); string(got) != "onetwo" {
		t.Errorf("elsewhere: %q", got)
	}
	g := create(t, root, "g", p9.ReadWrite)
	if err := root.UnlinkAt("g", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := g.WriteAt([]byte("ghost"), 0); err != nil {
		t.Errorf("write after unlink: %v", err)
	}
	if err := g.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{Size: 2}); err != nil {
		t.Errorf("truncate after unlink: %v", err)
	}
	if err := g.FSync(); err != nil {
		t.Errorf("fsync after unlink: %v", err)
	}
	buf := make([]byte, 9)
	if n, _ := g.ReadAt(buf, 0); string(buf[:n]) != "gh" {
		t.Errorf("read after unlink: %q", buf[:n])
	}
	if _, _, attr, err := g.GetAttr(p9.AttrMaskAll); err != nil || attr.NLink != 0 || attr.Size != 2 {
		t.Errorf("getattr after unlink: %v %v", attr, err)
	}
}

func TestSparseFileBeyond4GiB(t *testing.T) {
	_, sock := serve(t, t.TempDir(), Options{})
	f := create(t, mount(t, sock), "big", p9.ReadWrite)
	const off = 5<<30 + 3
	if n, err := f.WriteAt([]byte("far"), off); n != 3 || err != nil {
		t.Fatalf("write: %d %v", n, err)
	}
	buf := make([]byte, 8)
	if n, err := f.ReadAt(buf, off-5); n != 8 || string(buf) != "\x00\x00\x00\x00\x00far" {
		t.Errorf("read: %d %q %v", n, buf, err)
	}
	_, _, attr, err := f.GetAttr(p9.AttrMaskAll)
	if err != nil || attr.Size != off+3 || attr.Blocks > 1<<12 {
		t.Errorf("attributes: %v %v", attr, err)
	}
	if n, err := f.ReadAt(buf, off+3); n != 0 {
		t.Errorf("read at the end: %d %v", n, err)
	}
}

func TestOddNamesAreNames(t *testing.T) {
	dir := t.TempDir()
	_, sock := serve(t, dir, Options{})
	root := mount(t, sock)
	var odd [255]byte
	for i := range odd {
		odd[i] = byte(i + 1)
	}
	odd['/'-1] = '+'
	names := []string{string(odd[:]), "\xff\xfe", " ", "...", "-rf *", "new\nline", "a\\b", strings.Repeat("é", 127), ".errors"}
	for _, n := range names {
		create(t, root, n, p9.ReadWrite)
		if _, err := os.Lstat(filepath.Join(dir, n)); err != nil {
			t.Errorf("%q: %v", n, err)
		}
	}
	got, err := open(t, walk(t, root), p9.ReadOnly).Readdir(0, 1<<20)
	if err != nil || len(got) != len(names) {
		t.Errorf("Readdir: %d entries, %v", len(got), err)
	}
	for _, n := range names {
		if got.Find(n) == nil {
			t.Errorf("%q is not listed", n)
		}
		if err := root.UnlinkAt(n, 0); err != nil {
			t.Errorf("unlink %q: %v", n, err)
		}
	}
}

func TestAppendAndTruncateFlags(t *testing.T) {
	dir := t.TempDir()
	_, sock := serve(t, dir, Options{})
	root := mount(t, sock)
	mustWrite(t, filepath.Join(dir, "f"), "12345")
	a := open(t, walk(t, root, "f"), p9.WriteOnly|flagAppend)
	if _, err := a.WriteAt([]byte("678"), 0); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "f")); string(got) != "12345678" {
		t.Errorf("append: %q", got)
	}
	open(t, walk(t, root, "f"), p9.WriteOnly|flagTrunc)
	if got, _ := os.ReadFile(filepath.Join(dir, "f")); len(got) != 0 {
		t.Errorf("truncate by open: %q", got)
	}
	mustWrite(t, filepath.Join(dir, "f"), "again")
	create(t, root, "f", p9.ReadWrite|flagTrunc)
	if got, _ := os.ReadFile(filepath.Join(dir, "f")); len(got) != 0 {
		t.Errorf("truncate by create: %q", got)
	}
}
