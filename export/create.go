package export

import (
	"time"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// Create opens name below f, making it if need be, as open(2) with O_CREAT does;
// with O_EXCL an existing name is EEXIST. A name that exists is never followed:
// a symlink is ELOOP, a fifo or device ENXIO.
func (f *File) Create(name string, flags p9.OpenFlags, perm p9.FileMode, uid p9.UID, gid p9.GID) (p9.File, p9.QID, uint32, error) {
	host, err := hostFlags(flags)
	if err == nil && f.opened.Load() != nil { // the fid becomes the new file's
		err = unix.EBUSY
	}
	if err != nil {
		return nil, p9.QID{}, 0, wire(err)
	}
	if host&unix.O_DIRECTORY != 0 {
		return nil, p9.QID{}, 0, wire(unix.EINVAL)
	}
	mode := uint32(perm) & 0o7777
	if flags&flagSetuid != 0 {
		mode |= unix.S_ISUID
	}
	if flags&flagSetgid != 0 {
		mode |= unix.S_ISGID
	}
	to, qid, err := f.create(name, host, flags&flagExcl != 0, mode, f.ownerFor(uid, gid))
	if err != nil {
		return nil, p9.QID{}, 0, wire(err)
	}
	return to, qid, 0, nil
}

// createTries bounds the race against others who make and remove the same name.
const createTries = 16

func (f *File) create(name string, host int, excl bool, mode uint32, who owner) (to *File, qid p9.QID, err error) {
	for range createTries {
		to, qid, err = f.createNew(name, host, mode, who)
		if errnoOf(err) != linux.EEXIST || excl {
			return to, qid, err
		}
		if to, qid, err = f.openOld(name, host); errnoOf(err) != linux.ENOENT {
			return to, qid, err
		}
	}
	return nil, qid, unix.EAGAIN
}

// openOld opens what has the name already.
func (f *File) openOld(name string, host int) (*File, p9.QID, error) {
	_, to, _, err := f.walk([]string{name})
	if err != nil {
		return nil, p9.QID{}, err
	}
	o, s, err := to.open(host)
	if err != nil {
		to.Close()
		return nil, p9.QID{}, err
	}
	to.opened.Store(o)
	return to, qidOf(&s, f.srv.rootDev()), nil
}

// createNew makes a new file, or fails with EEXIST.
func (f *File) createNew(name string, host int, mode uint32, who owner) (to *File, qid p9.QID, err error) {
	err = f.change(name, func(dir int) error {
		var fd int
		err := again(func() (err error) {
			fd, err = unix.Openat(dir, name, host&^unix.O_TRUNC|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, mode)
			return err
		})
		if err != nil {
			return err
		}
		o := &openFile{fd: fd, access: host & unix.O_ACCMODE, lockFD: -1}
		s, path, err := f.finish(dir, fd, mode, who)
		if err != nil {
			o.close()
			unix.Unlinkat(dir, name, 0)
			return err
		}
		to = f.on(f.srv.paths.node(path, &s, f.node, name))
		to.opened.Store(o)
		qid = qidOf(&s, f.srv.rootDev())
		return nil
	})
	return to, qid, err
}

// finish gives a file just created its owner and mode, and an O_PATH descriptor.
func (f *File) finish(dir, fd int, mode uint32, who owner) (s unix.Statx_t, path int, err error) {
	if s, err = f.adopt(dir, fd, mode, who); err != nil {
		return s, -1, err
	}
	err = again(func() error {
		path, err = unix.Open(procPath(fd), unix.O_PATH|unix.O_CLOEXEC, 0)
		return err
	})
	return s, path, err
}

// Mkdir makes a directory. Its setgid bit is inherited, as everywhere on Linux.
func (f *File) Mkdir(name string, perm p9.FileMode, uid p9.UID, gid p9.GID) (p9.QID, error) {
	mode := uint32(perm) & 0o1777
	return f.make(name, unix.S_IFDIR, mode, f.ownerFor(uid, gid), func(dir int) error {
		return unix.Mkdirat(dir, name, mode)
	})
}

// Symlink makes newName a symlink that says oldName, whatever that is: the
// server never follows it.
func (f *File) Symlink(oldName, newName string, uid p9.UID, gid p9.GID) (p9.QID, error) {
	return f.make(newName, unix.S_IFLNK, 0o777, f.ownerFor(uid, gid), func(dir int) error {
		return unix.Symlinkat(oldName, dir, newName)
	})
}

// Mknod makes a fifo, a socket, a device or an empty file. Devices are up to the
// kernel: EPERM for all but a privileged server.
func (f *File) Mknod(name string, mode p9.FileMode, major, minor uint32, uid p9.UID, gid p9.GID) (p9.QID, error) {
	typ, perm := uint32(mode)&unix.S_IFMT, uint32(mode)&0o7777
	dev := 0
	switch typ {
	case 0:
		typ = unix.S_IFREG
	case unix.S_IFREG, unix.S_IFIFO, unix.S_IFSOCK:
	case unix.S_IFCHR, unix.S_IFBLK:
		if major >= 1<<12 || minor >= 1<<20 {
			return p9.QID{}, wire(unix.EINVAL)
		}
		dev = int(unix.Mkdev(major, minor))
	case unix.S_IFDIR:
		return p9.QID{}, wire(unix.EPERM)
	default:
		return p9.QID{}, wire(unix.EINVAL)
	}
	return f.make(name, typ, perm, f.ownerFor(uid, gid), func(dir int) error {
		return unix.Mknodat(dir, name, typ|perm, dev)
	})
}

// make runs one of the calls that create a name without opening it, then adopts
// what is there under the name, after a look whether it can be what was made: a
// local user may have put something else in its place, which must not get a new
// owner. That stays as it is.
func (f *File) make(name string, typ, mode uint32, who owner, call func(dir int) error) (qid p9.QID, err error) {
	err = f.change(name, func(dir int) error {
		start := time.Now()
		if err := again(func() error { return call(dir) }); err != nil {
			return err
		}
		fd, err := openPath(dir, name)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		s, err := stat(fd)
		if err != nil {
			return err
		}
		if uint32(s.Mode)&unix.S_IFMT != typ {
			return unix.ESTALE
		}
		parent, err := stat(dir)
		if err != nil {
			return err
		}
		if isNew(&s, &parent, time.Since(start)) {
			if s, err = f.adopt(dir, fd, mode, who); err != nil {
				return err
			}
		} else {
			f.srv.log.Warn("export: not the object that was just made; its owner and mode are left alone", "name", name)
		}
		qid = qidOf(&s, f.srv.rootDev())
		return nil
	})
	return qid, err
}

// clockSlack is how far two timestamps of one moment may lie apart: the kernel's
// coarse clock ticks every 1 to 10 ms.
const clockSlack = 20 * time.Millisecond

// isNew tells whether s can have been made in parent during the time it took. Only
// the file system's own clock is asked, which may be another host's: the entry's
// making is in the parent's ctime, or something later is, which makes us stricter.
func isNew(s, parent *unix.Statx_t, took time.Duration) bool {
	if s.Mode&unix.S_IFMT != unix.S_IFDIR && s.Nlink > 1 {
		return false
	}
	if s.Mask&unix.STATX_BTIME == 0 {
		return true
	}
	born := time.Unix(s.Btime.Sec, int64(s.Btime.Nsec))
	changed := time.Unix(parent.Ctime.Sec, int64(parent.Ctime.Nsec))
	return !born.Before(changed.Add(-took - clockSlack))
}

// owner is whom a new object shall belong to; -1 leaves the server's identity.
type owner struct{ uid, gid int }

// ownerFor prefers what the message says to what the attach said.
func (f *File) ownerFor(uid p9.UID, gid p9.GID) owner {
	o := owner{-1, -1}
	if !f.srv.asRoot {
		return o
	}
	if f.owner != uint32(p9.NoUID) {
		o.uid = int(f.owner)
	}
	if uid.Ok() {
		o.uid = int(uid)
	}
	if gid.Ok() {
		o.gid = int(gid)
	}
	return o
}

// adopt gives a new object owner and exact mode, and returns its attributes.
func (f *File) adopt(dir, fd int, mode uint32, who owner) (unix.Statx_t, error) {
	s, err := stat(fd)
	if err != nil {
		return s, err
	}
	typ := uint32(s.Mode) & unix.S_IFMT
	if typ == unix.S_IFDIR {
		mode |= uint32(s.Mode) & unix.S_ISGID
	}
	if who.gid >= 0 && who.gid != int(s.Gid) {
		parent, err := stat(dir)
		if err != nil {
			return s, err
		}
		if parent.Mode&unix.S_ISGID != 0 {
			who.gid = -1
		}
	}
	changed := false
	if who.uid >= 0 && who.uid != int(s.Uid) || who.gid >= 0 && who.gid != int(s.Gid) {
		err := chown(fd, who.uid, who.gid)
		if err != nil && err != unix.EPERM && err != unix.EINVAL { // user namespaces, squashed NFS
			return s, err
		}
		changed = true
	}
	have := uint32(s.Mode) & 0o7777
	if typ != unix.S_IFLNK && (have != mode && !hasDefaultACL(dir) || changed && mode&(unix.S_ISUID|unix.S_ISGID) != 0) {
		if err := again(func() error { return unix.Chmod(procPath(fd), mode) }); err != nil {
			return s, err
		}
		changed = true
	}
	if changed {
		return stat(fd)
	}
	return s, nil
}

// hasDefaultACL: then the kernel has masked the mode by the ACL, not by the
// umask, and there is nothing to give back.
func hasDefaultACL(dir int) bool {
	n, err := unix.Getxattr(procPath(dir), "system.posix_acl_default", nil)
	return err == nil && n > 0
}
