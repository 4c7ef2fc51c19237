package fusefs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"p9mapfs/p9client"
)

// killpriv is the capability by which we promise to take setuid and setgid bits
// away when a file is written. Without it the kernel asks for security.capability
// before every write(2), which takes as long as the WRITE.
const killpriv = fuse.CAP_HANDLE_KILLPRIV_V2

// setIDs are the bits of mode that a write takes away. A setgid bit without the
// group's x is for locking.
func setIDs(mode uint32) uint32 {
	bits := mode & syscall.S_ISUID
	if mode&syscall.S_IXGRP != 0 {
		bits |= mode & syscall.S_ISGID
	}
	return bits
}

// dropSetIDs takes f's setuid and setgid bits away, if it has any. A server whose
// user is root does not do that by itself.
func (f *file) dropSetIDs(ctx context.Context) error {
	f.mu.Lock()
	mode := f.last.Mode
	f.mu.Unlock()
	bits := setIDs(mode)
	if bits == 0 || f.wb == nil {
		return nil
	}
	if err := f.fid.SetAttr(ctx, p9client.SetAttr{Valid: p9client.SetMode, Mode: mode & 07777 &^ bits}); err != nil {
		return err
	}
	f.mu.Lock()
	f.last.Mode &^= bits
	f.mu.Unlock()
	return nil
}

// privileged reports whether a caller may write a file and leave such bits.
func privileged(ctx context.Context) bool {
	c, ok := fuse.FromContext(ctx)
	return !ok || c.Uid == 0
}
