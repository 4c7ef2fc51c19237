package export

import (
	"path/filepath"
	"testing"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// lockBody is a Tlock's.
func lockBody(fid uint32, typ p9.LockType, start, length uint64) []byte {
	b := append(u32s(fid), byte(typ))
	b = append(b, u32s(0)...)
	b = le.AppendUint64(le.AppendUint64(b, start), length)
	return appendString(append(b, u32s(4711)...), "client")
}

func getlockBody(fid uint32, typ p9.LockType, start, length uint64) []byte {
	b := append(u32s(fid), byte(typ))
	b = le.AppendUint64(le.AppendUint64(b, start), length)
	return appendString(append(b, u32s(4711)...), "client")
}

func TestLocksHoldBetweenConnections(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "f"), "0123456789")
	_, sock := serve(t, dir, Options{})
	a, b := attached(t, sock, 8192), attached(t, sock, 8192)
	for i, p := range []*peer{a, b} {
		p.ok(twalk, walkBody(0, 1, "f"))
		p.ok(tlopen, u32s(1, uint32(2*i))) // a: O_RDONLY, b: O_RDWR
	}
	lock := func(p *peer, typ p9.LockType, start, length uint64, want p9.LockStatus) {
		t.Helper()
		if r := p.ok(tlock, lockBody(1, typ, start, length)); p9.LockStatus(r[0]) != want {
			t.Errorf("lock %d at %d+%d: status %d, want %d", typ, start, length, r[0], want)
		}
	}
	const ok, blocked = p9.LockStatusOK, p9.LockStatusBlocked
	lock(a, p9.WriteLock, 0, 5, ok) // flock(2) of a client: a write lock on a read fid
	lock(b, p9.ReadLock, 4, 1, blocked)
	lock(b, p9.WriteLock, 5, 5, ok)
	lock(a, p9.WriteLock, 0, 0, blocked)
	// Tgetlock says who is in the way.
	r := b.ok(tgetlock, getlockBody(1, p9.ReadLock, 0, 0))
	if p9.LockType(r[0]) != p9.WriteLock || le.Uint64(r[1:]) != 0 || le.Uint64(r[9:]) != 5 {
		t.Errorf("Rgetlock: % x", r)
	}
	r = b.ok(tgetlock, getlockBody(1, p9.ReadLock, 6, 1))
	if p9.LockType(r[0]) != p9.Unlock || le.Uint32(r[17:]) != 4711 {
		t.Errorf("Rgetlock with nobody in the way: % x", r)
	}
	lock(b, p9.Unlock, 0, 0, ok)
	lock(a, p9.WriteLock, 0, 0, ok)
	lock(a, p9.Unlock, 2, 2, ok) // a hole
	lock(b, p9.ReadLock, 2, 2, ok)
	lock(b, p9.ReadLock, 3, 2, blocked)
	lock(a, p9.ReadLock, 0, 2, ok) // downgrade
	lock(b, p9.ReadLock, 0, 2, ok)
	lock(b, p9.WriteLock, 0, 2, blocked)
	// A local program sees them.
	fd, err := unix.Open(filepath.Join(dir, "f"), unix.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	l := unix.Flock_t{Type: unix.F_WRLCK, Start: 8, Len: 1}
	if err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &l); err != unix.EAGAIN {
		t.Errorf("a local lock in a client's way: %v", err)
	}
	// They end with the fid, and with the connection.
	a.ok(tclunk, u32s(1))
	lock(b, p9.WriteLock, 0, 1<<64-1, ok)
	b.c.Close()
	c := attached(t, sock, 8192)
	c.ok(twalk, walkBody(0, 1, "f"))
	c.ok(tlopen, u32s(1, 2))
	for range 1000 {
		if r := c.ok(tlock, lockBody(1, p9.WriteLock, 0, 0)); p9.LockStatus(r[0]) == ok {
			c.fails(tlock, lockBody(1, 3, 0, 0), linux.EINVAL)
			c.fails(tlock, lockBody(1, detourLock, 0, 0), linux.EINVAL)
			return
		}
	}
	t.Error("the lock outlived its connection")
}
