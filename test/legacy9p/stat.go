package legacy9p

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"path"

	"9fans.net/go/plan9"
	"9fans.net/go/plan9/srv9p"
	"golang.org/x/sys/unix"
)

// qid makes a file's qid. Links have a bit of their own in 9P2000.u only; elsewhere nobody gets to see one.
func (t *tree) qid(st *unix.Stat_t) plan9.Qid {
	q := plan9.Qid{Path: st.Ino, Vers: qidVersion(st)}
	if st.Dev != t.dev {
		h := fnv.New64a()
		binary.Write(h, le, st.Dev)
		q.Path ^= h.Sum64() << 48
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		q.Type |= plan9.QTDIR
	case unix.S_IFLNK:
		q.Type |= plan9.QTSYMLINK
	}
	bits := t.bits.get(inodeOf(st))
	if bits&plan9.DMAPPEND != 0 {
		q.Type |= plan9.QTAPPEND
	}
	if bits&plan9.DMEXCL != 0 {
		q.Type |= plan9.QTEXCL
	}
	return q
}

// qidVersion is never 0, which some servers use for "no version".
func qidVersion(st *unix.Stat_t) uint32 {
	h := fnv.New32a()
	binary.Write(h, le, [...]int64{st.Size, st.Mtim.Nano(), st.Ctim.Nano()})
	return max(h.Sum32(), 1)
}

// entry is a directory entry: what stat(5) says of a file.
type entry struct {
	plan9.Dir
	extension string // these are 9P2000.u's
	uid, gid  uint32
}

// entry describes the file that st was got from. Link reads it if it is a symbolic link.
func (s *session) entry(p string, st *unix.Stat_t, link func() (string, error)) (*entry, error) {
	e := &entry{uid: st.Uid, gid: st.Gid}
	e.Dir = plan9.Dir{
		Name:  path.Base(p),
		Qid:   s.qid(st),
		Mode:  plan9.Perm(st.Mode&0o777) | s.bits.get(inodeOf(st)),
		Atime: uint32(st.Atim.Sec),
		Mtime: uint32(st.Mtim.Sec),
		Uid:   userName(st.Uid),
		Gid:   groupName(st.Gid),
	}
	e.Muid = e.Dir.Uid
	if p == "." {
		e.Name = "/"
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR: // its length is 0
		e.Mode |= plan9.DMDIR
	case unix.S_IFREG, unix.S_IFLNK:
		e.Length = uint64(st.Size)
	}
	if s.u == nil {
		return e, nil
	}
	e.Mode |= modeU(st.Mode)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		var err error
		e.extension, err = link()
		return e, err
	case unix.S_IFCHR:
		e.extension = fmt.Sprintf("c %d %d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	case unix.S_IFBLK:
		e.extension = fmt.Sprintf("b %d %d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	return e, nil
}

// bytes encodes it as the session's dialect does.
func (s *session) bytes(e *entry) ([]byte, error) {
	b, err := e.Dir.Bytes()
	if err != nil || s.u == nil {
		return b, err
	}
	return appendStatU(b, e), nil
}

// describe is the entry of the object that fd stands for, at path p.
func (s *session) describe(p string, fd int) (*entry, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	return s.entry(p, &st, func() (string, error) { return readlink(fd, "") })
}

func readlink(dir int, name string) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

func (s *session) stat(_ context.Context, fid *srv9p.Fid) (*plan9.Dir, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	f, err := fileOf(fid)
	if err != nil {
		return nil, err
	}
	fd, done, err := f.object()
	if err != nil {
		return nil, words(err)
	}
	defer done()
	e, err := s.describe(f.where(), fd)
	if err != nil {
		return nil, words(err)
	}
	b, err := s.bytes(e)
	if err != nil {
		return nil, err
	}
	if len(b)+headerSize+2 > int(s.msize) { // srv9p would not answer at all
		return nil, words(unix.EMSGSIZE)
	}
	if s.u != nil {
		e.Muid = s.u.smuggleStat(e, f.where())
	}
	return &e.Dir, nil
}
