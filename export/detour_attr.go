package export

import "github.com/hugelgupf/p9/p9"

// setattrDetour: the core would drop the setuid and setgid bits and refuse files
// that have no name any more.
func setattrDetour(b *body) func(*File) ([]byte, []byte, error) {
	v := b.u32()
	bit := func(n uint) bool { return v>>n&1 != 0 }
	valid := p9.SetAttrMask{
		Permissions: bit(0), UID: bit(1), GID: bit(2), Size: bit(3), ATime: bit(4), MTime: bit(5), CTime: bit(6),
		ATimeNotSystemTime: bit(7), MTimeNotSystemTime: bit(8),
	}
	a := p9.SetAttr{Permissions: p9.FileMode(b.u32()), UID: p9.UID(b.u32()), GID: p9.GID(b.u32()), Size: b.u64()}
	a.ATimeSeconds, a.ATimeNanoSeconds = b.u64(), b.u64()
	a.MTimeSeconds, a.MTimeNanoSeconds = b.u64(), b.u64()
	return func(f *File) ([]byte, []byte, error) { return nil, nil, f.SetAttr(valid, a) }
}

// getlockDetour: the core does not know Tgetlock.
func getlockDetour(b *body) func(*File) ([]byte, []byte, error) {
	typ, start, length, pid, client := p9.LockType(b.u8()), b.u64(), b.u64(), b.u32(), b.str()
	return func(f *File) ([]byte, []byte, error) {
		found, l, err := f.getLock(typ, start, length)
		if err != nil {
			return nil, nil, err
		}
		if found != p9.Unlock {
			start, length, pid, client = uint64(l.Start), uint64(l.Len), uint32(max(l.Pid, 0)), ""
		}
		m := le.AppendUint64([]byte{byte(found)}, start)
		m = le.AppendUint64(m, length)
		return appendString(le.AppendUint32(m, pid), client), nil, nil
	}
}
