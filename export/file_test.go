package export

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hugelgupf/p9/p9"
)

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
