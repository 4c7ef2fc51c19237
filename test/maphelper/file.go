package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"p9mapfs/test/p9test/pattern"
)

var openFlags = map[string]int{
	"r": unix.O_RDONLY, "w": unix.O_WRONLY, "rw": unix.O_RDWR, "creat": unix.O_CREAT, "excl": unix.O_EXCL,
	"trunc": unix.O_TRUNC, "append": unix.O_APPEND, "sync": unix.O_SYNC, "direct": unix.O_DIRECT,
}

func open(s *slot, args []string) (string, error) {
	if s.fd >= 0 {
		return "", fmt.Errorf("the slot has an open file")
	}
	flags := unix.O_CLOEXEC
	for f := range strings.FieldsFuncSeq(args[1], func(r rune) bool { return r == ',' || r == '|' }) {
		bit, ok := openFlags[f]
		if !ok {
			return "", fmt.Errorf("open flag %q", f)
		}
		flags |= bit
	}
	mode := uint64(0o644)
	if len(args) > 2 {
		var err error
		if mode, err = strconv.ParseUint(args[2], 8, 12); err != nil {
			return "", fmt.Errorf("mode %q", args[2])
		}
	}
	fd, err := unix.Open(args[0], flags, uint32(mode))
	if err != nil {
		return "", err
	}
	s.fd = fd
	return "", nil
}

func closeFile(s *slot, _ []string) (string, error) {
	fd := s.fd
	s.fd = -1
	return "", unix.Close(fd)
}

func read(s *slot, args []string) (string, error) {
	b, err := s.room(args[0])
	if err != nil {
		return "", err
	}
	n, err := unix.Read(s.fd, b)
	return hex.EncodeToString(b[:max(n, 0)]), err
}

func pread(s *slot, args []string) (string, error) {
	off, err := number(args[0])
	if err != nil {
		return "", err
	}
	b, err := s.room(args[1])
	if err != nil {
		return "", err
	}
	n, err := unix.Pread(s.fd, b, off)
	return hex.EncodeToString(b[:max(n, 0)]), err
}

// room is a buffer of so many bytes.
func (s *slot) room(length string) ([]byte, error) {
	n, err := number(length)
	if err != nil {
		return nil, err
	}
	if n > maxMove {
		return nil, fmt.Errorf("%d bytes are more than %d", n, maxMove)
	}
	return s.buf[:n], nil
}

func write(s *slot, args []string) (string, error) {
	b, err := hex.DecodeString(args[0])
	if err != nil {
		return "", err
	}
	n, err := unix.Write(s.fd, b)
	return strconv.Itoa(n), err
}

func pwrite(s *slot, args []string) (string, error) {
	off, err := number(args[0])
	if err != nil {
		return "", err
	}
	b, err := hex.DecodeString(args[1])
	if err != nil {
		return "", err
	}
	n, err := unix.Pwrite(s.fd, b, off)
	return strconv.Itoa(n), err
}

func pfill(s *slot, args []string) (string, error) {
	var off, n, seed int64
	if err := numbers(args, &off, &n, &seed); err != nil {
		return "", err
	}
	for n > 0 {
		b := s.buf[:min(n, maxMove)]
		pattern.Fill(b, off, uint64(seed))
		for len(b) > 0 {
			did, err := unix.Pwrite(s.fd, b, off)
			if err != nil {
				return "", err
			}
			b, off, n = b[did:], off+int64(did), n-int64(did)
		}
	}
	return "", nil
}

func pcheck(s *slot, args []string) (string, error) {
	var off, n, seed int64
	if err := numbers(args, &off, &n, &seed); err != nil {
		return "", err
	}
	return "", s.eachRead(off, n, func(b []byte, off int64) error { return check(b, off, seed) })
}

func psha256(s *slot, args []string) (string, error) {
	var off, n int64
	if err := numbers(args, &off, &n); err != nil {
		return "", err
	}
	h := sha256.New()
	err := s.eachRead(off, n, func(b []byte, _ int64) error { h.Write(b); return nil })
	return hex.EncodeToString(h.Sum(nil)), err
}

// eachRead reads n bytes at off, piece by piece.
func (s *slot) eachRead(off, n int64, f func(b []byte, off int64) error) error {
	for n > 0 {
		b := s.buf[:min(n, maxMove)]
		got, err := unix.Pread(s.fd, b, off)
		if err != nil {
			return err
		}
		if got == 0 {
			return fmt.Errorf("end of file at %#x: %w", off, io.ErrUnexpectedEOF)
		}
		if err := f(b[:got], off); err != nil {
			return err
		}
		off, n = off+int64(got), n-int64(got)
	}
	return nil
}

func check(b []byte, off, seed int64) error {
	if i := pattern.Check(b, off, uint64(seed)); i >= 0 {
		at := off + int64(i)
		return fmt.Errorf("differs off=%#x got=%#02x want=%#02x", at, b[i], pattern.At(at, uint64(seed)))
	}
	return nil
}

func fsync(s *slot, _ []string) (string, error)     { return "", unix.Fsync(s.fd) }
func fdatasync(s *slot, _ []string) (string, error) { return "", unix.Fdatasync(s.fd) }

func truncate(s *slot, args []string) (string, error) {
	n, err := number(args[0])
	if err != nil {
		return "", err
	}
	return "", unix.Ftruncate(s.fd, n)
}

func size(s *slot, _ []string) (string, error) {
	var st unix.Stat_t
	err := unix.Fstat(s.fd, &st)
	return strconv.FormatInt(st.Size, 10), err
}

func getxattr(s *slot, args []string) (string, error) {
	n, err := unix.Fgetxattr(s.fd, args[0], s.buf)
	return strconv.Quote(string(s.buf[:max(n, 0)])), err
}
