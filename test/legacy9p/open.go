package legacy9p

import (
	"context"

	"9fans.net/go/plan9"
	"9fans.net/go/plan9/srv9p"
	"golang.org/x/sys/unix"
)

// openFlags are open(2)'s for a mode of Topen. O_NONBLOCK is for FIFOs.
func openFlags(mode uint8) int {
	flags := unix.O_NONBLOCK | unix.O_NOCTTY
	switch mode & 3 {
	case plan9.OWRITE:
		flags |= unix.O_WRONLY
	case plan9.ORDWR:
		flags |= unix.O_RDWR
	}
	return flags
}

func (s *session) openFid(_ context.Context, fid *srv9p.Fid, mode uint8) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	f, err := fileOf(fid)
	if err != nil {
		return err
	}
	if mode&3 == plan9.OWRITE || mode&3 == plan9.ORDWR || mode&(plan9.OTRUNC|plan9.ORCLOSE) != 0 {
		if err := s.writable(); err != nil {
			return err
		}
	}
	p := f.where()
	o, err := s.openPath(p, mode)
	if err != nil {
		return words(err)
	}
	if err := f.set(p, o); err != nil {
		return err
	}
	fid.SetQid(o.qid)
	return nil
}

// openPath opens what is at p. Truncation comes last: after every reason to refuse.
func (s *session) openPath(p string, mode uint8) (*opened, error) {
	obj, err := s.object(p, s.u == nil)
	if err != nil {
		return nil, err
	}
	defer unix.Close(obj)
	var st unix.Stat_t
	if err := unix.Fstat(obj, &st); err != nil {
		return nil, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFIFO, unix.S_IFDIR:
	case unix.S_IFLNK:
		return nil, unix.ELOOP
	default: // to open a device may do something
		return nil, unix.EACCES
	}
	if mode&3 == plan9.OEXEC && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if err := unix.Access(proc(obj), unix.X_OK); err != nil {
			return nil, err
		}
	}
	flags := openFlags(mode)
	fd, err := unix.Open(proc(obj), flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	o, err := s.newOpened(fd, flags, mode)
	if err != nil {
		return nil, err
	}
	if mode&plan9.OTRUNC != 0 && o.fifo == nil && s.bits.get(o.inode)&plan9.DMAPPEND == 0 {
		if err = unix.Truncate(proc(obj), 0); err == nil {
			err = unix.Fstat(obj, &st)
		}
		if err != nil {
			s.drop(o)
			return nil, err
		}
		o.qid = s.qid(&st)
	}
	return o, nil
}

// newOpened takes over the descriptor fd, also when it fails.
func (s *session) newOpened(fd, flags int, mode uint8) (*opened, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, err
	}
	o := &opened{inode: inodeOf(&st), fd: fd, flags: flags, qid: s.qid(&st), remove: mode&plan9.ORCLOSE != 0}
	var err error
	if o.exclusive, err = s.bits.acquire(o.inode); err != nil {
		unix.Close(fd)
		return nil, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		o.dir = &dirReader{}
	case unix.S_IFIFO:
		o.fifo = newFIFO(fd)
		return o, nil // has no bytes that a second open would find again
	}
	if s.options.PathBased {
		unix.Close(fd)
		o.fd = -1
	}
	return o, nil
}

// descriptor returns one that the fid was opened for; it is valid until done.
func (f *file) descriptor(o *opened) (fd int, done func(), err error) {
	if o.fd >= 0 {
		return o.fd, func() {}, nil
	}
	if fd, err = f.s.at(f.where(), o.flags, 0); err != nil {
		return -1, nil, err
	}
	return fd, func() { unix.Close(fd) }, nil
}
