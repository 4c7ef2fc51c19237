package raw

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Options say what to read and how. The zero values of the second group mean the defaults.
type Options struct {
	Network, Addr string // as for net.Dial; see ParseAddress
	Aname, Uname  string
	Path          string // below the root that was attached to, names separated by /

	Msize  int // asked for, bytes; default 1 MiB
	Window int // Treads in flight; default 32
	Count  int // bytes asked by a Tread; default: what msize and iounit allow
	SHA256 bool
}

// Result is what a reading came to.
type Result struct {
	Bytes   int64         `json:"bytes"`
	Elapsed time.Duration `json:"ns"`       // from the first Tread to the last byte
	CPU     time.Duration `json:"cpu_ns"`   // user and system time of this process meanwhile
	MBps    float64       `json:"mb_per_s"` // 10^6 bytes a second
	Msize   int           `json:"msize"`    // the server's
	Count   int           `json:"count"`    // bytes asked by a Tread
	Window  int           `json:"window"`   // Treads in flight
	Treads  int           `json:"treads"`   // sent in all
	SHA256  string        `json:"sha256,omitempty"`
}

const (
	rootFid = 1
	fileFid = 2

	readBuffer = 256 << 10 // stays in the second-level cache; larger ones were not faster
)

// Read reads the whole file once. Errors wrap the server's errno (syscall.Errno) or the system's; when ctx ends, reading ends
// with its error.
func Read(ctx context.Context, o Options) (Result, error) {
	c, err := dial(ctx, o.Network, o.Addr)
	if err != nil {
		return Result{}, err
	}
	defer c.f.Close()
	shut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { c.shut(); close(shut) })
	defer func() {
		if !stop() {
			<-shut // before the descriptor is closed
		}
	}()
	r := &reader{c: c, o: o}
	res, err := r.read()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return res, err
}

// reader reads one file over one connection.
type reader struct {
	c     *conn
	o     Options
	msize int
	size  int64

	slots  []slot // one for each tag
	next   int64  // offset of the first byte that nobody has asked for
	got    int64
	treads int
	out    []byte // Treads to be written

	hash   hash.Hash // nil: nobody wants it
	hashed int64
}

// slot is a Tread in flight; its index is the tag.
type slot struct {
	off  int64 // of the range that the slot reads
	n    int   // its length; 0: the slot is idle
	done int   // bytes of it that have come
	asks int   // count of the Tread in flight
	data []byte
}

