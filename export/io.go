package export

import (
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// ReadAt fills p from offset, in bytes. Fewer bytes and no error mean the end of
// the file, or an error right behind them, which the next call gets.
func (f *File) ReadAt(p []byte, offset int64) (int, error) {
	return f.transfer(p, offset, unix.O_WRONLY, unix.Pread)
}

// WriteAt writes p at offset, or at the end if the fid was opened with O_APPEND.
// When something was written before an error, that count is returned and no
// error: the client sends the rest and gets it then.
func (f *File) WriteAt(p []byte, offset int64) (int, error) {
	return f.transfer(p, offset, unix.O_RDONLY, unix.Pwrite)
}

// transfer calls op until p is through. refused is the access mode with which op
// is EBADF.
func (f *File) transfer(p []byte, offset int64, refused int, op func(int, []byte, int64) (int, error)) (int, error) {
	o, err := f.ioFile()
	if err != nil {
		return 0, err
	}
	switch {
	case offset < 0 || offset+int64(len(p)) < 0:
		return 0, wire(unix.EINVAL)
	case f.node.st.typ == unix.S_IFDIR:
		return 0, wire(unix.EISDIR)
	case o.access == refused:
		return 0, wire(unix.EBADF)
	}
	done := 0
	for done < len(p) {
		n, err := op(o.fd, p[done:], offset+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			if done > 0 {
				break
			}
			return 0, wire(err)
		}
		if n <= 0 {
			break
		}
		done += n
	}
	return done, nil
}

// FSync makes data and attributes of the open file durable: fsync(2).
func (f *File) FSync() error { return f.sync(false) }

// sync is fsync, or fdatasync if only the data matter.
func (f *File) sync(datasync bool) error {
	o, err := f.ioFile()
	if err != nil {
		return err
	}
	return wire(again(func() error {
		if datasync {
			return unix.Fdatasync(o.fd)
		}
		return unix.Fsync(o.fd)
	}))
}

// StatFS returns statfs(2) of the file system that f lies on.
func (f *File) StatFS() (p9.FSStat, error) {
	var s unix.Statfs_t
	err := f.with(func(fd int) error { return again(func() error { return unix.Fstatfs(fd, &s) }) })
	if err != nil {
		return p9.FSStat{}, err
	}
	return p9.FSStat{
		Type:            uint32(s.Type),
		BlockSize:       uint32(s.Bsize),
		Blocks:          s.Blocks,
		BlocksFree:      s.Bfree,
		BlocksAvailable: s.Bavail,
		Files:           s.Files,
		FilesFree:       s.Ffree,
		FSID:            uint64(uint32(s.Fsid.Val[0])) | uint64(uint32(s.Fsid.Val[1]))<<32,
		NameLength:      uint32(s.Namelen),
	}, nil
}
