package p9test

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// File is a file that a Helper has open, with at most one mapping. Offsets are those of the file. Errors wrap a
// syscall.Errno, or a *SIGBUS for accesses to the mapping.
type File struct {
	h    *Helper
	Slot int
}

// Open opens path in the helper; flags as in "rw,creat" (test/maphelper). A helper opens at most 1000 files in its life.
func (h *Helper) Open(ctx context.Context, path, flags string) (*File, error) {
	h.mu.Lock()
	f := &File{h: h, Slot: h.lastSlot}
	h.lastSlot++
	h.mu.Unlock()
	return f, f.do(ctx, "open", strconv.Quote(path), flags)
}

// Go sends "VERB SLOT WORDS..." and does not wait.
func (f *File) Go(verb string, words ...any) *Call {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d", verb, f.Slot)
	for _, w := range words {
		fmt.Fprintf(&b, " %v", w)
	}
	return f.h.Go(b.String())
}

func (f *File) do(ctx context.Context, verb string, words ...any) error {
	_, err := f.Go(verb, words...).Wait(ctx)
	return err
}

// Map maps n bytes (0: to the end of the file) at off, shared and writable if words ("ro", "private") do not say otherwise.
func (f *File) Map(ctx context.Context, off, n int64, words ...any) error {
	return f.do(ctx, "map", append([]any{off, n}, words...)...)
}

// Unmap is munmap.
func (f *File) Unmap(ctx context.Context) error { return f.do(ctx, "unmap") }

// Close is close(2), with its verdict; a mapping stays.
func (f *File) Close(ctx context.Context) error { return f.do(ctx, "close") }

// Load reads n bytes, at most 1 MiB, through the mapping.
func (f *File) Load(ctx context.Context, off int64, n int) ([]byte, error) {
	return f.bytes(ctx, "load", off, n)
}

// Pread reads at most n bytes, at most 1 MiB, by one pread(2).
func (f *File) Pread(ctx context.Context, off int64, n int) ([]byte, error) {
	return f.bytes(ctx, "pread", off, n)
}

func (f *File) bytes(ctx context.Context, verb string, off int64, n int) ([]byte, error) {
	s, err := f.Go(verb, off, n).Wait(ctx)
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(s)
}

// Store writes through the mapping.
func (f *File) Store(ctx context.Context, off int64, data []byte) error {
	return f.do(ctx, "store", off, hex.EncodeToString(data))
}

// Pwrite is one pwrite(2); it returns the count.
func (f *File) Pwrite(ctx context.Context, off int64, data []byte) (int, error) {
	return f.number(ctx, "pwrite", off, hex.EncodeToString(data))
}

func (f *File) number(ctx context.Context, verb string, words ...any) (int, error) {
	s, err := f.Go(verb, words...).Wait(ctx)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(s)
}

// Fill stores the bytes of package pattern through the mapping; seed is below 2^63.
func (f *File) Fill(ctx context.Context, off, n int64, seed uint64) error {
	return f.do(ctx, "fill", off, n, seed)
}

// Check compares the mapping with them; its error tells the first offset that differs.
func (f *File) Check(ctx context.Context, off, n int64, seed uint64) error {
	return f.do(ctx, "check", off, n, seed)
}

// SHA256 hashes n bytes of the mapping; hexadecimal.
func (f *File) SHA256(ctx context.Context, off, n int64) (string, error) {
	return f.Go("sha256", off, n).Wait(ctx)
}

// Msync is msync(MS_SYNC) of the whole mapping.
func (f *File) Msync(ctx context.Context) error { return f.do(ctx, "msync") }

// Fsync is fsync(2).
func (f *File) Fsync(ctx context.Context) error { return f.do(ctx, "fsync") }

// Truncate is ftruncate(2).
func (f *File) Truncate(ctx context.Context, size int64) error { return f.do(ctx, "truncate", size) }

// Size is that of fstat(2).
func (f *File) Size(ctx context.Context) (int, error) { return f.number(ctx, "size") }
