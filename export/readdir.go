package export

import (
	"encoding/binary"
	"math"

	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// direntSize is what an entry takes in an Rreaddir, without its name:
// qid[13] offset[8] type[1] name[s].
const direntSize = 13 + 8 + 1 + 2

// getdentsMax bounds one look into a directory, in bytes.
const getdentsMax = 64 << 10

// Readdir returns as many entries as fit into count bytes of an Rreaddir, from
// offset on: 0, or the Offset of an entry returned before. Offsets are the file
// system's own d_off cookies, so they stay good while entries come and go.
// Entry types are DT_ values, qids are complete. "." and ".." are left out.
// EINVAL when not even one entry fits; none and no error at the end.
func (f *File) Readdir(offset uint64, count uint32) (p9.Dirents, error) {
	o, err := f.ioFile()
	if err != nil {
		return nil, err
	}
	if f.node.st.typ != unix.S_IFDIR {
		return nil, wire(unix.ENOTDIR)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	entries, err := o.readdirLocked(offset, int64(count), f.srv.rootDev())
	return entries, wire(err)
}

func (o *openFile) readdirLocked(offset uint64, room int64, rootDev uint64) (p9.Dirents, error) {
	if offset > math.MaxInt64 {
		return nil, unix.EINVAL
	}
	if offset != o.pos || offset == 0 {
		// Also at 0: that makes the kernel look afresh, as rewinddir does.
		if _, err := unix.Seek(o.fd, int64(offset), unix.SEEK_SET); err != nil {
			return nil, err
		}
		o.pos = offset
	}
	// A kernel record is hardly ever more than 1/6 smaller than ours, so mostly
	// nothing that was read must be thrown away again.
	buf := make([]byte, min(getdentsMax, max(room*6/7, 512)))
	var entries p9.Dirents
	for {
		var n int
		err := again(func() (err error) {
			n, err = unix.Getdents(o.fd, buf)
			return err
		})
		if err == unix.ENOENT { // the directory was removed
			return entries, nil
		}
		if err != nil || n <= 0 {
			return entries, err
		}
		for b := buf[:n]; len(b) > 0; {
			d, rest, ok := cutDirent(b)
			if !ok {
				return nil, unix.EIO
			}
			b = rest
			size := int64(direntSize + len(d.name))
			if d.name == "." || d.name == ".." {
				o.pos = d.off
				continue
			}
			if size > room {
				if len(entries) == 0 {
					o.pos = unknownPos
					return nil, unix.EINVAL
				}
				o.pos = unknownPos // fd stands behind what we return
				return entries, nil
			}
			o.pos = d.off
			e, ok := o.entry(d, rootDev)
			if !ok {
				continue
			}
			entries = append(entries, e)
			room -= size
		}
		if len(entries) > 0 {
			return entries, nil
		}
	}
}

// unknownPos is no d_off that a client could ask for and mean.
const unknownPos = ^uint64(0)

// entry completes a directory record with the attributes of what it names; false
// if that is gone. Where they may not be read the record has to do.
func (o *openFile) entry(d dirent, rootDev uint64) (p9.Dirent, bool) {
	e := p9.Dirent{Offset: d.off, Type: p9.QIDType(d.typ), Name: d.name}
	var s unix.Statx_t
	err := again(func() error {
		return unix.Statx(o.fd, d.name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, statxMask, &s)
	})
	switch {
	case err == unix.ENOENT:
		return e, false
	case err == nil:
		e.QID = qidOf(&s, rootDev)
		e.Type = p9.QIDType((uint32(s.Mode) & unix.S_IFMT) >> 12)
	default:
		e.QID = p9.QID{Path: d.ino}
		switch d.typ {
		case unix.DT_DIR:
			e.QID.Type = p9.TypeDir
		case unix.DT_LNK:
			e.QID.Type = p9.TypeSymlink
		}
	}
	return e, true
}

// dirent is a linux_dirent64.
type dirent struct {
	ino, off uint64
	typ      byte
	name     string
}

// cutDirent takes one record off what getdents64 wrote.
func cutDirent(b []byte) (d dirent, rest []byte, ok bool) {
	const fixed = 8 + 8 + 2 + 1
	if len(b) < fixed {
		return d, nil, false
	}
	n := int(binary.NativeEndian.Uint16(b[16:]))
	if n < fixed || n > len(b) {
		return d, nil, false
	}
	name := b[fixed:n]
	for i, c := range name {
		if c == 0 {
			name = name[:i]
			break
		}
	}
	return dirent{
		ino:  binary.NativeEndian.Uint64(b),
		off:  binary.NativeEndian.Uint64(b[8:]),
		typ:  b[18],
		name: string(name),
	}, b[n:], true
}
