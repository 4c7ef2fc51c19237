package rescue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A fakeTree is a server in memory. Each call on a file asks trouble first.
type fakeTree struct {
	files   map[string]*fakeFile
	trouble func(op, path string) error
	open    int // remotes that were not closed
	log     []string
}

type fakeFile struct {
	tree *fakeTree
	path string
	qid  uint64
	attr Attr
	data []byte
}

type lost struct{}

func (lost) Error() string      { return "connection lost" }
func (lost) Disconnected() bool { return true }

func (t *fakeTree) call(op, path string) error {
	t.log = append(t.log, op+" "+path)
	if t.trouble != nil {
		return t.trouble(op, path)
	}
	return nil
}

func (t *fakeTree) Connect(ctx context.Context) (context.Context, error) { return ctx, ctx.Err() }

func (t *fakeTree) Find(_ context.Context, path string) (Remote, error) {
	f := t.files[path]
	if f == nil {
		return nil, syscall.ENOENT
	}
	t.open++
	return f, t.call("find", path)
}

func (f *fakeFile) Look(context.Context) (Found, error) {
	f.attr.Size = int64(len(f.data))
	return Found{QidPath: f.qid, Attr: f.attr}, f.tree.call("look", f.path)
}

func (f *fakeFile) Open(context.Context) error { return f.tree.call("open", f.path) }

func (f *fakeFile) touch(op string) error {
	if err := f.tree.call(op, f.path); err != nil {
		return err
	}
	f.attr.Mtime = f.attr.Mtime.Add(time.Second)
	f.attr.Ctime = f.attr.Mtime
	return nil
}

func (f *fakeFile) WriteAt(_ context.Context, p []byte, off int64) (int, error) {
	if err := f.touch("write"); err != nil {
		return 0, err
	}
	if n := int(off) + len(p); n > len(f.data) {
		f.data = append(f.data, make([]byte, n-len(f.data))...)
	}
	return copy(f.data[off:], p), nil
}

func (f *fakeFile) Truncate(_ context.Context, size int64) error {
	if err := f.touch("truncate"); err != nil {
		return err
	}
	f.data = append(f.data, make([]byte, max(0, int(size)-len(f.data)))...)[:size]
	return nil
}

func (f *fakeFile) Sync(context.Context) error { return f.tree.call("sync", f.path) }
func (f *fakeFile) Close()                     { f.tree.open-- }

// rescued is a rescue file for two files of a server that has both as they were: of
// a, two truncations and a store; of b, a store.
func rescued(t *testing.T) (path string, tree *fakeTree) {
	tree = &fakeTree{files: map[string]*fakeFile{}}
	known := Attr{Set: true, Size: 4, Mtime: when, Ctime: when}
	l := []File{
		{Meta: Meta{Path: "a", QidPath: 1, Known: known}, Truncations: []int64{2, 6}, Extents: []Extent{{Off: 7, Data: []byte("new")}}},
		{Meta: Meta{Path: "d/b", QidPath: 2, Known: known}, Extents: []Extent{{Off: 0, Data: []byte("B")}}},
	}
	for _, f := range l {
		tree.files[f.Path] = &fakeFile{tree: tree, path: f.Path, qid: f.QidPath, attr: known, data: []byte("1234")}
	}
	path = filepath.Join(t.TempDir(), "x.rescue")
	s, err := Save(path, Mount{}, slices.Values(l))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path, tree
}

// replayed sends a rescue file, and returns the outcomes by path.
func replayed(t *testing.T, path string, tree *fakeTree, o Options) (out map[string]Outcome, k *Kept, err error) {
	t.Helper()
	k, err = Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	out = map[string]Outcome{}
	o.Told = func(x Outcome) { out[x.Path] = x }
	err = Replay(t.Context(), k, tree, o)
	if tree.open != 0 {
		t.Errorf("%d files were not closed", tree.open)
	}
	return out, k, err
}

func (t *fakeTree) wants(tt *testing.T, a, b string) {
	tt.Helper()
	if got := string(t.files["a"].data); got != a {
		tt.Errorf("a is %q, want %q", got, a)
	}
	if got := string(t.files["d/b"].data); got != b {
		tt.Errorf("b is %q, want %q", got, b)
	}
}

const newA, newB = "12\x00\x00\x00\x00\x00new", "B234"

func TestReplaySendsTruncationsThenExtentsThenSyncs(t *testing.T) {
	path, tree := rescued(t)
	_, k, err := replayed(t, path, tree, Options{})
	if n, _ := k.Left(); err != nil || n != 0 {
		t.Errorf("%v, %d files left", err, n)
	}
	tree.wants(t, newA, newB)
	want := []string{"find a", "look a", "open a", "truncate a", "truncate a", "write a", "sync a", "find d/b", "look d/b", "open d/b", "write d/b", "sync d/b"}
	if !slices.Equal(tree.log, want) {
		t.Errorf("calls %q", tree.log)
	}
}

