package export

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hugelgupf/p9/p9"
)

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
