package p9client

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"syscall"
	"testing"
)

// inUse is how many fid numbers the client has taken on its connection.
func (x *Session) inUse() int {
	x.mu.Lock()
	c := x.conn
	x.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.fids) - len(c.freeFids)
}

// A refusal is a call of which the server refuses one T-message: the one of typ
// that comes after pass others.
type refusal struct {
	name    string
	dialect string
	call    func(ctx context.Context, x *Session) error
	typ     uint8
	pass    int
	want    syscall.Errno // 0: the call succeeds all the same
	lacks   uint8         // what the server does not know
}

func refusals() []refusal {
	type call = func(ctx context.Context, x *Session) error
	create := func(name string, flags uint32) call {
		return func(ctx context.Context, x *Session) error { return ofNew(x.Root().Create(ctx, name, flags, 0600, 0)) }
	}
	unlink := func(name string, flags uint32) call {
		return func(ctx context.Context, x *Session) error { return x.Root().Unlink(ctx, name, flags) }
	}
	rename := func(from, to string) call {
		return func(ctx context.Context, x *Session) error { return x.Root().Rename(ctx, from, x.Root(), to) }
	}
	mkdir := func(ctx context.Context, x *Session) error { _, err := x.Root().Mkdir(ctx, "new", 0700, 0); return err }
	readlink := func(ctx context.Context, x *Session) error {
		return onWalked(ctx, x, "l", func(f *Fid) error { _, err := f.Readlink(ctx); return err })
	}
	openDir := func(ctx context.Context, x *Session) error {
		return onWalked(ctx, x, "f", func(f *Fid) error { return f.Open(ctx, syscall.O_DIRECTORY) })
	}
	const eperm = syscall.EPERM
	return []refusal{
		{"create", DotL, create("new", 2), tlcreate, 0, eperm, 0},
		{"mkdir", DotL, mkdir, tmkdir, 0, eperm, 0},
		{"unlink", DotL, unlink("f", 0), tunlinkat, 0, eperm, 0},
		{"unlink by Tremove", DotL, unlink("f", 0), tremove, 0, eperm, tunlinkat},
		{"unlink of a directory by Tremove", DotL, unlink("d", 0), 0, 0, syscall.EISDIR, tunlinkat},
		{"rmdir of a file by Tremove", DotL, unlink("f", atRemoveDir), 0, 0, syscall.ENOTDIR, tunlinkat},
		{"rename", DotL, rename("f", "new"), trenameat, 0, eperm, 0},
		{"rename by Trename", DotL, rename("f", "new"), trename, 0, eperm, trenameat},
		{"readlink", DotL, readlink, treadlink, 0, eperm, 0},

		{"create", Plain, create("new", 2), tcreate, 0, eperm, 0},
		{"create where it may not look", Plain, create("new", 2), twalk, 0, eperm, 0},
		{"create of what exists", Plain, create("f", 2), topen, 0, eperm, 0},
		{"exclusive create of what exists", Plain, create("f", 2|syscall.O_EXCL), 0, 0, syscall.EEXIST, 0},
		{"mkdir", Plain, mkdir, tcreate, 0, eperm, 0},
		{"mkdir that succeeds", Plain, mkdir, 0, 0, 0, 0},
		{"unlink", Plain, unlink("f", 0), tremove, 0, eperm, 0},
		{"unlink of a directory", Plain, unlink("d", 0), 0, 0, syscall.EISDIR, 0},
		{"rmdir of a file", Plain, unlink("f", atRemoveDir), 0, 0, syscall.ENOTDIR, 0},
		{"rename", Plain, rename("f", "new"), twstat, 0, eperm, 0},
		{"rename over a file, which cannot be set aside", Plain, rename("f", "g"), twstat, 1, eperm, 0},
		{"rename over a file that was set aside", Plain, rename("f", "g"), twstat, 2, eperm, 0},
		{"rename of a file over a directory", Plain, rename("f", "d"), 0, 0, syscall.EISDIR, 0},
		{"rename of a directory over a file", Plain, rename("d", "f"), 0, 0, syscall.ENOTDIR, 0},
		{"rename over a directory that is not empty", Plain, rename("e", "d"), 0, 0, syscall.ENOTEMPTY, 0},
		{"rename over another name of the file", Plain, rename("f", "same"), 0, 0, 0, 0},
		{"open of a file as a directory", Plain, openDir, 0, 0, syscall.ENOTDIR, 0},
		{"readlink", DotU, readlink, tstat, 0, eperm, 0},
	}
}

func onWalked(ctx context.Context, x *Session, name string, call func(f *Fid) error) error {
	f, err := x.Root().Walk(ctx, name)
	if err != nil {
		return err
	}
	defer f.Clunk()
	return call(f)
}

