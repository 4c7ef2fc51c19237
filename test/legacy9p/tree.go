package legacy9p

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// tree is the exported directory. Paths are relative to it: names joined by slashes, "." for itself.
type tree struct {
	options Options
	root    int    // O_PATH descriptor
	dev     uint64 // of root
	bits    attributes
}

func openTree(dir string, o Options) (*tree, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	t := &tree{options: o, root: fd}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	t.dev = st.Dev
	return t, nil
}

func (t *tree) close() error { return unix.Close(t.root) }

// at opens a path, which must not lead out of the tree; a link that does is as good as dangling.
func (t *tree) at(p string, flags int, mode uint32) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Mode:    uint64(mode),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	for range 1000 {
		fd, err := unix.Openat2(t.root, p, &how)
		switch err {
		case unix.EAGAIN, unix.EINTR: // something was renamed meanwhile
			continue
		case unix.EXDEV:
			return -1, unix.ENOENT
		}
		return fd, err
	}
	return -1, unix.EAGAIN
}

// object opens what a path stands for, not for reading or writing: links are followed if follow is set.
func (t *tree) object(p string, follow bool) (int, error) {
	flags := unix.O_PATH
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	return t.at(p, flags, 0)
}

// inDir calls do with a descriptor of the directory that p is in, and p's last name.
func (t *tree) inDir(p string, do func(dir int, name string) error) error {
	fd, err := t.at(path.Dir(p), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return do(fd, path.Base(p))
}

// proc is a path of the object that fd stands for, for system calls that refuse O_PATH descriptors.
func proc(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// step is the path of name in p; `..` of the root is the root.
func step(p, name string) string {
	if name == ".." {
		return path.Dir(p)
	}
	return path.Join(p, name)
}

var (
	errName     = errors.New("bad character in file name")
	errReadOnly = errors.New("read-only file system")
)

// legal reports whether a new file may have this name.
func legal(name string) error {
	switch {
	case name == "", name == ".", name == "..", strings.ContainsAny(name, "/\x00"):
		return errName
	case len(name) > unix.NAME_MAX:
		return unix.ENAMETOOLONG
	}
	return nil
}

// writable is the error of every change if there is to be none.
func (t *tree) writable() error {
	if t.options.ReadOnly {
		return errReadOnly
	}
	return nil
}
