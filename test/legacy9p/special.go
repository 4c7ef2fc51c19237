package legacy9p

import (
	"fmt"

	"9fans.net/go/plan9"
	"golang.org/x/sys/unix"
)

// Bits of 9P2000.u's permissions that package plan9 lacks.
const (
	dmLink   = 0x01000000
	dmSticky = 0x00010000
)

// specialU are the kinds of files that only 9P2000.u's Tcreate makes.
const specialU = plan9.DMSYMLINK | dmLink | plan9.DMDEVICE | plan9.DMNAMEDPIPE | plan9.DMSOCKET

// modeU are the bits of 9P2000.u for a Unix mode, without the permissions.
func modeU(mode uint32) (p plan9.Perm) {
	switch mode & unix.S_IFMT {
	case unix.S_IFLNK:
		p = plan9.DMSYMLINK
	case unix.S_IFCHR, unix.S_IFBLK:
		p = plan9.DMDEVICE
	case unix.S_IFIFO:
		p = plan9.DMNAMEDPIPE
	case unix.S_IFSOCK:
		p = plan9.DMSOCKET
	}
	for _, b := range extraBits {
		if mode&b.unix != 0 {
			p |= b.u
		}
	}
	return p
}

var extraBits = []struct {
	unix uint32
	u    plan9.Perm
}{{unix.S_ISUID, plan9.DMSETUID}, {unix.S_ISGID, plan9.DMSETGID}, {unix.S_ISVTX, dmSticky}}

// unixBitsU are the permission bits of a 9P2000.u mode.
func unixBitsU(p plan9.Perm) uint32 {
	mode := uint32(p) & 0o777
	for _, b := range extraBits {
		if p&b.u != 0 {
			mode |= b.unix
		}
	}
	return mode
}

// special makes what perm says. The fid stands for it then, but cannot be read or written.
func (s *session) special(dir int, name string, perm plan9.Perm, unixMode uint32, extension string) (*opened, error) {
	var err error
	switch perm & specialU {
	case plan9.DMSYMLINK:
		err = unix.Symlinkat(extension, dir, name)
	case dmLink:
		err = s.hardLink(dir, name, extension)
	case plan9.DMNAMEDPIPE:
		err = mknod(dir, name, unix.S_IFIFO, unixMode, 0)
	case plan9.DMSOCKET:
		err = mknod(dir, name, unix.S_IFSOCK, unixMode, 0)
	case plan9.DMDEVICE:
		err = device(dir, name, unixMode, extension)
	default: // several at once
		err = unix.EINVAL
	}
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	return &opened{inode: inodeOf(&st), qid: s.qid(&st), fd: -1, special: true}, nil
}

func (s *session) hardLink(dir int, name, path string) error {
	fd, err := s.object(path, false)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Linkat(unix.AT_FDCWD, proc(fd), dir, name, unix.AT_SYMLINK_FOLLOW)
}

func device(dir int, name string, unixMode uint32, extension string) error {
	var kind byte
	var major, minor uint32
	if n, err := fmt.Sscanf(extension, "%c %d %d", &kind, &major, &minor); n != 3 || err != nil {
		return unix.EINVAL
	}
	kinds := map[byte]uint32{'c': unix.S_IFCHR, 'b': unix.S_IFBLK}
	if kinds[kind] == 0 {
		return unix.EINVAL
	}
	return mknod(dir, name, kinds[kind], unixMode, unix.Mkdev(major, minor))
}

func mknod(dir int, name string, kind, unixMode uint32, dev uint64) error {
	if err := unix.Mknodat(dir, name, kind|unixMode&0o700, int(dev)); err != nil {
		return err
	}
	return unix.Fchmodat(dir, name, unixMode, 0) // whatever the umask
}
