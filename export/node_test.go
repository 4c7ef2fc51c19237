package export

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
)

// fdsIn counts the descriptors of this process that lead below dir.
func fdsIn(t *testing.T, dir string) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && len(to) >= len(dir) && to[:len(dir)] == dir {
			n++
		}
	}
	return n
}

// tight makes a server that keeps few descriptors, with file handles or without.
func tight(t *testing.T, dir string, handles bool) p9.File {
	t.Helper()
	s, err := New(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.paths.max = 8
	if !handles {
		s.paths.mountFD = -1
	}
	root, err := s.Attach()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// TestMoreFidsThanDescriptors: a thousand fids on eight descriptors are still the
// files they were, wherever their names went.
func TestMoreFidsThanDescriptors(t *testing.T) {
	for _, handles := range []bool{true, false} {
		t.Run(fmt.Sprintf("handles=%v", handles), func(t *testing.T) {
			dir := t.TempDir()
			mustMkdir(t, filepath.Join(dir, "a/b"))
			root := tight(t, dir, handles)
			b := walk(t, root, "a", "b")
			var files [1000]p9.File
			var inos [1000]uint64
			for i := range files {
				name := fmt.Sprintf("f%03d", i)
				mustWrite(t, filepath.Join(dir, "a/b", name), name)
				files[i] = walk(t, b, name)
				q, _, _, err := files[i].GetAttr(p9.AttrMaskAll)
				if err != nil {
					t.Fatal(err)
				}
				inos[i] = q.Path
			}
			if n := fdsIn(t, dir); n > 12 {
				t.Errorf("%d descriptors are open", n)
			}
			// Renames of a parent and of files, told to the Files as the core does.
			if err := root.RenameAt("a", root, "z"); err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(files); i += 3 {
				from, to := fmt.Sprintf("f%03d", i), fmt.Sprintf("g%03d", i)
				if err := b.RenameAt(from, b, to); err != nil {
					t.Fatal(err)
				}
				files[i].Renamed(b, to)
			}
			if !handles { // what the core does for a's fids
				walkedA := b.(*File).node.parent
				walkedA.moved(root.(*File).node, "z")
			}
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					for i := w; i < len(files); i += 4 {
						q, _, _, err := files[i].GetAttr(p9.AttrMaskAll)
						if err != nil || q.Path != inos[i] {
							t.Errorf("file %d: %v %v, inode was %d", i, q, err, inos[i])
							return
						}
					}
				})
			}
			wg.Wait()
			// A name that another file has now is not followed.
			name := filepath.Join(dir, "z/b/f001")
			files[1].Close()
			files[1] = walk(t, b, "f001")
			for _, f := range files[500:600] { // push it out
				f.GetAttr(p9.AttrMaskAll)
			}
			os.Remove(name)
			mustWrite(t, name, "impostor")
			_, _, _, err := files[1].GetAttr(p9.AttrMaskAll)
			wantErrno(t, "a file replaced while its descriptor was put away", err, linux.ESTALE)
			// What is open stays, whatever happens.
			open(t, files[2], p9.ReadWrite)
			os.Remove(filepath.Join(dir, "z/b/f002"))
			for _, f := range files[500:600] {
				f.GetAttr(p9.AttrMaskAll)
			}
			if _, _, attr, err := files[2].GetAttr(p9.AttrMaskAll); err != nil || attr.Size != 4 {
				t.Errorf("an open file: %v %v", attr, err)
			}
			for _, f := range files {
				f.Close()
			}
			b.Close()
			if n := fdsIn(t, dir); n > 2 { // the root and the descriptor for handles
				t.Errorf("%d descriptors are left", n)
			}
		})
	}
}

func TestCirclesOfParentsEnd(t *testing.T) {
	dir := t.TempDir()
	mustMkdir(t, filepath.Join(dir, "a"))
	mustMkdir(t, filepath.Join(dir, "b"))
	root := tight(t, dir, false)
	a, b := walk(t, root, "a"), walk(t, root, "b")
	a.Renamed(b, "a")
	b.Renamed(a, "b")
	for _, f := range []p9.File{a, b} {
		n := f.(*File).node
		n.paths.mu.Lock()
		n.putAway()
		n.paths.mu.Unlock()
	}
	_, _, _, err := a.GetAttr(p9.AttrMaskAll)
	wantErrno(t, "a circle", err, linux.ESTALE)
}

func TestClosedServerLeavesNoDescriptors(t *testing.T) {
	dir := t.TempDir()
	t.Run("serve", func(t *testing.T) {
		_, sock := serve(t, dir, Options{})
		root := mount(t, sock)
		for i := range 50 {
			f := create(t, root, fmt.Sprint(i), p9.ReadWrite)
			f.Lock(1, p9.WriteLock, 0, 0, 0, "")
			open(t, walk(t, root), p9.ReadOnly)
			walk(t, root, fmt.Sprint(i))
		}
		if n := fdsIn(t, dir); n < 100 {
			t.Errorf("only %d descriptors: this tests nothing", n)
		}
	})
	if n := fdsIn(t, dir); n != 0 {
		t.Errorf("%d descriptors are left", n)
	}
}
