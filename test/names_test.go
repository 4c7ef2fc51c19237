package test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A server may know a fid by its path only, as diod does. What is renamed, or
// loses one of its names, must be found all the same.
func TestFilesAreFoundAfterRenames(t *testing.T) {
	servers(t, func(r *rig) {
		p := func(elem ...string) string { return filepath.Join(append([]string{r.Path}, elem...)...) }
		stat := func(name string, size int64) {
			t.Helper()
			if st, err := os.Stat(p(name)); err != nil || st.Size() != size {
				r.t.Errorf("stat %s: %v, %v", name, st, err)
			}
		}
		r.ok(os.MkdirAll(p("d/sub"), 0o755))
		r.ok(os.WriteFile(p("d/sub/f"), []byte("12345"), 0o644))
		stat("d/sub/f", 5)
		r.ok(os.Rename(p("d/sub/f"), p("d/sub/g")))
		stat("d/sub/g", 5)
		r.ok(os.Chmod(p("d/sub/g"), 0o600))
		r.ok(os.Rename(p("d"), p("e")))
		stat("e/sub/g", 5)
		r.ok(os.WriteFile(p("e/sub/new"), []byte("1"), 0o644))
		r.ok(os.Truncate(p("e/sub/g"), 3))
		stat("e/sub/g", 3)
		if err := os.Link(p("e/sub/g"), p("other")); r.plain() {
			r.fails(err, syscall.EPERM)
			r.fails(os.Rename(p("e/sub/g"), p("other")), syscall.EXDEV)
			r.ok(os.WriteFile(p("other"), []byte("123"), 0o644))
		} else {
			r.ok(err)
		}
		r.ok(os.Remove(p("e/sub/g")))
		stat("other", 3)
		r.ok(os.WriteFile(p("other"), []byte("1234567"), 0o644))
		stat("other", 7)
		r.ok(os.WriteFile(p("over"), []byte("x"), 0o644))
		r.ok(os.Rename(p("over"), p("other")))
		stat("other", 1)
		r.ok(os.Remove(p("e/sub/new")))
		r.ok(os.Remove(p("e/sub")))
		r.ok(os.Mkdir(p("e/sub"), 0o700)) // the qid.path may be the old one
		if !r.plain() {                   // there a directory has no length
			stat("e", statSize(t, filepath.Join(r.Dir, "e")))
		}
	})
}

func statSize(t *testing.T, path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}
