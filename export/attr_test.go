package export

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

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
