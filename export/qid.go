package export

import (
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// device joins the halves of st_dev as Linux does.
func device(s *unix.Statx_t) uint64 { return unix.Mkdev(s.Dev_major, s.Dev_minor) }

// qidOf makes the qid of a file from its attributes; rootDev is DIR's device.
func qidOf(s *unix.Statx_t, rootDev uint64) p9.QID {
	return p9.QID{Type: qidType(s), Version: qidVersion(s), Path: qidPath(device(s), s.Ino, rootDev)}
}

// qidType knows directories, symlinks and append-only files (chattr +a);
// everything else is a plain file in 9P.
func qidType(s *unix.Statx_t) p9.QIDType {
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return p9.TypeDir
	case unix.S_IFLNK:
		return p9.TypeSymlink
	case unix.S_IFREG:
		if s.Attributes&unix.STATX_ATTR_APPEND != 0 {
			return p9.TypeAppendOnly
		}
	}
	return p9.TypeRegular
}

// qidPath is the inode number on DIR's own device. Others get a hash with the
// top bit set, so that two devices below DIR do not share paths.
func qidPath(dev, ino, rootDev uint64) uint64 {
	if dev == rootDev {
		return ino
	}
	return mix(ino^mix(dev)) | 1<<63
}

// dataVersion changes whenever ctime, mtime or size does.
func dataVersion(s *unix.Statx_t) uint64 {
	v := mix(uint64(s.Ctime.Sec)) ^ uint64(s.Ctime.Nsec)
	v = mix(v) ^ uint64(s.Mtime.Sec)
	v = mix(v) ^ uint64(s.Mtime.Nsec)
	return mix(mix(v) ^ s.Size)
}

// qidVersion folds dataVersion. 0 is left out: to clients it means "none".
func qidVersion(s *unix.Statx_t) uint32 {
	v := dataVersion(s)
	if f := uint32(v ^ v>>32); f != 0 {
		return f
	}
	return 1
}

// mix is the finalizer of splitmix64: every input bit reaches every output bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
