package export

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hugelgupf/p9/linux"
)

func TestFidsOfAConnectionAreBounded(t *testing.T) {
	dir := t.TempDir()
	mustMkdir(t, filepath.Join(dir, "d"))
	s, err := New(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.maxFids = 20
	sock := listen(t, s)
	p, other := attached(t, sock, 8192), attached(t, sock, 8192)
	for fid := range uint32(9) {
		p.ok(twalk, walkBody(0, fid+1, "d"))
	}
	for fid := range uint32(10) { // clones
		p.ok(twalk, walkBody(1, fid+10))
	}
	p.fails(twalk, walkBody(1, 20), linux.EMFILE)
	p.fails(twalkgetattr, walkBody(0, 20, "d"), linux.EMFILE)
	other.ok(twalk, walkBody(0, 1, "d"))
	p.ok(tclunk, u32s(7))
	p.ok(twalk, walkBody(1, 20))
}

// TestDataBeingServedIsBounded: large requests are read only while what the others
// hold is below maxHeld.
func TestDataBeingServedIsBounded(t *testing.T) {
	dir := t.TempDir()
	const msize = 4 << 20
	if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, msize), 0o600); err != nil {
		t.Fatal(err)
	}
	s, sock := serve(t, dir, Options{})
	p := attached(t, sock, msize)
	p.ok(twalk, walkBody(0, 1, "f"))
	p.ok(tlopen, u32s(1, 0))
	const n = 24
	for tag := range uint16(n) {
		p.send(tread, tag, append(le.AppendUint64(u32s(1), 0), u32s(msize)...))
	}
	held := func() (bytes int64, requests int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.held, len(c.pending)
		}
		return 0, 0
	}
	waitFor(t, "the requests to be held", func() bool { b, _ := held(); return b >= maxHeld })
	for range n {
		if h, r := p.recv(); h.typ != tread+1 || len(r) != msize-headerSize {
			t.Fatalf("reply %+v of %d bytes", h, len(r))
		}
		if b, r := held(); b > maxHeld+msize || r > maxHeld/(msize-readHeader)+1 {
			t.Fatalf("%d bytes held by %d requests", b, r)
		}
	}
	if b, r := held(); b != 0 || r != 0 {
		t.Errorf("%d bytes held by %d requests in the end", b, r)
	}
}

// TestDataAreTheFilesOnly: buffers are used again, and what was in them stays there.
func TestDataAreTheFilesOnly(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "long"), strings.Repeat("secret", 10_000))
	mustWrite(t, filepath.Join(dir, "short"), "short")
	_, sock := serve(t, dir, Options{})
	p := attached(t, sock, 1<<20)
	for i, name := range []string{"long", "short"} {
		p.ok(twalk, walkBody(0, uint32(i)+1, name))
		p.ok(tlopen, u32s(uint32(i)+1, 2))
	}
	read := func(fid uint32) string {
		r := p.ok(tread, append(le.AppendUint64(u32s(fid), 0), u32s(60_000)...))
		if int(le.Uint32(r)) != len(r)-4 {
			t.Errorf("count %d of %d bytes", le.Uint32(r), len(r)-4)
		}
		return string(r[4:])
	}
	for range 20 {
		if got := read(1); got != strings.Repeat("secret", 10_000) {
			t.Fatalf("the long file: %d bytes", len(got))
		}
		p.ok(twrite, append(append(le.AppendUint64(u32s(2), 0), u32s(5)...), "words"...))
		if got := read(2); got != "words" {
			t.Fatalf("the short file: %.20q, %d bytes", got, len(got))
		}
	}
}
