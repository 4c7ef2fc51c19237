package p9client

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// strictDirs is a hook that refuses what read(5) forbids: a Tread of a directory
// goes on where the last one of the fid ended, or begins anew. Its Rreads have at
// most two entries. It counts those that begin anew.
type strictDirs struct {
	t     *testing.T
	ends  map[uint32]uint64 // by fid, where the last Tread ended
	anew  int
	fails int // how many Treads are still to fail
}

func (h *strictDirs) hook(p *peer, m msg) bool {
	d := decoder{b: m.body}
	fid, off, count := d.u32(), uint64(0), 0
	if m.typ == tread {
		off, count = d.u64(), int(d.u32())
	}
	n := p.fids[fid]
	if m.typ != tread || n == nil || n.qid.Type&QTDIR == 0 {
		return false
	}
	if off != 0 && off != h.ends[fid] {
		h.t.Errorf("Tread at %d, the last one ended at %d", off, h.ends[fid])
	}
	if off == 0 {
		h.anew++
	}
	if h.fails > 0 {
		h.fails--
		h.ends[fid] = 1 << 62 // it may have read on or not
		return p.failed(m, syscall.EIO)
	}
	var b []byte
	at, entries := uint64(0), 0
	for _, name := range sortedNames(n) {
		e := n.kids[name].stat(name, false)
		if at += uint64(len(e)); at <= off {
			continue
		}
		if entries++; entries > 2 || len(b)+len(e) > count {
			break
		}
		b = append(b, e...)
	}
	h.ends[fid] = off + uint64(len(b))
	p.reply(m, append(le32(uint32(len(b))), b...)...)
	return true
}

func sortedNames(n *node) (l []string) {
	for name := range n.kids {
		l = append(l, name)
	}
	slices.Sort(l)
	return l
}

// strictDir is a directory of 9P2000 with seven files, opened.
func strictDir(t *testing.T) (*server, *strictDirs, *Fid) {
	s := startServer(t)
	for i := range 7 {
		s.add(fmt.Sprint("file", i), 0, "")
	}
	s.speak(Plain)
	h := &strictDirs{t: t, ends: map[uint32]uint64{}}
	s.setHook(h.hook)
	return s, h, open(t, s.dial(Options{Dialect: Plain}), syscall.O_RDONLY)
}

// list reads from an offset to the end, and returns the names and each offset on
// the way, in the order of the names.
func list(t *testing.T, dir *Fid, offset uint64) (names string, offsets []uint64) {
	t.Helper()
	for range 20 {
		l, next, err := dir.ReadDir(t.Context(), offset, 8192)
		if err != nil {
			t.Error(err)
			return names, offsets
		}
		if next == offset {
			return strings.TrimSpace(names), offsets
		}
		for _, e := range l {
			names += e.Name + " "
			offsets = append(offsets, e.Offset)
		}
		offset = next
	}
	t.Error("no end of the directory")
	return names, offsets
}

const sevenFiles = "file0 file1 file2 file3 file4 file5 file6"

// A directory is read on from any entry's offset, though the server only lets a
// reader go on or begin anew; and as long as he goes on, it is read once.
func TestDirectoryIsReadOnFromAnyEntry(t *testing.T) {
	s, h, dir := strictDir(t)
	names, offsets := list(t, dir, 0)
	if names != sevenFiles {
		t.Fatalf("names: %s", names)
	}
	s.mu.Lock()
	if h.anew != 1 {
		t.Errorf("to read it once, it was begun %d times", h.anew)
	}
	s.mu.Unlock()
	for _, i := range []int{3, 0, 5, 1, 6} {
		want := strings.Join(strings.Fields(sevenFiles)[i+1:], " ")
		if got, _ := list(t, dir, offsets[i]); got != want {
			t.Errorf("after entry %d: %q, want %q", i, got, want)
		}
	}
	l, next, err := dir.ReadDir(t.Context(), 1<<40, 8192)
	if err != nil || len(l) > 0 || next != 1<<40 {
		t.Errorf("beyond the end: %v, next %d, %v; want the end there", l, next, err)
	}
}

// After a Tread that failed, nobody knows where the server stands.
func TestDirectoryIsBegunAnewAfterAnError(t *testing.T) {
	s, h, dir := strictDir(t)
	l, next, err := dir.ReadDir(t.Context(), 0, 8192)
	check(t, err)
	s.mu.Lock()
	h.fails = 1
	s.mu.Unlock()
	_, _, err = dir.ReadDir(t.Context(), next, 8192)
	want(t, err, syscall.EIO)
	names, _ := list(t, dir, next)
	if got := l[0].Name + " " + l[1].Name + " " + names; got != sevenFiles {
		t.Errorf("names: %s", got)
	}
}

