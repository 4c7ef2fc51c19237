package legacy9p

import (
	"errors"
	"sync"

	"9fans.net/go/plan9"
	"9fans.net/go/plan9/srv9p"
	"golang.org/x/sys/unix"
)

var ( // srv9p's words
	errUnknownFid  = errors.New("unknown fid")
	errDuplicate   = errors.New("duplicate open")
	errNotOpen     = errors.New("not open for read")
	errNotWritable = errors.New("not open for write")
)

// file is what a fid stands for.
type file struct {
	s *session

	mu     sync.Mutex // guards everything below
	path   string
	opened *opened // nil before Topen and Tcreate
}

// opened is what an open fid holds. It does not change.
type opened struct {
	inode     inode
	qid       plan9.Qid
	fd        int        // -1: by path
	flags     int        // for open(2), by path
	dir       *dirReader // of a directory
	fifo      *fifo      // of a FIFO
	remove    bool       // ORCLOSE
	exclusive bool       // to be released
	special   bool       // a link or a device, made by Tcreate
}

func fileOf(fid *srv9p.Fid) (*file, error) {
	f, ok := fid.Aux().(*file)
	if !ok {
		return nil, errUnknownFid
	}
	return f, nil
}

func (f *file) where() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.path
}

func (f *file) open() *opened {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened
}

// object returns a descriptor of the file, for fstat and for proc; it is valid until done.
func (f *file) object() (fd int, done func(), err error) {
	if o := f.open(); o != nil && o.fd >= 0 {
		return o.fd, func() {}, nil
	}
	fd, err = f.s.object(f.where(), f.s.u == nil)
	if err != nil {
		return -1, nil, err
	}
	return fd, func() { unix.Close(fd) }, nil
}

// set makes o what the fid holds, at path p, or releases it.
func (f *file) set(p string, o *opened) error {
	f.mu.Lock()
	if f.opened != nil {
		f.mu.Unlock()
		f.s.drop(o)
		return errDuplicate
	}
	f.path, f.opened = p, o
	f.mu.Unlock()
	f.s.hold(f)
	return nil
}

// release gives up what the fid holds, once, and removes the file if it was opened with ORCLOSE and is still there.
func (f *file) release() {
	o := f.open()
	if o.remove {
		f.s.removePath(f.where(), o)
	}
	f.s.drop(o)
}

func (s *session) drop(o *opened) {
	if o.exclusive {
		s.bits.release(o.inode)
	}
	switch {
	case o.fifo != nil:
		o.fifo.Close()
	case o.fd >= 0:
		unix.Close(o.fd)
	}
}
