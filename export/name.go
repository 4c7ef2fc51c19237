package export

import (
	"strings"

	"golang.org/x/sys/unix"
)

// validName admits one path component. Its length is the file system's matter
// (ENAMETOOLONG), and any other byte is allowed, as on Linux.
func validName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return unix.EINVAL
	}
	return nil
}
