package rescue

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A Kept is a rescue file that is read and sent, locked until Close.
type Kept struct {
	*Index
	Path string

	f *os.File
}

// Open locks a rescue file and reads it: ErrLocked if another has it, ErrNotRescue
// if it is none.
func Open(path string) (*Kept, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	k := &Kept{Path: path, f: f}
	if err := k.open(); err != nil {
		f.Close()
		return nil, err
	}
	return k, nil
}

func (k *Kept) open() error {
	if err := lock(k.f); err != nil {
		return err
	}
	mine, err := k.f.Stat()
	if err != nil {
		return err
	}
	// Until we had the lock its owner may have replaced or removed the file.
	if there, err := os.Stat(k.Path); err != nil {
		return err
	} else if !os.SameFile(mine, there) {
		return &fs.PathError{Op: "lock", Path: k.Path, Err: ErrLocked}
	}
	if k.Index, err = Scan(k.f); err != nil {
		return &fs.PathError{Op: "read", Path: k.Path, Err: err}
	}
	return nil
}

// Left returns the files that have not been sent, and their bytes.
func (k *Kept) Left() (files int, bytes int64) {
	for _, e := range k.Files {
		if !e.Done {
			files++
			bytes += e.Bytes
		}
	}
	return files, bytes
}

// sending notes that e's file on the server, which is found, is about to be changed.
func (k *Kept) sending(e *Entry, found Attr) error {
	e.Sending = &found
	return k.mark(sendingRecord(nil, e.number, found))
}

// sent notes that the server has made all of e durable.
func (k *Kept) sent(e *Entry) error {
	e.Done = true
	return k.mark(sentRecord(nil, e.number))
}

// mark appends a record where the last whole one ended: a mark that was torn is
// written over. A damaged file is left as it is.
func (k *Kept) mark(b []byte) error {
	if !k.Whole() {
		return nil
	}
	if err := k.f.Truncate(k.size); err != nil {
		return err
	}
	if _, err := k.f.WriteAt(b, k.size); err != nil {
		return err
	}
	k.size += int64(len(b))
	return k.f.Sync()
}

// Close gives the lock up.
func (k *Kept) Close() error { return k.f.Close() }

// Remove removes the file and closes it.
func (k *Kept) Remove() error {
	return errors.Join(os.Remove(k.Path), syncDir(filepath.Dir(k.Path)), k.f.Close())
}
