package p9client

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// walkAttr answers a Twalkgetattr, of gVisor's p9.
func (p *peer) walkAttr(m msg) bool {
	if m.typ != twalkgetattr {
		return false
	}
	d := decoder{b: m.body}
	n, newfid := p.fids[d.u32()], d.u32()
	var qids []byte
	count := int(d.u16())
	for range count {
		if n = n.kids[d.str()]; n == nil {
			return p.failed(m, syscall.ENOENT)
		}
		qids = append(qids, qidBytes(n.qid)...)
	}
	p.fids[newfid] = n
	attr := attrBody(n)
	p.reply(m, bytesOf(attr[:8], attr[8+13:], []byte{byte(count), 0}, qids)...)
	return true
}

// addDeep makes directories d below each other, and returns the path to the last.
func (s *server) addDeep(depth int) (path []string) {
	n := s.add("d", QTDIR, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	for range depth - 1 {
		k := s.newNode(QTDIR)
		n.kids["d"] = k
		n = k
	}
	return slices.Repeat([]string{"d"}, depth)
}

// Where the server has Twalkgetattr, a file is found and asked about by it alone;
// elsewhere, and for long paths, by Twalk and Tgetattr.
func TestWalkAttrTakesOneMessageWhereTheServerHasIt(t *testing.T) {
	for _, r := range []struct {
		version string
		depth   int
		alone   bool
	}{
		{"9P2000.L.Google.3", 1, true},
		{"9P2000.L.Google.2", 1, true},
		{"9P2000.L.Google.2", 0, true},
		{"9P2000.L.Google.2", maxWalkNames, true},
		{"9P2000.L.Google.2", maxWalkNames + 1, false},
		{"9P2000.L.Google.1", 1, false},
		{DotL, 1, false},
	} {
		s := startServer(t)
		var path []string
		if r.depth > 0 {
			path = s.addDeep(r.depth)
		}
		s.setHook(func(p *peer, m msg) bool {
			if m.typ == tversion { // it answers with what it has to any offer
				p.reply(m, bytesOf(m.body[:4], str9(r.version))...)
				return true
			}
			return p.walkAttr(m)
		})
		x := s.dial(Options{})
		if x.Dialect() != r.version {
			t.Errorf("the session speaks %q, not %q", x.Dialect(), r.version)
		}
		fids := x.inUse()
		f, a, err := x.Root().WalkAttr(t.Context(), path...)
		check(t, err)
		n := s.root
		for range path {
			n = n.kids["d"]
		}
		if a.Qid != n.qid || f.Qid() != n.qid || a.Valid == 0 {
			t.Errorf("%s, %d names: attributes %+v of the fid %v, the file is %v", r.version, r.depth, a, f.Qid(), n.qid)
		}
		check(t, isItself(t.Context(), f))
		together, apart := s.count(twalkgetattr), s.count(twalk)
		if r.alone && (together != 1 || apart != 0) || !r.alone && (together != 0 || apart == 0) {
			t.Errorf("%s, %d names: %d Twalkgetattr, %d Twalk", r.version, r.depth, together, apart)
		}
		f.Clunk()
		eventually(t, "as many fids as before", func() bool { return x.inUse() == fids })
	}
}

func TestWalkAttrThatFailsLeavesNoFid(t *testing.T) {
	ended := func(p *peer, m msg) bool { // after the first of two names
		if m.typ != twalkgetattr {
			return false
		}
		attr := attrBody(p.s.root.kids["d"])
		p.reply(m, bytesOf(attr[:8], attr[8+13:], []byte{1, 0}, qidBytes(p.s.root.kids["d"].qid))...)
		return true
	}
	for _, r := range []struct {
		name    string
		version string
		hook    func(p *peer, m msg) bool
		path    []string
		want    syscall.Errno
		op      string
	}{
		{"refused", googleOffer, (*peer).walkAttr, []string{"none"}, syscall.ENOENT, "Twalkgetattr"},
		{"ended early", googleOffer, ended, []string{"d", "none"}, syscall.ENOENT, "Twalk"},
		{"refused in two steps", DotL, func(p *peer, m msg) bool { return m.typ == tgetattr && p.failed(m, syscall.EACCES) }, []string{"d"}, syscall.EACCES, "Tgetattr"},
	} {
		t.Run(r.name, func(t *testing.T) {
			s := startServer(t)
			s.add("d", QTDIR, "")
			s.speak(r.version)
			s.setHook(r.hook)
			x := s.dial(Options{})
			fids := x.inUse()
			_, _, err := x.Root().WalkAttr(t.Context(), r.path...)
			want(t, err, r.want)
			if e := new(Error); !errors.As(err, &e) || e.Op != r.op {
				t.Errorf("the error names another message than %s: %v", r.op, err)
			}
			eventually(t, "as many fids as before", func() bool { return x.inUse() == fids })
		})
	}
}

// The bits of a mode that say what is made are not sent as permissions.
func TestPermissionsAreSentWithoutTheTypeOfFile(t *testing.T) {
	s := startServer(t)
	var perms []uint32
	s.setHook(func(p *peer, m msg) bool {
		switch m.typ {
		case tlcreate:
			perms = append(perms, binary.LittleEndian.Uint32(m.body[len(m.body)-8:]))
		case tmkdir:
			perms = append(perms, binary.LittleEndian.Uint32(m.body[len(m.body)-8:]))
		}
		return false
	})
	x := s.dial(Options{})
	check(t, ofNew(x.Root().Create(t.Context(), "f", 2, syscall.S_IFREG|04640, 0)))
	_, err := x.Root().Mkdir(t.Context(), "d", syscall.S_IFDIR|01750, 0)
	check(t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(perms, []uint32{04640, 01750}) {
		t.Errorf("sent %#o", perms)
	}
}

// A server may say that an entry has just gone, and have no answer then: it is
// asked again, but not for ever.
func TestReadDirAsksAgainForEntriesThatGo(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOENT, syscall.EAGAIN} {
		s := startServer(t)
		s.add("f", 0, "")
		x := s.dial(Options{})
		dir := open(t, x, syscall.O_RDONLY)
		failing := 5
		s.setHook(func(p *peer, m msg) bool {
			if m.typ != treaddir || failing == 0 {
				return false
			}
			failing--
			return p.failed(m, errno)
		})
		l, _, err := dir.ReadDir(t.Context(), 0, 4096)
		if err != nil || len(l) != 1 {
			t.Errorf("after %v: %v, %v", errno, l, err)
		}
		s.always(treaddir, func(p *peer, m msg) { p.fail(m, errno) })
		_, _, err = dir.ReadDir(t.Context(), 0, 4096)
		want(t, err, errno)
		if n := s.count(treaddir); n > 100 {
			t.Errorf("it was asked %d times", n)
		}
	}
}

// Names that are not let through do not end the reading of what follows them.
func TestReadDirGoesOnAfterNamesThatCannotBe(t *testing.T) {
	s := startServer(t)
	for _, name := range []string{"a/1", "a/2", "b"} {
		s.add(name, 0, "")
	}
	x := s.dial(Options{})
	dir := open(t, x, syscall.O_RDONLY)
	const one = 13 + 8 + 1 + 2 + 3 // bytes of an entry: one at a time
	var names []string
	for offset, end := uint64(0), false; !end; {
		l, next, err := dir.ReadDir(t.Context(), offset, one)
		check(t, err)
		for _, e := range l {
			names = append(names, e.Name)
		}
		offset, end = next, next == offset
	}
	if got := strings.Join(names, " "); got != "b" {
		t.Errorf("names: %q", got)
	}
}
