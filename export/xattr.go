package export

import (
	"strings"

	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// xattrMax is Linux' XATTR_SIZE_MAX and XATTR_LIST_MAX, in bytes.
const xattrMax = 64 << 10

// SetXattr sets attr; flags are setxattr(2)'s XATTR_CREATE and XATTR_REPLACE.
func (f *File) SetXattr(attr string, data []byte, flags p9.XattrFlags) error {
	if f.srv.o.ReadOnly {
		return wire(unix.EROFS)
	}
	return f.withPath(func(path string) error { return unix.Setxattr(path, attr, data, int(flags)) })
}

// RemoveXattr removes attr: ENODATA if there is none.
func (f *File) RemoveXattr(attr string) error {
	if f.srv.o.ReadOnly {
		return wire(unix.EROFS)
	}
	return f.withPath(func(path string) error { return unix.Removexattr(path, attr) })
}

// GetXattr returns the value of attr: ENODATA if there is none.
func (f *File) GetXattr(attr string) (value []byte, err error) {
	return f.xattr(func(path string, buf []byte) (int, error) { return unix.Getxattr(path, attr, buf) })
}

// ListXattrs returns the names of the attributes that the server may see.
func (f *File) ListXattrs() ([]string, error) {
	list, err := f.listXattrs()
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00"), nil
}

// listXattrs returns the names as on the wire, each with its NUL.
func (f *File) listXattrs() ([]byte, error) { return f.xattr(unix.Listxattr) }

func (f *File) xattr(get func(path string, buf []byte) (int, error)) (value []byte, err error) {
	err = f.withPath(func(path string) error {
		buf := make([]byte, 512)
		n, err := get(path, buf)
		if err == unix.ERANGE {
			buf = make([]byte, xattrMax)
			n, err = get(path, buf)
		}
		if err == nil {
			value = buf[:n:n]
		}
		return err
	})
	return value, err
}
