package legacy9p

import (
	"context"
	"errors"
	"path"

	"9fans.net/go/plan9"
	"9fans.net/go/plan9/srv9p"
	"golang.org/x/sys/unix"
)

var (
	errNoSync    = errors.New("wstat prohibited")
	errWstatUID  = errors.New("wstat can't change uid")
	errWstatTime = errors.New("wstat can't change atime")
	errExtension = errors.New("wstat can't change extension")
	errGroup     = errors.New("unknown group")
)

const (
	keep32 = ^uint32(0) // don't touch
	keep64 = ^uint64(0)
)

// sync is the null Twstat.
func (s *session) sync(_ context.Context, fid *srv9p.Fid) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	f, err := fileOf(fid)
	if err != nil {
		return err
	}
	if s.options.NoSync {
		return errNoSync
	}
	return words(f.fsync())
}

func (f *file) fsync() error {
	if o := f.open(); o != nil && o.fd >= 0 {
		return unix.Fsync(o.fd)
	}
	obj, done, err := f.object()
	if err != nil {
		return err
	}
	defer done()
	var st unix.Stat_t
	if err := unix.Fstat(obj, &st); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
	default: // has nothing that could be synced
		return nil
	}
	fd, err := unix.Open(proc(obj), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == unix.EACCES {
		fd, err = unix.Open(proc(obj), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fsync(fd)
}

// change is a Twstat that has been found legal.
type change struct {
	from, to string // paths; equal: the name stays
	length   uint64 // keep64: stays
	uid, gid int    // -1: stay
	mode     uint32 // keep32: stays
	bits     plan9.Perm
	times    []unix.Timespec // nil: stay
}

func (s *session) wstat(_ context.Context, fid *srv9p.Fid, d *plan9.Dir) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	f, err := fileOf(fid)
	if err != nil {
		return err
	}
	if err := s.writable(); err != nil {
		return err
	}
	fd, done, err := f.object()
	if err != nil {
		return words(err)
	}
	defer done()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return words(err)
	}
	c, err := s.plan(f.where(), &st, d)
	if err != nil {
		return words(err)
	}
	return words(s.apply(f, fd, &st, c))
}

// plan looks for everything that is not allowed, before anything is changed.
func (s *session) plan(p string, st *unix.Stat_t, d *plan9.Dir) (*change, error) {
	c := &change{from: p, to: p, length: keep64, uid: -1, gid: -1, mode: keep32}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	uid := d.Uid
	if s.u != nil {
		var extension string
		if uid, c.uid, c.gid, extension = unsmuggleOwner(uid); extension != "" {
			return nil, errExtension
		}
	}
	if uid != "" && uid != userName(st.Uid) && c.uid < 0 {
		return nil, errWstatUID
	}
	if d.Gid != "" && d.Gid != groupName(st.Gid) && c.gid < 0 {
		var ok bool
		if c.gid, ok = groupID(d.Gid); !ok {
			return nil, errGroup
		}
	}
	if d.Name != "" && d.Name != path.Base(p) {
		if err := legal(d.Name); err != nil {
			return nil, err
		}
		if p == "." {
			return nil, unix.EACCES
		}
		c.to = step(path.Dir(p), d.Name)
	}
	if d.Length != keep64 && !(isDir && d.Length == 0) {
		if isDir {
			return nil, unix.EISDIR
		}
		if int64(d.Length) < 0 {
			return nil, unix.EFBIG
		}
		c.length = d.Length
	}
	if uint32(d.Mode) != keep32 {
		if err := s.knows(d.Mode); err != nil {
			return nil, err
		}
		c.mode, c.bits = uint32(d.Mode)&0o777, d.Mode&attributeBits
		if s.u != nil {
			c.mode = unixBitsU(d.Mode)
		}
	}
	return c, s.planTimes(c, st, d)
}

func (s *session) planTimes(c *change, st *unix.Stat_t, d *plan9.Dir) error {
	a, m := unix.Timespec{Nsec: unix.UTIME_OMIT}, unix.Timespec{Nsec: unix.UTIME_OMIT}
	if d.Atime != keep32 {
		if s.u == nil && d.Atime != uint32(st.Atim.Sec) {
			return errWstatTime
		}
		if s.u != nil {
			a = unix.Timespec{Sec: int64(d.Atime)}
		}
	}
	if d.Mtime != keep32 {
		m = unix.Timespec{Sec: int64(d.Mtime)}
	}
	if a.Nsec == 0 || m.Nsec == 0 {
		c.times = []unix.Timespec{a, m}
	}
	return nil
}

// apply renames first, which is what fails most, and back if something else fails.
func (s *session) apply(f *file, fd int, st *unix.Stat_t, c *change) error {
	if c.to != c.from {
		if err := s.rename(c.from, c.to, f.open()); err != nil {
			return err
		}
	}
	if err := s.setAttributes(fd, st, c); err != nil {
		if c.to != c.from {
			err = errors.Join(err, s.rename(c.to, c.from, nil))
		}
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.path = c.to
	return nil
}

// rename never replaces a file. If o holds a file, from must still be that.
func (s *session) rename(from, to string, o *opened) error {
	return s.inDir(from, func(dir int, name string) error {
		var st unix.Stat_t
		if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if o != nil && o.inode != inodeOf(&st) && st.Mode&unix.S_IFMT != unix.S_IFLNK && !s.options.PathBased {
			return unix.ENOENT
		}
		return unix.Renameat2(dir, name, dir, path.Base(to), unix.RENAME_NOREPLACE)
	})
}

// setAttributes changes the file that fd stands for. The mode follows the owner, whose change clears set-user-ID, and the
// times come last, as a truncation changes them.
func (s *session) setAttributes(fd int, st *unix.Stat_t, c *change) error {
	if c.length != keep64 {
		if err := unix.Truncate(proc(fd), int64(c.length)); err != nil {
			return err
		}
	}
	if c.uid >= 0 || c.gid >= 0 {
		if err := unix.Fchownat(fd, "", c.uid, c.gid, unix.AT_EMPTY_PATH); err != nil {
			return err
		}
	}
	if c.mode != keep32 && st.Mode&unix.S_IFMT != unix.S_IFLNK { // links have none
		if err := unix.Fchmodat(unix.AT_FDCWD, proc(fd), c.mode, 0); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			s.bits.set(inodeOf(st), c.bits)
		}
	}
	if c.times != nil {
		return unix.UtimesNanoAt(unix.AT_FDCWD, proc(fd), c.times, 0)
	}
	return nil
}
