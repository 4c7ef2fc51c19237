package export

import (
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// Link makes newName another name of target: EPERM for a directory, EXDEV across
// file systems, ENOENT when target has no name left.
func (f *File) Link(target p9.File, newName string) error {
	t, ok := target.(*File)
	if !ok {
		return wire(unix.EINVAL)
	}
	return f.change(newName, func(dir int) error {
		if t.node.st.typ == unix.S_IFDIR {
			return unix.EPERM
		}
		return t.withPath(func(path string) error {
			return unix.Linkat(unix.AT_FDCWD, path, dir, newName, unix.AT_SYMLINK_FOLLOW)
		})
	})
}

// RenameAt renames oldName below f to newName below newDir, replacing what is
// there, as rename(2) does.
func (f *File) RenameAt(oldName string, newDir p9.File, newName string) error {
	d, ok := newDir.(*File)
	if !ok {
		return wire(unix.EINVAL)
	}
	return f.change(oldName, func(from int) error {
		return d.change(newName, func(to int) error {
			return again(func() error { return unix.Renameat(from, oldName, to, newName) })
		})
	})
}

// Rename is never called by the core, which has RenameAt.
func (f *File) Rename(p9.File, string) error { return wire(unix.ENOSYS) }

// UnlinkAt removes name: a directory, which must be empty, with AT_REMOVEDIR
// (0x200), and anything else without. Other flags are EINVAL.
func (f *File) UnlinkAt(name string, flags uint32) error {
	return f.change(name, func(dir int) error {
		if flags&^unix.AT_REMOVEDIR != 0 {
			return unix.EINVAL
		}
		return again(func() error { return unix.Unlinkat(dir, name, int(flags)) })
	})
}

// Readlink returns what the symlink says; EINVAL for anything else.
func (f *File) Readlink() (target string, err error) {
	if f.node.st.typ != unix.S_IFLNK {
		return "", wire(unix.EINVAL)
	}
	err = f.with(func(fd int) error {
		buf := make([]byte, unix.PathMax)
		return again(func() error {
			n, err := unix.Readlinkat(fd, "", buf)
			if err == nil {
				target = string(buf[:n])
			}
			return err
		})
	})
	return target, err
}