// addTree makes the files f, g and l, a link; same, which is f; the directories d,
// with a file, and e.
func (s *server) addTree() {
	f := s.add("f", 0, "hello")
	s.add("g", 0, "")
	s.add("l", QTSYMLINK, "").target = "f"
	d := s.add("d", QTDIR, "")
	s.add("e", QTDIR, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	d.kids["file"] = s.newNode(0)
	s.root.kids["same"] = f
}

// names are those below the root, each with its qid.path.
func (s *server) names() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[string]uint64{}
	for name, n := range s.root.kids {
		m[name] = n.qid.Path
	}
	return m
}

// What is refused, by the server or on its behalf, leaves the tree as it was and
// no fid behind; and the error names the T-message.
func TestWhatIsRefusedLeavesNothingBehind(t *testing.T) {
	for _, r := range refusals() {
		t.Run(r.dialect+" "+r.name, func(t *testing.T) {
			s := startServer(t)
			s.addTree()
			s.speak(r.dialect)
			x := s.dial(Options{Dialect: r.dialect})
			count := 0
			s.setHook(func(p *peer, m msg) bool {
				switch m.typ {
				case r.lacks:
					return p.failed(m, syscall.EOPNOTSUPP)
				case r.typ:
					if count++; count == r.pass+1 {
						if m.typ == tremove {
							delete(p.fids, binary.LittleEndian.Uint32(m.body))
						}
						return p.failed(m, r.want)
					}
				}
				return false
			})
			fids, names := x.inUse(), s.names()
			err := r.call(t.Context(), x)
			if r.want != 0 {
				want(t, err, r.want)
			} else {
				check(t, err)
				names["new"] = s.names()["new"] // of what succeeds
			}
			var e *Error
			if errors.As(err, &e) && r.typ != 0 && e.Op != messageName(r.typ) {
				t.Errorf("the error names %q, not %s: %v", e.Op, messageName(r.typ), err)
			}
			eventually(t, "as many fids as before", func() bool { return x.inUse() == fids })
			for name, path := range s.names() {
				if names[name] != path {
					t.Errorf("%q is there, qid.path %d; it was %d", name, path, names[name])
				}
				delete(names, name)
			}
			delete(names, "new")
			if len(names) > 0 {
				t.Errorf("gone are %v", names)
			}
		})
	}
}

// Of the file that was to be replaced, the caller is told where it is if it could
// not be given its name back.
func TestFileSetAsideThatCannotComeBackIsTold(t *testing.T) {
	s := startServer(t)
	s.addTree()
	s.speak(Plain)
	x := s.dial(Options{Dialect: Plain})
	count := 0
	s.setHook(func(p *peer, m msg) bool {
		if m.typ == twstat {
			count++
		}
		return m.typ == twstat && count > 2 && p.failed(m, syscall.EPERM)
	})
	fids := x.inUse()
	err := x.Root().Rename(t.Context(), "f", x.Root(), "g")
	want(t, err, syscall.EIO)
	if !strings.Contains(err.Error(), `"g"`) || !strings.Contains(err.Error(), "name back") {
		t.Errorf("the error is %v", err)
	}
	eventually(t, "as many fids as before", func() bool { return x.inUse() == fids })
}

// A file that was replaced is removed, not left under a hidden name.
func TestReplacedFileIsRemoved(t *testing.T) {
	for _, r := range []struct{ from, to string }{{"f", "g"}, {"d", "e"}} {
		s := startServer(t)
		s.addTree()
		s.speak(Plain)
		x := s.dial(Options{Dialect: Plain})
		fids, before := x.inUse(), s.names()
		check(t, x.Root().Rename(t.Context(), r.from, x.Root(), r.to))
		eventually(t, "as many fids as before", func() bool { return x.inUse() == fids })
		after := s.names()
		if len(after) != len(before)-1 || after[r.to] != before[r.from] {
			t.Errorf("%s to %s: before %v, after %v", r.from, r.to, before, after)
		}
	}
}

// What does not fit into a message is not sent, and costs no connection.
func TestRequestLargerThanAMessageIsRefused(t *testing.T) {
	s := startServer(t)
	x := s.dial(Options{Msize: 4096})
	_, err := x.Root().Symlink(t.Context(), "l", strings.Repeat("x", 5000), 0)
	want(t, err, syscall.ENAMETOOLONG)
	_, err = x.Root().Mkdir(t.Context(), "d", 0700, 0)
	check(t, err)
	if g := x.Link().Generation; g != 1 {
		t.Errorf("that cost %d connections", g-1)
	}
}
