package forgetful

import (
	"time"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
)

// Flags of Tlopen and Tlcreate.
const (
	flagTrunc  = 0o1000
	flagAppend = 0o2000
)

// A file is what a fid stands for: package export's, but for the content of regular files.
type file struct {
	p9.File
	srv    *Server
	path   uint64 // qid.path
	typ    p9.QIDType
	opened bool
	mode   p9.OpenFlags // valid when opened
	append bool         // valid when opened
}

var _ p9.File = (*file)(nil)

// inner is export's File, which looks into the Files that it is given.
func inner(f p9.File) p9.File { return f.(*file).File }

// walked is where a walk from f ended.
func (f *file) walked(qids []p9.QID, to p9.File) *file {
	g := &file{File: to, srv: f.srv, path: f.path, typ: f.typ}
	if n := len(qids); n > 0 {
		g.path, g.typ = qids[n-1].Path, qids[n-1].Type
	}
	return g
}

func (f *file) Walk(names []string) ([]p9.QID, p9.File, error) {
	qids, to, err := f.File.Walk(names)
	if err != nil {
		return nil, nil, err
	}
	return qids, f.walked(qids, to), nil
}

func (f *file) WalkGetAttr(names []string) ([]p9.QID, p9.File, p9.AttrMask, p9.Attr, error) {
	qids, to, mask, attr, err := f.File.WalkGetAttr(names)
	if err != nil {
		return nil, nil, mask, attr, err
	}
	g := f.walked(qids, to)
	if len(qids) > 0 {
		g.amend(&qids[len(qids)-1], &attr)
	} else {
		g.amend(&p9.QID{}, &attr)
	}
	return qids, g, mask, attr, nil
}

func (f *file) GetAttr(req p9.AttrMask) (p9.QID, p9.AttrMask, p9.Attr, error) {
	qid, mask, attr, err := f.File.GetAttr(req)
	if err == nil {
		f.amend(&qid, &attr)
	}
	return qid, mask, attr, err
}

// amend makes attributes those of the unsynced content.
func (f *file) amend(qid *p9.QID, attr *p9.Attr) {
	m := f.srv.known(f)
	if m == nil {
		return
	}
	size, modified, changes, ok := m.attributes()
	if !ok {
		return
	}
	attr.Size = uint64(size)
	attr.MTimeSeconds, attr.MTimeNanoSeconds = uint64(modified.Unix()), uint64(modified.Nanosecond())
	attr.CTimeSeconds, attr.CTimeNanoSeconds = attr.MTimeSeconds, attr.MTimeNanoSeconds
	qid.Version += changes
}

// SetAttr changes the size in memory, and the rest on the disk.
func (f *file) SetAttr(valid p9.SetAttrMask, attr p9.SetAttr) error {
	if valid.Size && f.typ == p9.TypeRegular {
		if int64(attr.Size) < 0 {
			return linux.EINVAL
		}
		m, err := f.srv.image(f)
		if err != nil {
			return err
		}
		if err := m.Resize(int64(attr.Size)); err != nil {
			return err
		}
		valid.Size = false
	}
	if valid == (p9.SetAttrMask{}) {
		return nil
	}
	return f.File.SetAttr(valid, attr)
}

func (f *file) Open(flags p9.OpenFlags) (p9.QID, uint32, error) {
	host := flags
	if f.typ == p9.TypeRegular {
		host &^= flagTrunc | flagAppend
	}
	qid, iounit, err := f.File.Open(host)
	if err != nil {
		return qid, iounit, err
	}
	return qid, iounit, f.isOpen(flags)
}

func (f *file) isOpen(flags p9.OpenFlags) error {
	f.opened, f.mode, f.append = true, flags.Mode(), flags&flagAppend != 0
	if f.typ != p9.TypeRegular || flags&flagTrunc == 0 {
		return nil
	}
	m, err := f.srv.image(f)
	if err != nil {
		return err
	}
	return m.Resize(0)
}

func (f *file) Create(name string, flags p9.OpenFlags, perm p9.FileMode, uid p9.UID, gid p9.GID) (p9.File, p9.QID, uint32, error) {
	to, qid, iounit, err := f.File.Create(name, flags&^(flagTrunc|flagAppend), perm, uid, gid)
	if err != nil {
		return nil, qid, iounit, err
	}
	g := f.walked([]p9.QID{qid}, to)
	if err := g.isOpen(flags); err != nil {
		g.Close()
		return nil, qid, iounit, err
	}
	return g, qid, iounit, nil
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if m := f.srv.known(f); m != nil && f.opened && f.mode != p9.WriteOnly && off >= 0 {
		return m.ReadAt(p, off)
	}
	return f.File.ReadAt(p, off)
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	switch {
	case !f.opened || f.mode == p9.ReadOnly || f.typ != p9.TypeRegular:
		return 0, linux.EBADF
	case off < 0 || off+int64(len(p)) < 0:
		return 0, linux.EINVAL
	case f.append:
		off = -1
	}
	m, err := f.srv.image(f)
	if err != nil {
		return 0, err
	}
	return m.WriteAt(p, off)
}

func (f *file) FSync() error { return f.srv.sync(f.srv.known(f)) }

func (f *file) Link(target p9.File, newName string) error { return f.File.Link(inner(target), newName) }

func (f *file) Rename(newDir p9.File, newName string) error {
	return f.File.Rename(inner(newDir), newName)
}

func (f *file) RenameAt(oldName string, newDir p9.File, newName string) error {
	return f.File.RenameAt(oldName, inner(newDir), newName)
}

func (f *file) Renamed(newDir p9.File, newName string) { f.File.Renamed(inner(newDir), newName) }

// hostFile is a regular file of the directory as a disk.
type hostFile struct{ p9.File }

// newHostFile opens the file of f once more.
func newHostFile(f p9.File) (hostFile, error) {
	_, d, err := f.Walk(nil)
	if err != nil {
		return hostFile{}, err
	}
	if _, _, err := d.Open(p9.ReadWrite); err != nil {
		d.Close()
		return hostFile{}, err
	}
	return hostFile{d}, nil
}

func (h hostFile) Size() (int64, error) {
	_, _, attr, err := h.GetAttr(p9.AttrMask{Size: true})
	return int64(attr.Size), err
}

func (h hostFile) Resize(size int64) error {
	return h.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{Size: uint64(size)})
}

func (h hostFile) SetModified(t time.Time) error {
	return h.SetAttr(p9.SetAttrMask{MTime: true, MTimeNotSystemTime: true},
		p9.SetAttr{MTimeSeconds: uint64(t.Unix()), MTimeNanoSeconds: uint64(t.Nanosecond())})
}