func TestReplaySecondRunSendsOnlyTheRest(t *testing.T) {
	path, tree := rescued(t)
	tree.trouble = func(op, p string) error {
		if op == "sync" && p == "d/b" {
			return syscall.ENOSPC
		}
		return nil
	}
	out, k, err := replayed(t, path, tree, Options{})
	if n, bytes := k.Left(); err != nil || n != 1 || bytes != 1 || !errors.Is(out["d/b"].Err, syscall.ENOSPC) || out["a"].Err != nil {
		t.Errorf("%v, %d files left, %v", err, n, out)
	}
	// b was written by us and not synced: that explains how it has changed.
	tree.trouble, tree.log = nil, nil
	out, k, err = replayed(t, path, tree, Options{})
	if n, _ := k.Left(); err != nil || n != 0 || out["d/b"].Verdict != Ours || len(out) != 1 {
		t.Errorf("%v, %d files left, %+v", err, n, out)
	}
	if slices.Contains(tree.log, "write a") {
		t.Error("a was sent twice")
	}
	tree.wants(t, newA, newB)
}

func TestReplayRefusesAChangedFileUnlessOverwrite(t *testing.T) {
	path, tree := rescued(t)
	b := tree.files["d/b"]
	b.data, b.attr.Mtime, b.attr.Ctime = []byte("other"), when.Add(time.Hour), when.Add(time.Hour)
	for range 2 {
		out, k, err := replayed(t, path, tree, Options{})
		if n, _ := k.Left(); err != nil || n != 1 || !out["d/b"].Refused || out["d/b"].Why == "" {
			t.Fatalf("%v, %d files left, %+v", err, n, out["d/b"])
		}
		tree.wants(t, newA, "other")
	}
	out, k, err := replayed(t, path, tree, Options{Overwrite: true})
	if n, _ := k.Left(); err != nil || n != 0 || out["d/b"].Refused {
		t.Errorf("%v, %d files left, %+v", err, n, out["d/b"])
	}
	tree.wants(t, newA, "Bther")
}

func TestReplayDryRunChangesNothing(t *testing.T) {
	path, tree := rescued(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := replayed(t, path, tree, Options{DryRun: true})
	if err != nil || len(out) != 2 {
		t.Errorf("%v, %v", err, out)
	}
	tree.wants(t, "1234", "1234")
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the rescue file has changed: %v", err)
	}
}

// What was acknowledged on a lost connection is sent again on the next: the server
// may have crashed between.
func TestReplayBeginsAFileAgainAfterALostConnection(t *testing.T) {
	for _, op := range []string{"find", "look", "open", "truncate", "write", "sync"} {
		path, tree := rescued(t)
		tree.trouble = func(o, p string) error {
			if o != op || p != "a" {
				return nil
			}
			tree.trouble = nil
			tree.files["a"].data = []byte("1234") // it forgets
			return lost{}
		}
		if op == "find" {
			tree.open = -1 // what was not found is not closed
		}
		out, k, err := replayed(t, path, tree, Options{})
		if n, _ := k.Left(); err != nil || n != 0 || tree.trouble != nil {
			t.Errorf("%s lost: %v, %d files left, %v", op, err, n, out)
		}
		tree.wants(t, newA, newB)
	}
}

func TestReplayGivesUpOnAFileUnderWhichEveryConnectionIsLost(t *testing.T) {
	path, tree := rescued(t)
	tree.trouble = func(o, p string) error {
		if o == "write" && p == "a" {
			return lost{}
		}
		return nil
	}
	out, k, err := replayed(t, path, tree, Options{})
	if n, _ := k.Left(); err != nil || n != 1 || !disconnected(out["a"].Err) || out["d/b"].Err != nil {
		t.Errorf("%v, %d files left, %v", err, n, out)
	}
}

func TestReplayOnAServerThatCannotSync(t *testing.T) {
	path, tree := rescued(t)
	tree.trouble = func(op, _ string) error {
		if op == "sync" {
			return fmt.Errorf("Tfsync: %w", syscall.EOPNOTSUPP)
		}
		return nil
	}
	_, k, err := replayed(t, path, tree, Options{})
	if n, _ := k.Left(); err != nil || n != 0 {
		t.Errorf("%v, %d files left", err, n)
	}
}

func TestReplayOfADamagedFileSendsWhatIsWholeAndChangesNothing(t *testing.T) {
	path, tree := rescued(t)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, []byte("new"))]++
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, k, err := replayed(t, path, tree, Options{})
	if err != nil || k.Whole() || out["a"].Missing != 1 {
		t.Errorf("%v, %+v", err, out["a"])
	}
	tree.wants(t, "12\x00\x00\x00\x00", newB)
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(b, after) {
		t.Errorf("the rescue file has changed: %v", err)
	}
}

// A mark that was torn is no damage, and the next one is found.
func TestTornMarkIsWrittenOver(t *testing.T) {
	path, tree := rescued(t)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mark := sentRecord(nil, 0)
	if err := os.WriteFile(path, append(b, mark[:len(mark)-2]...), 0o600); err != nil {
		t.Fatal(err)
	}
	tree.trouble = func(op, p string) error {
		if op == "open" && p == "d/b" {
			return syscall.EACCES
		}
		return nil
	}
	for range 2 {
		_, k, err := replayed(t, path, tree, Options{})
		if n, _ := k.Left(); err != nil || n != 1 || !k.Whole() {
			t.Fatalf("%v, %d files left", err, n)
		}
	}
	if n := slices.Index(tree.log[7:], "write a"); n >= 0 {
		t.Error("a was sent twice")
	}
}
