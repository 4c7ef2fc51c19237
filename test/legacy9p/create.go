package legacy9p

import (
	"context"
	"errors"

	"9fans.net/go/plan9"
	"9fans.net/go/plan9/srv9p"
	"golang.org/x/sys/unix"
)

var errBits = errors.New("unknown bits in mode")

// knows refuses bits that would be forgotten. DMTMP is a hint only.
func (s *session) knows(perm plan9.Perm) error {
	known := plan9.Perm(plan9.DMDIR | attributeBits | plan9.DMTMP | 0o777)
	if s.u != nil {
		known |= specialU | plan9.DMSETUID | plan9.DMSETGID | dmSticky
	}
	if perm&^known != 0 {
		return errBits
	}
	return nil
}

func (s *session) create(_ context.Context, fid *srv9p.Fid, name string, perm plan9.Perm, mode uint8) (plan9.Qid, error) {
	if err := s.enter(); err != nil {
		return plan9.Qid{}, err
	}
	defer s.leave()
	f, err := fileOf(fid)
	if err != nil {
		return plan9.Qid{}, err
	}
	var extension string
	if s.u != nil {
		name, extension = unsmuggleCreate(name)
	}
	if err := s.writable(); err != nil {
		return plan9.Qid{}, err
	}
	if err := legal(name); err != nil {
		return plan9.Qid{}, words(err)
	}
	if err := s.knows(perm); err != nil {
		return plan9.Qid{}, err
	}
	p := step(f.where(), name)
	var o *opened
	err = s.inDir(p, func(dir int, name string) error {
		o, err = s.createIn(dir, name, perm, mode, extension)
		return err
	})
	if err != nil {
		return plan9.Qid{}, words(err)
	}
	return o.qid, f.set(p, o)
}

// createIn makes name in dir and opens it, if it is of a kind that can be opened.
func (s *session) createIn(dir int, name string, perm plan9.Perm, mode uint8, extension string) (*opened, error) {
	unixMode, err := s.permission(dir, perm)
	if err != nil {
		return nil, err
	}
	if perm&specialU != 0 {
		return s.special(dir, name, perm, unixMode, extension)
	}
	if perm&plan9.DMDIR != 0 {
		if mode&^plan9.ORCLOSE != plan9.OREAD {
			return nil, unix.EISDIR
		}
		return s.mkdir(dir, name, unixMode, mode)
	}
	flags := openFlags(mode)
	fd, err := unix.Openat(dir, name, flags|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, unixMode&0o700)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fchmod(fd, unixMode); err == nil { // whatever the umask
		err = unix.Fstat(fd, &st)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	s.bits.set(inodeOf(&st), perm)
	return s.newOpened(fd, flags, mode)
}

// permission is the mode of a new file in dir. Open(5)'s rule is plain 9P2000's; clients of 9P2000.u have applied a umask.
func (s *session) permission(dir int, perm plan9.Perm) (uint32, error) {
	if s.u != nil {
		return unixBitsU(perm), nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return 0, err
	}
	mask := uint32(0o666)
	if perm&plan9.DMDIR != 0 {
		mask = 0o777
	}
	return uint32(perm) & 0o777 & (^mask | st.Mode&mask), nil
}

func (s *session) mkdir(dir int, name string, unixMode uint32, mode uint8) (*opened, error) {
	if err := unix.Mkdirat(dir, name, 0o700); err != nil {
		return nil, err
	}
	flags := openFlags(mode) | unix.O_DIRECTORY
	fd, err := unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Fchmod(fd, unixMode); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return s.newOpened(fd, flags, mode)
}
