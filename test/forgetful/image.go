package forgetful

import (
	"maps"
	"slices"
	"sync"
	"time"
)

const blockSize = 4096

// A disk is where the bytes of one file are durable.
type disk interface {
	ReadAt(p []byte, off int64) (int, error) // fewer bytes without an error: the end of the file
	WriteAt(p []byte, off int64) (int, error)
	Size() (int64, error)
	Resize(size int64) error
	SetModified(t time.Time) error
}

// An image is a file's unsynced content, over what the disk has. Offsets and sizes are in bytes.
//
// Invariants while changed: kept <= size; every block of blocks starts below size, and its bytes from size on are 0.
type image struct {
	disk disk

	mu       sync.Mutex // guards everything below; held across I/O on disk
	changed  bool       // since the last sync; else all below but changes is void
	size     int64
	kept     int64            // the bytes before it that no block covers are the disk's; those behind it are 0
	blocks   map[int64][]byte // by offset / blockSize
	modified time.Time
	changes  uint32 // ever
}

// beginLocked prepares for a change.
func (m *image) beginLocked() error {
	if !m.changed {
		size, err := m.disk.Size()
		if err != nil {
			return err
		}
		m.changed, m.size, m.kept, m.blocks = true, size, size, map[int64][]byte{}
	}
	m.changes++
	m.modified = time.Now()
	return nil
}

func (m *image) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.changed {
		return m.disk.ReadAt(p, off)
	}
	p = p[:min(int64(len(p)), max(m.size-off, 0))]
	for done := 0; done < len(p); {
		i, at := (off+int64(done))/blockSize, (off+int64(done))%blockSize
		b, ok := m.blocks[i]
		if !ok {
			var err error
			if b, err = m.loadLocked(i); err != nil {
				return done, err
			}
		}
		done += copy(p[done:], b[at:])
	}
	return len(p), nil
}

// loadLocked reads a block of what the disk still has a say in.
func (m *image) loadLocked(i int64) ([]byte, error) {
	b := make([]byte, blockSize)
	old := b[:min(blockSize, max(m.kept-i*blockSize, 0))]
	if len(old) == 0 {
		return b, nil
	}
	_, err := m.disk.ReadAt(old, i*blockSize)
	return b, err
}

// WriteAt writes p at off, or at the end of the file if off is negative.
func (m *image) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.beginLocked(); err != nil {
		return 0, err
	}
	if off < 0 {
		off = m.size
	}
	for done := 0; done < len(p); {
		i, at := (off+int64(done))/blockSize, (off+int64(done))%blockSize
		b, ok := m.blocks[i]
		if !ok {
			var err error
			if b, err = m.loadLocked(i); err != nil {
				return done, err
			}
			m.blocks[i] = b
		}
		done += copy(b[at:], p[done:])
		m.size = max(m.size, off+int64(done))
	}
	return len(p), nil
}

func (m *image) Resize(size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.beginLocked(); err != nil {
		return err
	}
	m.kept = min(m.kept, size)
	m.size = size
	for i, b := range m.blocks {
		if from := size - i*blockSize; from <= 0 {
			delete(m.blocks, i)
		} else if from < blockSize {
			clear(b[from:])
		}
	}
	return nil
}

// sync puts the image on the disk. halfway is called when half of the blocks are there.
func (m *image) sync(halfway func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.changed {
		halfway()
		return nil
	}
	for _, size := range []int64{m.kept, m.size} { // between them lie zeros
		if err := m.disk.Resize(size); err != nil {
			return err
		}
	}
	order := slices.Sorted(maps.Keys(m.blocks))
	for n, i := range order {
		if n == len(order)/2 {
			halfway()
		}
		b := m.blocks[i]
		if _, err := m.disk.WriteAt(b[:min(blockSize, m.size-i*blockSize)], i*blockSize); err != nil {
			return err
		}
	}
	if len(order) == 0 {
		halfway()
	}
	m.changed, m.blocks = false, nil
	return m.disk.SetModified(m.modified)
}

// forget throws away what was not synced.
func (m *image) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed, m.blocks = false, nil
}

// attributes are what differs from those of the disk; ok is false if nothing does.
func (m *image) attributes() (size int64, modified time.Time, changes uint32, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.size, m.modified, m.changes, m.changed
}
