package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"p9mapfs/test/p9test/pattern"
)

var pageSize = int64(unix.Getpagesize())

func mmap(s *slot, args []string) (string, error) {
	if s.mem != nil {
		return "", fmt.Errorf("the slot has a mapping")
	}
	var off, n int64
	if err := numbers(args, &off, &n); err != nil {
		return "", err
	}
	prot, flags := unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED
	for _, w := range args[2:] {
		switch w {
		case "rw":
		case "ro":
			prot = unix.PROT_READ
		case "private":
			flags = unix.MAP_PRIVATE
		default:
			return "", fmt.Errorf("map word %q", w)
		}
	}
	if n == 0 {
		var st unix.Stat_t
		if err := unix.Fstat(s.fd, &st); err != nil {
			return "", err
		}
		n = st.Size - off
	}
	mem, err := unix.Mmap(s.fd, off, int(n), prot, flags)
	if err != nil {
		return "", err
	}
	s.mem, s.memOff = mem, off
	return "", nil
}

func unmap(s *slot, _ []string) (string, error) {
	mem := s.mem
	s.mem = nil
	return "", unix.Munmap(mem)
}

func base(mem []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(mem))) }

// part is the mapping's n bytes at offset off of the file.
func (s *slot) part(off, n int64) ([]byte, error) {
	lo := off - s.memOff
	if lo < 0 || n < 0 || lo > int64(len(s.mem)) || n > int64(len(s.mem))-lo {
		return nil, fmt.Errorf("bytes %#x+%#x are not in the mapping %#x+%#x", off, n, s.memOff, len(s.mem))
	}
	return s.mem[lo : lo+n], nil
}

// ascend copies page by page, so that faults come in ascending order: copy may begin at the end, and would
// defeat the kernel's read-ahead and make the first page that fails a matter of chance.
func ascend(dst, src []byte, off int64) int {
	n := min(len(dst), len(src))
	for i := 0; i < n; {
		end := min(n, i+int(pageSize-(off+int64(i))%pageSize))
		i += copy(dst[i:end], src[i:end])
	}
	return n
}

// parts parses "OFF LEN ..." and calls f with pieces copied from the mapping: only copy touches it, because
// the assembly of hashes cannot be unwound from a fault.
func (s *slot) parts(args []string, f func(b []byte, off int64) error) error {
	var off, n int64
	if err := numbers(args, &off, &n); err != nil {
		return err
	}
	mem, err := s.part(off, n)
	for len(mem) > 0 && err == nil {
		b := s.buf[:ascend(s.buf, mem, off)]
		err = f(b, off)
		mem, off = mem[len(b):], off+int64(len(b))
	}
	return err
}

func load(s *slot, args []string) (string, error) {
	if _, err := s.room(args[1]); err != nil {
		return "", err
	}
	data := ""
	err := s.parts(args, func(b []byte, _ int64) error { data = hex.EncodeToString(b); return nil })
	return data, err
}

func store(s *slot, args []string) (string, error) {
	off, err := number(args[0])
	if err != nil {
		return "", err
	}
	b, err := hex.DecodeString(args[1])
	if err != nil {
		return "", err
	}
	mem, err := s.part(off, int64(len(b)))
	ascend(mem, b, off)
	return "", err
}

func fill(s *slot, args []string) (string, error) {
	var off, n, seed int64
	if err := numbers(args, &off, &n, &seed); err != nil {
		return "", err
	}
	mem, err := s.part(off, n)
	for len(mem) > 0 {
		b := s.buf[:min(len(mem), len(s.buf))]
		pattern.Fill(b, off, uint64(seed))
		ascend(mem, b, off)
		mem, off = mem[len(b):], off+int64(len(b))
	}
	return "", err
}

func checkMapping(s *slot, args []string) (string, error) {
	seed, err := number(args[2])
	if err != nil {
		return "", err
	}
	return "", s.parts(args, func(b []byte, off int64) error { return check(b, off, seed) })
}

func hash(s *slot, args []string) (string, error) {
	h := sha256.New()
	err := s.parts(args, func(b []byte, _ int64) error { h.Write(b); return nil })
	return hex.EncodeToString(h.Sum(nil)), err
}

func touch(s *slot, args []string) (string, error) {
	var off, n, stride int64
	if err := numbers(args, &off, &n, &stride); err != nil {
		return "", err
	}
	if stride < 1 {
		return "", fmt.Errorf("stride %d", stride)
	}
	mem, err := s.part(off, n)
	sum := uint64(0)
	for i := int64(0); i < int64(len(mem)); i += stride {
		sum += uint64(mem[i])
	}
	return strconv.FormatUint(sum, 10), err
}

func touchRandom(s *slot, args []string) (string, error) {
	var n, seed int64
	if err := numbers(args, &n, &seed); err != nil {
		return "", err
	}
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	pages := (int64(len(s.mem)) + pageSize - 1) / pageSize
	sum := uint64(0)
	for range n {
		sum += uint64(s.mem[random.Int64N(pages)*pageSize])
	}
	return strconv.FormatUint(sum, 10), nil
}

var syncFlags = map[string]int{"sync": unix.MS_SYNC, "async": unix.MS_ASYNC, "invalidate": unix.MS_SYNC | unix.MS_INVALIDATE}

func msync(s *slot, args []string) (string, error) {
	flags := unix.MS_SYNC
	if k := len(args) - 1; k >= 0 && syncFlags[args[k]] != 0 {
		flags, args = syncFlags[args[k]], args[:k]
	}
	off, n := s.memOff, int64(len(s.mem))
	switch len(args) {
	case 0:
	case 2:
		if err := numbers(args, &off, &n); err != nil {
			return "", err
		}
	default:
		return "", fmt.Errorf("msync SLOT [OFF LEN] [sync|async|invalidate]")
	}
	down := (off - s.memOff) % pageSize // msync(2) wants a page's address; mappings begin at one
	mem, err := s.part(off-down, n+down)
	if err != nil || len(mem) == 0 {
		return "", err
	}
	return "", unix.Msync(mem, flags)
}

var advice = map[string]int{
	"normal": unix.MADV_NORMAL, "random": unix.MADV_RANDOM, "sequential": unix.MADV_SEQUENTIAL, "willneed": unix.MADV_WILLNEED,
	"dontneed": unix.MADV_DONTNEED, "hugepage": unix.MADV_HUGEPAGE, "nohugepage": unix.MADV_NOHUGEPAGE,
}

func madvise(s *slot, args []string) (string, error) {
	a, ok := advice[args[0]]
	if !ok {
		return "", fmt.Errorf("advice %q", args[0])
	}
	return "", unix.Madvise(s.mem, a)
}
