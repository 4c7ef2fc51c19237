package export_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"

	"p9mapfs/export"
)

// tree is a directory, its server and the File of its root.
type tree struct {
	t    *testing.T
	dir  string
	srv  *export.Server
	root p9.File
}

func newTree(t *testing.T, o export.Options) *tree {
	t.Helper()
	dir := t.TempDir()
	srv, err := export.New(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	root, err := srv.Attach()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return &tree{t: t, dir: dir, srv: srv, root: root}
}

func (tr *tree) path(name string) string { return filepath.Join(tr.dir, name) }

// must fails the test on an error of the set-up.
func (tr *tree) must(err error) {
	tr.t.Helper()
	if err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) write(name, text string) {
	tr.t.Helper()
	tr.must(os.WriteFile(tr.path(name), []byte(text), 0o644))
}

// walk returns the File at names, closed with the test.
func (tr *tree) walk(names ...string) p9.File {
	tr.t.Helper()
	_, f, err := tr.root.Walk(names)
	if err != nil {
		tr.t.Fatalf("walk %q: %v", names, err)
	}
	tr.t.Cleanup(func() { f.Close() })
	return f
}

func (tr *tree) open(flags p9.OpenFlags, names ...string) p9.File {
	tr.t.Helper()
	f := tr.walk(names...)
	if _, _, err := f.Open(flags); err != nil {
		tr.t.Fatalf("open %q: %v", names, err)
	}
	return f
}

// wantErrno compares what the core would send, and insists on the errno type that
// the core passes on unchanged.
func wantErrno(t *testing.T, what string, err error, want linux.Errno) {
	t.Helper()
	if want == 0 {
		if err != nil {
			t.Errorf("%s: %v, want success", what, err)
		}
		return
	}
	var got linux.Errno
	if !errors.As(err, &got) || got != want || linux.ExtractErrno(err) != want {
		t.Errorf("%s: %v (%T), want %v", what, err, err, want)
	}
}

// furnish makes one of everything.
func (tr *tree) furnish() {
	tr.t.Helper()
	tr.write("file", "text")
	tr.write("other", "other")
	tr.must(os.Mkdir(tr.path("dir"), 0o755))
	tr.must(os.Mkdir(tr.path("full"), 0o755))
	tr.write("full/x", "")
	tr.must(os.Symlink("file", tr.path("link")))
	tr.must(unix.Mkfifo(tr.path("fifo"), 0o644))
	tr.must(unix.Setxattr(tr.path("file"), "user.a", []byte("1"), 0))
}
