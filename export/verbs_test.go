package export

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

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
