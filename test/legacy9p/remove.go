package legacy9p

import (
	"context"

	"9fans.net/go/plan9/srv9p"
	"golang.org/x/sys/unix"
)

// remove removes the name that the fid was walked to; the fid is gone in any case.
func (s *session) remove(_ context.Context, fid *srv9p.Fid) error {
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
	o := f.open()
	if s.options.PathBased {
		o = nil
	}
	return words(s.removePath(f.where(), o))
}

// removePath removes the name p: only if it is still the file that o holds, unless that is nil.
func (s *session) removePath(p string, o *opened) error {
	if p == "." {
		return unix.EACCES
	}
	return s.inDir(p, func(dir int, name string) error {
		var st unix.Stat_t
		if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		isLink := st.Mode&unix.S_IFMT == unix.S_IFLNK
		if o != nil && o.inode != inodeOf(&st) && !isLink {
			return unix.ENOENT
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
		}
		err := unix.Unlinkat(dir, name, 0)
		if err == nil && st.Nlink == 1 && !isLink {
			s.bits.set(inodeOf(&st), 0)
		}
		return err
	})
}
