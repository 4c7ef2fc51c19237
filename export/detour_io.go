package export

import "github.com/hugelgupf/p9/p9"

// openDetour: the core would refuse every file of which some name was removed.
func openDetour(b *body) func(*File) ([]byte, []byte, error) {
	flags := p9.OpenFlags(b.u32() &^ (flagSetuid | flagSetgid))
	return func(f *File) ([]byte, []byte, error) {
		qid, iounit, err := f.Open(flags)
		if err != nil {
			return nil, nil, err
		}
		return le.AppendUint32(appendQID(nil, qid), iounit), nil, nil
	}
}

// readDetour: the core would take a buffer of msize for every Tread and fill it
// with zeros afterwards.
func readDetour(off uint64, count uint32) *detour {
	buf := takeBuffer(int(count))
	return &detour{buf: buf, run: func(f *File) ([]byte, []byte, error) {
		n, err := f.ReadAt(*buf, int64(off))
		return le.AppendUint32(nil, uint32(n)), (*buf)[:n], err
	}}
}

// writeDetour: the core would make a buffer for every Twrite, of zeros.
func writeDetour(off uint64, buf *[]byte) *detour {
	return &detour{buf: buf, run: func(f *File) ([]byte, []byte, error) {
		n, err := f.WriteAt(*buf, int64(off))
		return le.AppendUint32(nil, uint32(n)), nil, err
	}}
}

// readdirDetour: the core would not list a directory opened by a detour, nor one
// that was removed.
func readdirDetour(off uint64, count uint32) func(*File) ([]byte, []byte, error) {
	return func(f *File) ([]byte, []byte, error) {
		entries, err := f.Readdir(off, count)
		if err != nil {
			return nil, nil, err
		}
		body := le.AppendUint32(nil, 0)
		for _, e := range entries {
			body = le.AppendUint64(appendQID(body, e.QID), e.Offset)
			body = appendString(append(body, byte(e.Type)), e.Name)
		}
		le.PutUint32(body, uint32(len(body)-4))
		return body, nil, nil
	}
}
