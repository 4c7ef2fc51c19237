package rescue

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// ErrNotRescue says that a file is no rescue file, or one of another version.
var ErrNotRescue = errors.New("not a rescue file of this version")

// An Index tells what is in a rescue file, and where. The bytes stay there.
type Index struct {
	Mount   Mount
	Files   []*Entry // in the order of the file
	Damaged int      // records that were passed over
	Torn    bool     // the end is missing, or the checksum of the whole is wrong

	size int64 // of the whole records from the beginning
}

// Whole reports whether nothing is missing or damaged.
func (x *Index) Whole() bool { return x.Damaged == 0 && !x.Torn }

// An Entry is a file of the rescue file.
type Entry struct {
	Meta
	Truncations []int64
	Extents     []Place
	Bytes       int64 // in Extents
	Missing     int   // truncations and extents that damage has taken
	Sending     *Attr // not nil: somebody has begun to send it, and this is what he found
	Done        bool  // the server has made it durable

	number uint32
	claim  int // truncations and extents that its record announces
}

// A Place is an extent, and where its record is.
type Place struct {
	Off   int64 // in the file that it belongs to
	Len   int
	State string
	Errno uint32

	at   int64 // of the record's body
	size int
}

// Scan reads a rescue file. The error is ErrNotRescue, or one of r's: damage is
// told by the Index. It holds one record in memory at a time.
func Scan(r io.Reader) (*Index, error) {
	s := scan{r: bufio.NewReaderSize(r, 64<<10), x: &Index{Torn: true}, files: make(map[uint32]*Entry)}
	head := make([]byte, len(Magic))
	if _, err := io.ReadFull(s.r, head); err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	if string(head) != Magic {
		return nil, ErrNotRescue
	}
	s.sum = crc32.Checksum(head, castagnoli)
	s.x.size = int64(len(Magic))
	for {
		more, err := s.record()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
	}
	for _, e := range s.x.Files {
		e.Missing = e.claim - len(e.Truncations) - len(e.Extents)
		if e.Missing != 0 {
			s.x.Torn = true
		}
	}
	return s.x, nil
}

type scan struct {
	r       *bufio.Reader
	x       *Index
	files   map[uint32]*Entry
	buf     []byte
	sum     uint32 // of everything read
	records uint64
}

// record reads one record. It returns false at the end, however that comes.
func (s *scan) record() (more bool, err error) {
	var head [headLen]byte
	if more, err := s.fill(head[:]); !more {
		return false, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || n > maxBody {
		s.x.Damaged++ // where the next one begins cannot be known
		return false, nil
	}
	if uint32(cap(s.buf)) < n {
		s.buf = make([]byte, n)
	}
	b := s.buf[:n]
	if more, err := s.fill(b); !more {
		return false, err
	}
	before := s.sum
	s.sum = crc32.Update(crc32.Update(s.sum, castagnoli, head[:]), castagnoli, b)
	at := s.x.size + headLen
	s.x.size = at + int64(n)
	d, err := decode(b)
	if err != nil || crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(head[4:]) || !s.take(d, at, int(n), before) {
		s.x.Damaged++
	}
	s.records++
	return true, nil
}

// fill reads all of p, or reports that the file ends before.
func (s *scan) fill(p []byte) (bool, error) {
	switch _, err := io.ReadFull(s.r, p); err {
	case nil:
		return true, nil
	case io.EOF, io.ErrUnexpectedEOF:
		return false, nil
	default:
		return false, err
	}
}

// take adds a record to the index, and reports whether it belongs there.
func (s *scan) take(d decoded, at int64, n int, before uint32) bool {
	x := s.x
	if d.kind == kindMount {
		if s.records > 0 {
			return false
		}
		x.Mount = d.mount
		return true
	}
	if d.kind == kindEnd {
		if !x.Torn {
			return false
		}
		x.Torn = d.records != s.records || d.sum != before
		return true
	}
	e := s.files[d.file]
	if d.kind == kindFile {
		if e != nil {
			return false
		}
		e = &Entry{Meta: d.meta, number: d.file, claim: int(d.truncations) + int(d.extents)}
		s.files[d.file] = e
		x.Files = append(x.Files, e)
		return true
	}
	if e == nil {
		return false
	}
	switch d.kind {
	case kindTruncation:
		e.Truncations = append(e.Truncations, d.size)
	case kindExtent:
		e.Extents = append(e.Extents, Place{d.extent.Off, len(d.extent.Data), d.extent.State, d.extent.Errno, at, n})
		e.Bytes += int64(len(d.extent.Data))
	case kindSending:
		a := d.attr
		e.Sending = &a
	case kindSent:
		e.Done = true
	}
	return true
}

// Data reads the bytes of p from the rescue file that it is in, into buf if that is
// large enough, and checks that they are what Scan found there.
func (p Place) Data(r io.ReaderAt, buf []byte) ([]byte, error) {
	if cap(buf) < headLen+p.size {
		buf = make([]byte, headLen+p.size)
	}
	b := buf[:headLen+p.size]
	if _, err := r.ReadAt(b, p.at-headLen); err != nil {
		return nil, fmt.Errorf("rescue file: %w", err)
	}
	d, err := decode(b[headLen:])
	if err == nil && (crc32.Checksum(b[headLen:], castagnoli) != binary.LittleEndian.Uint32(b[4:]) || d.kind != kindExtent || d.extent.Off != p.Off) {
		err = errors.New("its checksum is wrong")
	}
	if err != nil {
		return nil, fmt.Errorf("rescue file: the extent at %d has changed: %w", p.Off, err)
	}
	return d.extent.Data, nil
}
