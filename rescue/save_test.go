package rescue

import (
	"bytes"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func one(data string) iter.Seq[File] {
	return slices.Values([]File{{Meta: Meta{Path: "a"}, Extents: []Extent{{Data: []byte(data)}}}})
}

func TestSaveIsPrivateAndLeavesNothingElse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "p9mapfs")
	if err := Prepare(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x.rescue")
	s, err := Save(path, Mount{}, one("1"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for p, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, path: 0o600} {
		if st, err := os.Stat(p); err != nil || st.Mode() != want {
			t.Errorf("%s: %v, %v", p, st.Mode(), err)
		}
	}
	if l, err := os.ReadDir(dir); err != nil || len(l) != 1 {
		t.Errorf("%v, %v", l, err)
	}
}

func TestSaveOfNothingWritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.rescue")
	s, err := Save(path, Mount{}, slices.Values([]File(nil)))
	if _, gone := os.Stat(path); s != nil || err != nil || !errors.Is(gone, os.ErrNotExist) {
		t.Errorf("%v, %v, %v", s, err, gone)
	}
}

// While its daemon lives nobody else sends the file, also after it was written anew.
func TestFileIsLockedAsLongAsItsWriterHasIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.rescue")
	first, err := Save(path, Mount{}, one("1"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := Save(path, Mount{}, one("22"))
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	if _, err := Open(path); !errors.Is(err, ErrLocked) {
		t.Fatalf("it is opened while it is locked: %v", err)
	}
	second.Close()
	k, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if _, err := Open(path); !errors.Is(err, ErrLocked) {
		t.Errorf("it is opened twice: %v", err)
	}
	if n, bytes := k.Left(); n != 1 || bytes != 2 {
		t.Errorf("%d files, %d bytes", n, bytes)
	}
}

// A rescue file that cannot be written anew stays as it was.
func TestSaveThatFailsLeavesWhatWasThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.rescue")
	s, err := Save(path, Mount{}, one("1"))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := func(yield func(File) bool) {
		_ = yield(File{Meta: Meta{Path: "a"}, Extents: []Extent{{Data: make([]byte, 3<<20)}}}) && yield(File{Meta: Meta{Path: ".."}})
	}
	if _, err := Save(path, Mount{}, bad); err == nil {
		t.Error("it did not fail")
	}
	after, err := os.ReadFile(path)
	if l, _ := os.ReadDir(filepath.Dir(path)); err != nil || !bytes.Equal(before, after) || len(l) != 1 {
		t.Errorf("%v, changed: %v, %v", err, !bytes.Equal(before, after), l)
	}
}

func TestPrepareRefusesWhatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/self/fd"} {
		if err := Prepare(dir); err == nil {
			t.Errorf("%s: no error", dir)
		}
	}
}
