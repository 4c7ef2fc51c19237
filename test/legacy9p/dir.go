package legacy9p

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// dirReader is where the Treads of a directory are. srv9p has checked the offset: 0, or where the last one ended.
type dirReader struct {
	mu      sync.Mutex // held while a Tread of this fid is served
	names   []string   // not yet looked at
	pending []byte     // the entry that did not fit
}

// readDir fills data with whole entries.
func (s *session) readDir(p string, d *dirReader, fd int, data []byte, rewind bool) (n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if rewind {
		d.pending = nil
		if d.names, err = namesIn(fd); err != nil {
			return 0, err
		}
	}
	for {
		if d.pending == nil {
			if len(d.names) == 0 {
				return n, nil
			}
			e, err := s.entryIn(p, fd, d.names[0])
			d.names = d.names[1:]
			if err != nil { // removed meanwhile, or a link to nowhere
				continue
			}
			if d.pending, err = s.bytes(e); err != nil {
				return n, err
			}
		}
		if len(d.pending) > len(data)-n {
			if n == 0 {
				return 0, unix.EMSGSIZE // 0 bytes would be the end
			}
			return n, nil
		}
		n += copy(data[n:], d.pending)
		d.pending = nil
	}
}

// namesIn lists a directory from its beginning, through a descriptor of its own.
func namesIn(fd int) ([]string, error) {
	fd, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(fd), "directory")
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err == io.EOF {
		err = nil
	}
	return names, err
}

func (s *session) entryIn(p string, dir int, name string) (*entry, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	if s.u == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		fd, err := s.object(step(p, name), true)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		return s.describe(step(p, name), fd)
	}
	return s.entry(step(p, name), &st, func() (string, error) { return readlink(dir, name) })
}
