package export

import (
	"path/filepath"
	"testing"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// TestStuckVerbDoesNotHoldUpOthers: a verb of one file that the host does not
// finish leaves the others of the connection alone, renames too.
func TestStuckVerbDoesNotHoldUpOthers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"f", "g"} {
		mustWrite(t, filepath.Join(dir, name), "x")
	}
	s, sock := serve(t, dir, Options{})
	p := attached(t, sock, 8192)
	p.ok(twalk, walkBody(0, 1, "f"))
	s.paths.mu.Lock()
	f := s.paths.order.Front().Value.(*node)
	s.paths.mu.Unlock()

	f.mu.Lock() // stands for a disk that does not answer
	stuck := map[uint16]byte{
		100: tlopen, 101: tsetattr, 102: txattrwalk,
	}
	p.send(tlopen, 100, u32s(1, 0))
	p.send(tsetattr, 101, append(u32s(1, 1, 0o640, noFid, noFid), make([]byte, 40)...))
	p.send(txattrwalk, 102, appendString(u32s(1, 5), ""))
	waitFor(t, "them to be stuck", func() bool { return coreGoroutines(t) == 2+len(stuck) })
	rename := appendString(u32s(0), "g")
	p.ok(trenameat, appendString(append(rename, u32s(0)...), "h"))
	p.ok(twalk, walkBody(0, 2, "h"))
	f.mu.Unlock()
	for range 3 {
		h, r := p.recv()
		if typ, ok := stuck[h.tag]; !ok || h.typ != typ+1 {
			t.Errorf("reply %+v % x", h, r)
		}
		delete(stuck, h.tag)
	}
}

// TestWalkgetattrAnswersBothAtOnce: each qid on the way, and the attributes of the
// end, also when the walk is a clone.
func TestWalkgetattrAnswersBothAtOnce(t *testing.T) {
	dir := t.TempDir()
	mustMkdir(t, filepath.Join(dir, "a/b"))
	mustWrite(t, filepath.Join(dir, "a/b/f"), "twelve bytes")
	_, sock := serve(t, dir, Options{})
	p := attached(t, sock, 8192)
	check := func(fid, newfid uint32, names []string, path ...string) {
		t.Helper()
		b := body{b: p.ok(twalkgetattr, walkBody(fid, newfid, names...))}
		valid, at := b.u64(), dir
		mode, uid, gid, nlink, rdev, size := b.u32(), b.u32(), b.u32(), b.u64(), b.u64(), b.u64()
		b.take(8 + 8 + 4*16 + 8)
		version := b.u64()
		if n := b.u16(); int(n) != len(names) {
			t.Fatalf("%q: %d qids", names, n)
		}
		for _, name := range path {
			at = filepath.Join(at, name)
		}
		var q p9.QID
		for i := range names {
			q.Type, q.Version, q.Path = p9.QIDType(b.u8()), b.u32(), b.u64()
			checkQID(t, "Twalkgetattr", q, filepath.Join(append([]string{dir}, path[:len(path)-len(names)+i+1]...)...))
		}
		var st unix.Stat_t
		if err := unix.Lstat(at, &st); err != nil {
			t.Fatal(err)
		}
		if b.short || len(b.b) != 0 || valid&0x7ff != 0x7ff || mode != st.Mode || uid != st.Uid || gid != st.Gid ||
			nlink != uint64(st.Nlink) || rdev != 0 || size != uint64(st.Size) || version == 0 {
			t.Errorf("%q: valid %#x mode %o uid %d gid %d nlink %d rdev %d size %d version %d, want %+v", at, valid, mode, uid, gid, nlink, rdev, size, version, st)
		}
	}
	check(0, 1, []string{"a"}, "a")
	check(1, 2, []string{"b", "f"}, "a", "b", "f")
	check(2, 3, nil, "a", "b", "f")
	check(0, 4, nil)
	p.fails(twalkgetattr, walkBody(1, 5, "none"), linux.ENOENT)
	p.fails(twalkgetattr, walkBody(2, 5, "x"), linux.ENOTDIR)
	p.fails(tclunk, u32s(5), linux.EBADF)
}
