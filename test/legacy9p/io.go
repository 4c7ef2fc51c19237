package legacy9p

import (
	"context"

	"9fans.net/go/plan9"
	"9fans.net/go/plan9/srv9p"
	"golang.org/x/sys/unix"
)

func (s *session) read(ctx context.Context, fid *srv9p.Fid, data []byte, offset int64) (int, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	f, err := fileOf(fid)
	if err != nil {
		return 0, err
	}
	o := f.open() // srv9p takes a fid that is not open for one open with OEXEC
	switch {
	case o == nil, o.special:
		return 0, errNotOpen
	case o.fifo != nil:
		n, err := o.fifo.read(ctx, s.ctx, data)
		return n, words(err)
	}
	fd, done, err := f.descriptor(o)
	if err != nil {
		return 0, words(err)
	}
	defer done()
	if o.dir != nil {
		n, err := s.readDir(f.where(), o.dir, fd, data, offset == 0)
		return n, words(err)
	}
	n, err := pread(fd, data, offset)
	return n, words(err)
}

// pread reads until data is full or the file ends.
func pread(fd int, data []byte, offset int64) (n int, err error) {
	for n < len(data) {
		m, err := unix.Pread(fd, data[n:], offset+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil && n > 0, err == nil && m == 0:
			return n, nil
		case err != nil:
			return 0, err
		default:
			n += m
		}
	}
	return n, nil
}

func (s *session) write(ctx context.Context, fid *srv9p.Fid, data []byte, offset int64) (int, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	f, err := fileOf(fid)
	if err != nil {
		return 0, err
	}
	o := f.open()
	switch {
	case o == nil, o.special, o.dir != nil:
		return 0, errNotWritable
	case o.fifo != nil:
		n, err := o.fifo.write(ctx, s.ctx, data)
		return n, words(err)
	}
	fd, done, err := f.descriptor(o)
	if err != nil {
		return 0, words(err)
	}
	defer done()
	flags := 0
	if s.bits.get(o.inode)&plan9.DMAPPEND != 0 {
		flags = unix.RWF_APPEND // at the end, whatever the offset
	}
	n, err := pwrite(fd, data, offset, flags)
	return n, words(err)
}

// pwrite says how much was written before an error, if anything was.
func pwrite(fd int, data []byte, offset int64, flags int) (n int, err error) {
	for n < len(data) {
		var m int
		if flags == 0 {
			m, err = unix.Pwrite(fd, data[n:], offset+int64(n))
		} else {
			m, err = unix.Pwritev2(fd, [][]byte{data[n:]}, offset+int64(n), flags)
		}
		switch {
		case err == unix.EINTR:
		case err != nil && n > 0:
			return n, nil
		case err != nil:
			return 0, err
		default:
			n += m
		}
	}
	return n, nil
}
