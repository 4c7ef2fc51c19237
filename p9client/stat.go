package p9client

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Mode bits of stat(5), and those that 9P2000.u adds.
const (
	dmDir       = 0x80000000
	dmAppend    = 0x40000000
	dmExcl      = 0x20000000
	dmSymlink   = 0x02000000
	dmLink      = 0x01000000
	dmDevice    = 0x00800000
	dmNamedPipe = 0x00200000
	dmSocket    = 0x00100000
	dmSetuid    = 0x00080000
	dmSetgid    = 0x00040000
	dmSetvtx    = 0x00010000
)

// unixBits are the bits of chmod(2) that only 9P2000.u has.
var unixBits = []struct{ dm, mode uint32 }{
	{dmSetuid, syscall.S_ISUID}, {dmSetgid, syscall.S_ISGID}, {dmSetvtx, syscall.S_ISVTX},
}

// A stat is a directory entry of stat(5). The fields below name are 9P2000.u's.
type stat struct {
	typ                         uint16
	dev                         uint32
	qid                         Qid
	mode, atime, mtime          uint32
	length                      uint64
	name, uid, gid, muid        string
	extension                   string
	uidNumber, gidNumber, muidN uint32
}

// dontTouch is the stat whose Twstat changes nothing: it asks for a sync.
func dontTouch() stat {
	const no = ^uint32(0)
	return stat{
		typ: ^uint16(0), dev: no, qid: Qid{^uint8(0), no, ^uint64(0)},
		mode: no, atime: no, mtime: no, length: ^uint64(0),
		uidNumber: no, gidNumber: no, muidN: no,
	}
}

// stat takes one entry, of 9P2000.u if unix is true. Its own size must be right.
func (d *decoder) stat(unix bool) (s stat) {
	e := decoder{b: d.take(int(d.u16()))}
	s.typ, s.dev, s.qid = e.u16(), e.u32(), e.qid()
	s.mode, s.atime, s.mtime, s.length = e.u32(), e.u32(), e.u32(), e.u64()
	s.name, s.uid, s.gid, s.muid = e.str(), e.str(), e.str(), e.str()
	if unix {
		s.extension = e.str()
		s.uidNumber, s.gidNumber, s.muidN = e.u32(), e.u32(), e.u32()
	}
	if err := e.end(); err != nil {
		d.fail(fmt.Errorf("stat entry: %w", err))
	}
	return s
}

func (e *encoder) stat(s stat, unix bool) {
	start := len(e.b)
	e.u16(0)
	e.u16(s.typ)
	e.u32(s.dev)
	e.u8(s.qid.Type)
	e.u32(s.qid.Version)
	e.u64(s.qid.Path)
	e.u32(s.mode)
	e.u32(s.atime)
	e.u32(s.mtime)
	e.u64(s.length)
	for _, x := range []string{s.name, s.uid, s.gid, s.muid} {
		e.str(x)
	}
	if unix {
		e.str(s.extension)
		e.u32(s.uidNumber)
		e.u32(s.gidNumber)
		e.u32(s.muidN)
	}
	n := len(e.b) - start - 2
	e.b[start], e.b[start+1] = byte(n), byte(n>>8)
}

// fileType is the S_IFMT part of stat(2)'s mode.
func (s *stat) fileType(unix bool) uint32 {
	switch {
	case s.qid.Type&QTDIR != 0:
		return syscall.S_IFDIR
	case !unix:
		return syscall.S_IFREG
	case s.mode&dmSymlink != 0:
		return syscall.S_IFLNK
	case s.mode&dmNamedPipe != 0:
		return syscall.S_IFIFO
	case s.mode&dmSocket != 0:
		return syscall.S_IFSOCK
	case s.mode&dmDevice != 0 && strings.HasPrefix(s.extension, "b "):
		return syscall.S_IFBLK
	case s.mode&dmDevice != 0:
		return syscall.S_IFCHR
	}
	return syscall.S_IFREG
}

// check refuses what no file can be.
func (s *stat) check() error {
	switch {
	case s.length > math.MaxInt64:
		return fmt.Errorf("stat entry with a length of %d bytes", s.length)
	case (s.mode&dmDir != 0) != (s.qid.Type&QTDIR != 0):
		return fmt.Errorf("stat entry with mode %#o and qid type %#x: is it a directory?", s.mode, s.qid.Type)
	}
	return nil
}

// attr turns a stat into attributes. 9P2000 counts no links and has no time of
// change; a file there has one link, for there are no others.
func (s *stat) attr(names *ids, unix bool) Attr {
	a := Attr{
		Valid: AttrMode | AttrUID | AttrGID | AttrAtime | AttrMtime | AttrIno | AttrSize | AttrNlink,
		Qid:   s.qid, Mode: s.fileType(unix) | s.mode&0777, Nlink: 1, Size: int64(s.length),
		Blksize: 4096, Blocks: (s.length + 511) / 512,
		Atime: time.Unix(int64(s.atime), 0), Mtime: time.Unix(int64(s.mtime), 0), Ctime: time.Unix(int64(s.mtime), 0),
		User: s.uid, Group: s.gid, Muid: s.muid,
	}
	if unix {
		a.Valid &^= AttrNlink
		for _, b := range unixBits {
			if s.mode&b.dm != 0 {
				a.Mode |= b.mode
			}
		}
		a.Rdev = s.rdev()
		if s.mode&dmSymlink != 0 {
			a.Size = int64(len(s.extension))
		}
	}
	if a.UID = s.uidNumber; !unix || a.UID == NoUID {
		a.UID = names.uid(s.uid)
	}
	if a.GID = s.gidNumber; !unix || a.GID == NoUID {
		a.GID = names.gid(s.gid)
	}
	return a
}

// rdev is the device number in the extension of a device: "c 1 3".
func (s *stat) rdev() uint64 {
	if s.mode&dmDevice == 0 {
		return 0
	}
	w := strings.Fields(s.extension)
	if len(w) != 3 {
		return 0
	}
	major, err1 := strconv.ParseUint(w[1], 10, 12)
	minor, err2 := strconv.ParseUint(w[2], 10, 20)
	if err1 != nil || err2 != nil {
		return 0
	}
	return minor&0xff | major<<8 | minor&^0xff<<12
}