func (r *reader) read() (Result, error) {
	if err := r.open(); err != nil {
		return Result{}, err
	}
	r.slots = make([]slot, r.o.Window)
	if r.o.SHA256 {
		r.hash = sha256.New()
		for i := range r.slots {
			r.slots[i].data = make([]byte, r.o.Count)
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpu, start := cpuTime(), time.Now()
	if err := r.pump(); err != nil {
		return Result{}, err
	}
	res := Result{Bytes: r.got, Elapsed: time.Since(start), CPU: cpuTime() - cpu, Msize: r.msize, Count: r.o.Count, Window: r.o.Window, Treads: r.treads}
	res.MBps = float64(res.Bytes) / 1e6 / max(res.Elapsed.Seconds(), 1e-9)
	if r.hash != nil {
		res.SHA256 = hex.EncodeToString(r.hash.Sum(nil))
	}
	return res, nil
}

// open does everything up to the first Tread.
func (r *reader) open() error {
	o := &r.o
	if o.Msize == 0 {
		o.Msize = 1 << 20
	}
	if o.Window == 0 {
		o.Window = 32
	}
	if o.Msize < 256 || o.Msize > 1<<30 || o.Window < 1 || o.Window >= noTag || o.Count < 0 {
		return fmt.Errorf("msize %d, window %d or count %d is out of range", o.Msize, o.Window, o.Count)
	}
	const version = "9P2000.L"
	m, err := r.c.call(newMessage(tversion, noTag).u32(uint32(o.Msize)).str(version), 1<<16)
	if err != nil {
		return failed("Tversion", err)
	}
	if len(m) < 13+len(version) || string(m[13:]) != version {
		return failed("Tversion", fmt.Errorf("the server does not speak %s", version))
	}
	r.msize = int(le.Uint32(m[7:]))
	if r.msize < 256 || r.msize > o.Msize {
		return failed("Tversion", fmt.Errorf("msize %d", r.msize))
	}
	attach := newMessage(tattach, 0).u32(rootFid).u32(noFid).str(o.Uname).str(o.Aname).u32(uint32(syscall.Getuid()))
	if _, err := r.c.call(attach, r.msize); err != nil {
		return failed("Tattach", fmt.Errorf("%q: %w", o.Aname, err))
	}
	if err := r.walk(); err != nil {
		return failed("Twalk", fmt.Errorf("%q: %w", o.Path, err))
	}
	if m, err = r.c.call(newMessage(tgetattr, 0).u32(fileFid).u64(getattrSize), r.msize); err != nil {
		return failed("Tgetattr", err)
	}
	if len(m) < sizeAt+8 {
		return failed("Tgetattr", fmt.Errorf("a reply of %d bytes", len(m)))
	}
	if r.size = int64(le.Uint64(m[sizeAt:])); r.size < 0 {
		return failed("Tgetattr", fmt.Errorf("size %d", r.size))
	}
	if m, err = r.c.call(newMessage(tlopen, 0).u32(fileFid).u32(0), r.msize); err != nil {
		return failed("Tlopen", err)
	}
	most := r.msize - readRoom
	if len(m) >= headerSize+13+4 {
		if iounit := int(le.Uint32(m[headerSize+13:])); iounit > 0 {
			most = min(most, iounit)
		}
	}
	if o.Count == 0 || o.Count > most {
		o.Count = most
	}
	return nil
}

func failed(verb string, err error) error { return fmt.Errorf("%s: %w", verb, err) }

func (r *reader) walk() error {
	names := strings.FieldsFunc(r.o.Path, func(c rune) bool { return c == '/' })
	from := uint32(rootFid)
	for first := true; first || len(names) > 0; first = false {
		now := names[:min(len(names), maxWalk)]
		names = names[len(now):]
		m := newMessage(twalk, 0).u32(from).u32(fileFid).u16(len(now))
		for _, name := range now {
			m = m.str(name)
		}
		reply, err := r.c.call(m, r.msize)
		if err != nil {
			return err
		}
		if len(reply) < headerSize+2 || int(le.Uint16(reply[headerSize:])) != len(now) {
			return syscall.ENOENT
		}
		from = fileFid
	}
	return nil
}

// pump keeps the window full until the file has been read.
func (r *reader) pump() error {
	for tag := range r.slots {
		r.ask(tag)
	}
	buf := make([]byte, readBuffer)
	var (
		have     int // bytes at the beginning of buf that are not consumed
		tag      int // of the Rread whose payload is coming
		left     int // bytes of it that are still to come
		complete = func() bool { return r.got == r.size }
	)
	for !complete() {
		if len(r.out) > 0 {
			if _, err := r.c.Write(r.out); err != nil {
				return err
			}
			r.out = r.out[:0]
		}
		n, err := r.c.Read(buf[have:])
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", r.got, r.size, err)
		}
		b := buf[:have+n]
		for {
			if left > 0 {
				k := min(left, len(b))
				r.payload(tag, b[:k])
				b, left = b[k:], left-k
				if left > 0 {
					break
				}
				r.finish(tag)
			}
			if len(b) < readHeader {
				break
			}
			if tag, left, err = r.header(b); err != nil {
				return err
			}
			b = b[readHeader:]
		}
		have = copy(buf, b)
	}
	return nil
}

// header checks the first bytes of a reply that must be an Rread with payload.
func (r *reader) header(b []byte) (tag, count int, err error) {
	size := int(le.Uint32(b))
	if size == headerSize+4 && (b[4] == rlerror || b[4] == rerror) {
		return 0, 0, failed("Tread", replyError(b[:size]))
	}
	tag, count = int(le.Uint16(b[5:])), int(le.Uint32(b[7:]))
	switch {
	case b[4] != rread:
		return 0, 0, fmt.Errorf("reply of type %d to Tread", b[4])
	case tag >= len(r.slots) || r.slots[tag].asks == 0:
		return 0, 0, fmt.Errorf("an Rread with tag %d, which is not in use", tag)
	case size != readHeader+count || count > r.slots[tag].asks:
		return 0, 0, fmt.Errorf("an Rread of size %d with count %d, %d were asked for", size, count, r.slots[tag].asks)
	case count == 0:
		s := r.slots[tag]
		return 0, 0, fmt.Errorf("the file ends at %d, not %d", s.off+int64(s.done), r.size)
	}
	return tag, count, nil
}

// payload takes a piece of what tag reads.
func (r *reader) payload(tag int, b []byte) {
	s := &r.slots[tag]
	if s.data != nil {
		copy(s.data[s.done:], b)
	}
	s.done += len(b)
	r.got += int64(len(b))
}

// finish ends an Rread: a short one is followed by a Tread for the rest, a full one by the next range.
func (r *reader) finish(tag int) {
	s := &r.slots[tag]
	s.asks = 0
	if s.done < s.n {
		r.send(tag)
		return
	}
	if r.hash == nil {
		r.ask(tag)
		return
	}
	for again := true; again; { // slots are given back in the order of their ranges
		again = false
		for i := range r.slots {
			if s := &r.slots[i]; s.n > 0 && s.done == s.n && s.off == r.hashed {
				r.hash.Write(s.data[:s.n])
				r.hashed += int64(s.n)
				r.ask(i)
				again = true
			}
		}
	}
}

// ask gives the next range of the file to tag.
func (r *reader) ask(tag int) {
	s := &r.slots[tag]
	s.off, s.done = r.next, 0
	s.n = int(min(int64(r.o.Count), r.size-r.next))
	r.next += int64(s.n)
	if s.n > 0 {
		r.send(tag)
	}
}

func (r *reader) send(tag int) {
	s := &r.slots[tag]
	s.asks = s.n - s.done
	r.out = appendTread(r.out, uint16(tag), fileFid, s.off+int64(s.done), s.asks)
	r.treads++
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ErrUsage is what commands return for wrong arguments.
var ErrUsage = errors.New("usage: rawread [flags] ADDRESS PATH")
