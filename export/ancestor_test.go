package export

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
)

// TestADescriptorPutAwayIsFoundAgainBelowParentsThatNobodyHolds: who walks three
// names at once, or attaches below the root, keeps no fid on the way.
func TestADescriptorPutAwayIsFoundAgainBelowParentsThatNobodyHolds(t *testing.T) {
	dir := t.TempDir()
	mustMkdir(t, filepath.Join(dir, "a/b"))
	mustWrite(t, filepath.Join(dir, "a/b/c"), "text")
	root := tight(t, dir, false)
	_, c, err := root.Walk([]string{"a", "b", "c"})
	if err != nil {
		t.Fatal(err)
	}
	was, _, _, err := c.GetAttr(p9.AttrMaskAll)
	if err != nil {
		t.Fatal(err)
	}
	n := c.(*File).node
	for deadline := time.Now().Add(time.Second); ; {
		n.paths.mu.Lock()
		away := n.putAway()
		if away && n.elem != nil {
			n.paths.order.Remove(n.elem)
			n.elem = nil
		}
		n.paths.mu.Unlock()
		if away {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the descriptor is in use")
		}
	}
	is, _, _, err := c.GetAttr(p9.AttrMaskAll)
	if err != nil || is != was {
		t.Errorf("found again: %v, %v; was %v", is, err, was)
	}
	if fds := fdsIn(t, dir); fds > 3 { // root, the one for handles, c
		t.Errorf("%d descriptors: those on the way are left", fds)
	}
	c.Close()
	_, _, _, err = c.GetAttr(p9.AttrMaskAll)
	wantErrno(t, "a closed File", err, linux.EBADF)
	if fds := fdsIn(t, dir); fds > 2 {
		t.Errorf("%d descriptors are left", fds)
	}
}
