package p9client

import (
	"encoding/binary"
	"math"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A wstat is what a test looks at of a Twstat.
type wstat struct {
	mode, atime, mtime uint32
	uid, gid           string
	uidN, gidN         uint32
}

// wstatOf takes a Twstat apart, with fixed places and not by the code under test.
func wstatOf(m msg, unix bool) (w wstat) {
	b := m.body[4+2+2:] // fid, and two sizes
	b = b[2+4+13:]      // type, dev, qid
	w.mode, w.atime, w.mtime = binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	b = b[3*4+8:]
	str := func() string {
		n := binary.LittleEndian.Uint16(b)
		s := string(b[2 : 2+n])
		b = b[2+n:]
		return s
	}
	str() // name
	w.uid, w.gid = str(), str()
	if unix {
		str() // muid
		str() // extension
		w.uidN, w.gidN = binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	}
	return w
}

// asks makes a session of a dialect with a server that has the file f, and returns
// what it is asked to change. refuse decides over each Twstat.
func asks(t *testing.T, dialect string, mode uint32, refuse func(w wstat) syscall.Errno) (*Session, *Fid, func() []wstat) {
	s := startServer(t)
	s.add("f", 0, "hello")
	s.speak(dialect)
	var seen []wstat
	s.setHook(func(p *peer, m msg) bool {
		switch m.typ {
		case tstat:
			b := s.root.kids["f"].stat("f", dialect == DotU)
			binary.LittleEndian.PutUint32(b[statMode:], mode)
			rstat(b)(p, m)
			return true
		case twstat:
			w := wstatOf(m, dialect == DotU)
			seen = append(seen, w)
			if errno := refuse(w); errno != 0 {
				return p.failed(m, errno)
			}
			p.reply(m)
			return true
		}
		return false
	})
	x := s.dial(Options{Dialect: dialect})
	f, err := x.Root().Walk(t.Context(), "f")
	check(t, err)
	t.Cleanup(f.Clunk)
	return x, f, func() []wstat {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Clone(seen)
	}
}

func allow(wstat) syscall.Errno { return 0 }

// stat(5) has more bits in a mode than chmod(2): those stay.
func TestChangeOfModeLeavesTheOtherBits(t *testing.T) {
	for _, r := range []struct {
		dialect string
		was     uint32
		mode    uint32
		want    uint32
	}{
		{Plain, 0644, 0600, 0600},
		{Plain, dmAppend | 0644, 0600, dmAppend | 0600},
		{Plain, dmExcl | 0644, 0600, dmExcl | 0600},
		{DotU, dmNamedPipe | 0644, 0600, dmNamedPipe | 0600},
		{DotU, dmSocket | 0644, 0600, dmSocket | 0600},
		{DotU, dmDevice | 0644, 0600, dmDevice | 0600},
		{DotU, dmSymlink | 0777, 0600, dmSymlink | 0600},
		{DotU, dmSetuid | dmSetgid | dmSetvtx | 0777, 0700, 0700},
		{DotU, 0777, 07700, dmSetuid | dmSetgid | dmSetvtx | 0700},
	} {
		_, f, seen := asks(t, r.dialect, r.was, allow)
		check(t, f.SetAttr(t.Context(), SetAttr{Valid: SetMode, Mode: r.mode}))
		if w := seen(); len(w) != 1 || w[0].mode != r.want {
			t.Errorf("%s: mode %#o, chmod %#o: sent %+v, want the mode %#o", r.dialect, r.was, r.mode, w, r.want)
		}
	}
}

// Users and groups are sent by their names, and in 9P2000.u by their numbers too.
func TestChangeOfOwnerSendsTheNames(t *testing.T) {
	for _, dialect := range []string{Plain, DotU} {
		x, f, seen := asks(t, dialect, 0644, allow)
		x.mu.Lock()
		names := x.conn.say.(legacy).ids
		x.mu.Unlock()
		names.mu.Lock()
		names.unames[70001], names.gnames[70001] = "glenn", "sys"
		names.mu.Unlock()
		check(t, f.SetAttr(t.Context(), SetAttr{Valid: SetUID | SetGID, UID: 70001, GID: 70001}))
		check(t, f.SetAttr(t.Context(), SetAttr{Valid: SetUID | SetGID, UID: 70002, GID: 70003})) // who have none
		no := ^uint32(0)
		want := []wstat{{no, no, no, "glenn", "sys", 70001, 70001}, {no, no, no, "70002", "70003", 70002, 70003}}
		if dialect == Plain {
			for i := range want {
				want[i].uidN, want[i].gidN = 0, 0
			}
		}
		if w := seen(); !slices.Equal(w, want) {
			t.Errorf("%s: sent %+v, want %+v", dialect, w, want)
		}
	}
}

// A server that cannot set the time of access still sets what else is asked for;
// but that alone it refuses.
func TestTimeOfAccessIsLeftOutWhereItIsRefused(t *testing.T) {
	no := ^uint32(0)
	refuse := func(w wstat) syscall.Errno {
		if w.atime != no {
			return syscall.EPERM
		}
		return 0
	}
	at := time.Unix(1000, 0)
	for _, r := range []struct {
		set  SetAttr
		want syscall.Errno
		last wstat
	}{
		{SetAttr{Valid: SetAtime | SetAtimeTo, Atime: at}, syscall.EPERM, wstat{mode: no, atime: 1000, mtime: no}},
		{SetAttr{Valid: SetAtime | SetAtimeTo | SetMtime | SetMtimeTo, Atime: at, Mtime: at}, 0, wstat{mode: no, atime: no, mtime: 1000}},
	} {
		_, f, seen := asks(t, Plain, 0644, refuse)
		err := f.SetAttr(t.Context(), r.set)
		if r.want != 0 {
			want(t, err, r.want)
		} else {
			check(t, err)
		}
		w := seen()
		if got := w[len(w)-1]; got != r.last {
			t.Errorf("the last Twstat is %+v, want %+v", got, r.last)
		}
	}
}

// What 32 bits of seconds cannot say becomes the nearest that they can; all bits
// set mean something else.
func TestSecondsStayWithinTheirBits(t *testing.T) {
	now := time.Unix(5000, 0)
	for _, r := range []struct {
		t     time.Time
		given bool
		want  uint32
	}{
		{time.Unix(1000, 999), true, 1000},
		{time.Unix(-1, 0), true, 0},
		{time.Unix(math.MaxUint32, 0), true, math.MaxUint32 - 1},
		{time.Unix(1<<40, 0), true, math.MaxUint32 - 1},
		{time.Unix(1000, 0), false, 5000},
	} {
		if got := seconds(r.t, now, r.given); got != r.want {
			t.Errorf("%v, given: %v: %d, want %d", r.t, r.given, got, r.want)
		}
	}
}

// A server without the null Twstat refuses it in its own way, which is not to be
// taken for lost data; what is lost data is.
func TestServerWithoutNullTwstatCannotSync(t *testing.T) {
	for said, told := range map[syscall.Errno]syscall.Errno{
		syscall.EPERM: syscall.EOPNOTSUPP, syscall.EACCES: syscall.EOPNOTSUPP, syscall.EINVAL: syscall.EOPNOTSUPP,
		syscall.ENOSYS: syscall.EOPNOTSUPP, syscall.EOPNOTSUPP: syscall.EOPNOTSUPP,
		syscall.EIO: syscall.EIO, syscall.ENOSPC: syscall.ENOSPC, syscall.EDQUOT: syscall.EDQUOT, syscall.EROFS: syscall.EROFS,
	} {
		_, f, _ := asks(t, Plain, 0644, func(wstat) syscall.Errno { return said })
		check(t, f.Open(t.Context(), syscall.O_RDWR))
		want(t, f.Sync(t.Context(), false), told)
	}
}

// Somebody else may make the file between the look and the Tcreate.
func TestCreateOpensWhatAppearsMeanwhile(t *testing.T) {
	for _, excl := range []uint32{0, syscall.O_EXCL} {
		s := startServer(t)
		s.speak(Plain)
		x := s.dial(Options{Dialect: Plain})
		fids := x.inUse()
		s.once(tcreate, func(p *peer, m msg) {
			s.root.kids["f"] = s.newNode(0)
			p.fail(m, syscall.EEXIST)
		})
		f, err := x.Root().Create(t.Context(), "f", syscall.O_RDWR|excl, 0600, 0)
		if excl != 0 {
			want(t, err, syscall.EEXIST)
		} else {
			check(t, err)
			f.Clunk()
		}
		eventually(t, "as many fids as before", func() bool { return x.inUse() == fids })
	}
}

// A file that comes and goes at each look is given up.
func TestCreateOfWhatComesAndGoesEnds(t *testing.T) {
	s := startServer(t)
	s.speak(Plain)
	x := s.dial(Options{Dialect: Plain})
	s.always(tcreate, func(p *peer, m msg) { p.fail(m, syscall.EEXIST) })
	want(t, ofNew(x.Root().Create(t.Context(), "f", syscall.O_RDWR, 0600, 0)), syscall.EAGAIN)
}

func TestOpenModesOfPlan9(t *testing.T) {
	for flags, want := range map[uint32]uint8{
		syscall.O_RDONLY: 0, syscall.O_WRONLY: 1, syscall.O_RDWR: 2, syscall.O_ACCMODE: 0, // 3 is OEXEC there
		syscall.O_WRONLY | syscall.O_TRUNC: 0x11, syscall.O_RDWR | syscall.O_CREAT | syscall.O_EXCL: 2,
	} {
		if got := openMode(flags); got != want {
			t.Errorf("flags %#x: mode %#x, want %#x", flags, got, want)
		}
	}
}
