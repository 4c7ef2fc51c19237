package export

import (
	"math"

	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

func (f *File) stat() (s unix.Statx_t, err error) {
	err = f.with(func(fd int) (err error) {
		s, err = stat(fd)
		return err
	})
	return s, err
}

// GetAttr returns everything known, whatever was asked; the mask says what is
// valid. The birth time is missing where the file system keeps none, the
// generation always. DataVersion is the hash that qid.version is folded from.
func (f *File) GetAttr(p9.AttrMask) (p9.QID, p9.AttrMask, p9.Attr, error) {
	s, err := f.stat()
	if err != nil {
		return p9.QID{}, p9.AttrMask{}, p9.Attr{}, err
	}
	mask, attr := attrOf(&s)
	return qidOf(&s, f.srv.rootDev()), mask, attr, nil
}

func attrOf(s *unix.Statx_t) (p9.AttrMask, p9.Attr) {
	mask := p9.AttrMaskAll
	mask.Gen = false
	mask.BTime = s.Mask&unix.STATX_BTIME != 0
	return mask, p9.Attr{
		Mode:             p9.FileMode(s.Mode),
		UID:              p9.UID(s.Uid),
		GID:              p9.GID(s.Gid),
		NLink:            p9.NLink(s.Nlink),
		RDev:             p9.Dev(unix.Mkdev(s.Rdev_major, s.Rdev_minor)),
		Size:             s.Size,
		BlockSize:        uint64(s.Blksize),
		Blocks:           s.Blocks,
		ATimeSeconds:     uint64(s.Atime.Sec),
		ATimeNanoSeconds: uint64(s.Atime.Nsec),
		MTimeSeconds:     uint64(s.Mtime.Sec),
		MTimeNanoSeconds: uint64(s.Mtime.Nsec),
		CTimeSeconds:     uint64(s.Ctime.Sec),
		CTimeNanoSeconds: uint64(s.Ctime.Nsec),
		BTimeSeconds:     uint64(s.Btime.Sec),
		BTimeNanoSeconds: uint64(s.Btime.Nsec),
		DataVersion:      dataVersion(s),
	}
}

// SetAttr changes size, owner, mode and times, in this order, because a new owner
// costs the setuid bits and a new size the mtime. It stops at the first error.
// Times without "NotSystemTime" become now; CTime is what the kernel makes it.
func (f *File) SetAttr(valid p9.SetAttrMask, a p9.SetAttr) error {
	if valid.Empty() {
		return nil
	}
	if f.srv.o.ReadOnly {
		return wire(unix.EROFS)
	}
	times, err := timesOf(valid, a)
	if err != nil {
		return wire(err)
	}
	if valid.Size {
		if err := f.truncate(a.Size); err != nil {
			return err
		}
	}
	if valid.UID || valid.GID {
		uid, gid := -1, -1
		if valid.UID {
			uid = int(int32(a.UID))
		}
		if valid.GID {
			gid = int(int32(a.GID))
		}
		if err := f.with(func(fd int) error { return chown(fd, uid, gid) }); err != nil {
			return err
		}
	}
	if valid.Permissions {
		mode := uint32(a.Permissions) & 0o7777
		if err := f.withPath(func(path string) error { return unix.Chmod(path, mode) }); err != nil {
			return err
		}
	}
	if valid.ATime || valid.MTime {
		return f.withPath(func(path string) error { return unix.UtimesNanoAt(unix.AT_FDCWD, path, times[:], 0) })
	}
	return nil
}

func chown(fd, uid, gid int) error {
	return again(func() error { return unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH) })
}

// truncate uses the descriptor that is open for writing if there is one: it keeps
// the right to, whatever the mode has become.
func (f *File) truncate(size uint64) error {
	if size > math.MaxInt64 {
		return wire(unix.EINVAL)
	}
	if f.node.st.typ == unix.S_IFDIR {
		return wire(unix.EISDIR)
	}
	if o := f.opened.Load(); o != nil && o.access != unix.O_RDONLY && f.node.st.typ == unix.S_IFREG {
		return f.with(func(fd int) error { return again(func() error { return unix.Ftruncate(fd, int64(size)) }) })
	}
	return f.withPath(func(path string) error { return unix.Truncate(path, int64(size)) })
}

// timesOf makes utimensat's pair: a time, now, or left alone.
func timesOf(valid p9.SetAttrMask, a p9.SetAttr) (ts [2]unix.Timespec, err error) {
	one := func(set, given bool, sec, nsec uint64) unix.Timespec {
		switch {
		case !set:
			return unix.Timespec{Nsec: unix.UTIME_OMIT}
		case !given:
			return unix.Timespec{Nsec: unix.UTIME_NOW}
		case nsec >= 1e9:
			err = unix.EINVAL
		}
		return unix.Timespec{Sec: int64(sec), Nsec: int64(nsec)}
	}
	ts[0] = one(valid.ATime, valid.ATimeNotSystemTime, a.ATimeSeconds, a.ATimeNanoSeconds)
	ts[1] = one(valid.MTime, valid.MTimeNotSystemTime, a.MTimeSeconds, a.MTimeNanoSeconds)
	return ts, err
}
