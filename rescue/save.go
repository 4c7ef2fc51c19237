package rescue

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrLocked says that somebody has the rescue file: the mount that wrote it and may
// still send the bytes itself, or another run of p9mapfs rescue.
var ErrLocked = errors.New("somebody has it locked: the mount that wrote it is still sending, or another p9mapfs rescue")

// Prepare makes the directory for rescue files (mode 0700) unless it is there, and
// finds out whether files can be written there, by writing one of 4 KiB.
func Prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".check-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 4096))
	return errors.Join(err, f.Sync(), f.Close())
}

// A Saved is a rescue file that was written, and is locked until Close.
type Saved struct {
	Path  string
	Files int
	Bytes int64 // of extents

	f *os.File
}

// Save writes a rescue file at path, mode 0600, in place of what is there, and locks
// it. It takes one file after another from files, and keeps none. If there is none,
// nothing is written, and Save returns nil. If it fails, what was at path still is.
func Save(path string, m Mount, files iter.Seq[File]) (s *Saved, err error) {
	next, stop := iter.Pull(files)
	defer stop()
	first, ok := next()
	if !ok {
		return nil, nil
	}
	f, err := os.OpenFile(path+".part", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			f.Close()
		}
	}()
	if err := lock(f); err != nil {
		return nil, err
	}
	s = &Saved{Path: path, f: f}
	e := newEncoder(f)
	e.mount(m)
	for file := first; ok; file, ok = next() {
		if err := checkPath(file.Path); err != nil {
			return nil, err
		}
		s.Files++
		s.Bytes += e.file(file)
	}
	if err := errors.Join(e.end(), f.Sync()); err != nil {
		return nil, err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return nil, err
	}
	return s, syncDir(filepath.Dir(path))
}

// Close gives the lock up.
func (s *Saved) Close() error { return s.f.Close() }

// Remove removes the file, for which there is no need any more, and closes it.
func (s *Saved) Remove() error {
	return errors.Join(os.Remove(s.Path), syncDir(filepath.Dir(s.Path)), s.f.Close())
}

func lock(f *os.File) error {
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return &fs.PathError{Op: "lock", Path: f.Name(), Err: ErrLocked}
	case err != nil:
		return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return nil
}

// syncDir makes durable which names a directory has.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// An encoder writes records. Its first error stays, and is told by end.
type encoder struct {
	w       *bufio.Writer
	buf     []byte
	records uint64
	number  uint32
	sum     uint32
	err     error
}

func newEncoder(w io.Writer) *encoder {
	e := &encoder{w: bufio.NewWriterSize(w, 256<<10)}
	e.put([]byte(Magic))
	return e
}

func (e *encoder) put(b []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
	e.sum = crc32.Update(e.sum, castagnoli, b)
}

func (e *encoder) record(b []byte) {
	e.put(b)
	e.buf = b
	e.records++
}

func (e *encoder) mount(m Mount) { e.record(mountRecord(e.buf, m)) }

// file writes a file, and returns the bytes of its extents.
func (e *encoder) file(f File) (n int64) {
	pieces := 0
	for _, x := range f.Extents {
		pieces += (len(x.Data) + MaxData - 1) / MaxData
	}
	e.record(fileRecord(e.buf, e.number, f.Meta, len(f.Truncations), pieces))
	for _, size := range f.Truncations {
		e.record(truncationRecord(e.buf, e.number, size))
	}
	for _, x := range f.Extents {
		n += int64(len(x.Data))
		for data := x.Data; len(data) > 0; {
			k := min(len(data), MaxData)
			e.record(extentRecord(e.buf, e.number, Extent{x.Off, data[:k], x.State, x.Errno}))
			x.Off += int64(k)
			data = data[k:]
		}
	}
	e.number++
	return n
}

func (e *encoder) end() error {
	e.record(endRecord(e.buf, e.records, e.sum))
	if err := e.w.Flush(); e.err == nil && err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return e.err
}