// Those who read one open directory at the same time do not get into each other's
// way.
func TestDirectoryIsReadByManyAtOnce(t *testing.T) {
	_, _, dir := strictDir(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if names, _ := list(t, dir, 0); names != sevenFiles {
					t.Errorf("names: %s", names)
				}
			}
		})
	}
	wg.Wait()
}

// What mknod(2) makes without a type is a file; what it cannot make is refused.
func TestMknodOfFiles(t *testing.T) {
	for _, dialect := range []string{Plain, DotU} {
		s := startServer(t)
		s.speak(dialect)
		x := s.dial(Options{Dialect: dialect})
		for i, mode := range []uint32{0600, syscall.S_IFREG | 0600} {
			q, err := x.Root().Mknod(t.Context(), fmt.Sprint(i), mode, 0, 0, 0)
			if err != nil || q.Type != 0 {
				t.Errorf("%s, mode %#o: %v, %v", dialect, mode, q, err)
			}
		}
		before := s.count(tcreate)
		for _, typ := range []uint32{syscall.S_IFDIR, syscall.S_IFLNK} {
			refused := syscall.EINVAL
			if dialect == Plain {
				refused = syscall.EPERM
			}
			_, err := x.Root().Mknod(t.Context(), "new", typ|0600, 0, 0, 0)
			want(t, err, refused)
		}
		if n := s.count(tcreate); n != before {
			t.Errorf("%s: Tcreate was sent for what cannot be made", dialect)
		}
	}
}

// A rename over a file takes several Twstats. Wherever it is cut, and whatever
// becomes of it, no file is left under a hidden name.
func TestRenameThatIsCutLeavesNoHiddenName(t *testing.T) {
	gone := func(s *server) { delete(s.root.kids, "f") }
	nothing := func(*server) {}
	for _, r := range []struct {
		name   string
		twstat int  // which one is cut
		obeyed bool // by the server
		others func(s *server)
		want   syscall.Errno
		g      string // what has the name in the end
	}{
		{"before the first", 1, false, nothing, 0, "f"},
		{"before the other is set aside", 2, false, nothing, 0, "f"},
		{"when the other was set aside", 2, true, nothing, 0, "f"},
		{"before the last", 3, false, nothing, 0, "f"},
		{"after the last", 3, true, nothing, 0, "f"},
		{"when the other was set aside, and the file is gone", 2, true, gone, syscall.EIO, "g"},
		{"before the last, and the file is gone", 3, false, gone, syscall.EIO, "g"},
	} {
		t.Run(r.name, func(t *testing.T) {
			s := startServer(t)
			s.addTree()
			s.speak(Plain)
			x := s.dial(Options{Dialect: Plain})
			f, err := x.Root().Walk(t.Context(), "f") // so that its qid is known
			check(t, err)
			defer f.Clunk()
			before := s.names()
			sent := 0
			s.setHook(func(p *peer, m msg) bool {
				if m.typ != twstat {
					return false
				}
				if sent++; sent != r.twstat {
					return false
				}
				if r.obeyed {
					p.answer(deaf{p.nc}, m)
				}
				r.others(s)
				p.nc.Close()
				return true
			})
			err = x.Root().Rename(t.Context(), "f", x.Root(), "g")
			if r.want == 0 {
				check(t, err)
			} else {
				want(t, err, r.want) // nobody can tell where f has gone
			}
			after := s.names()
			if after["g"] != before[r.g] {
				t.Errorf("the name leads to %d; before: %v", after["g"], before)
			}
			for name := range after {
				if before[name] == 0 {
					t.Errorf("%q is left", name)
				}
			}
			eventually(t, "as many fids as before", func() bool { return x.inUse() <= 2 }) // the root and f
		})
	}
}

// To rename a file to its own name changes nothing.
func TestRenameToTheSameNameAsksForNothing(t *testing.T) {
	s := startServer(t)
	s.addTree()
	s.speak(Plain)
	x := s.dial(Options{Dialect: Plain})
	check(t, x.Root().Rename(t.Context(), "f", x.Root(), "f"))
	if n := s.count(twstat); n != 0 {
		t.Errorf("%d Twstats", n)
	}
}
