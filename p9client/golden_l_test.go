package p9client

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// goldenTime is 0x01020304 s and 0x05060708 ns.
var goldenTime = time.Unix(0x01020304, 0x05060708)

var goldenLock = Lock{Type: LockWrite, Start: 0x0102030405060708, Length: 16, ProcID: 7, ClientID: "h"}

// requestsL make the client send each T-message of 9P2000.L. f is fid 2 and has a
// name of its own, d is fid 1; the next fid is 3.
var requestsL = map[string]func(ctx context.Context, f, d *Fid){
	"Twalk":     func(ctx context.Context, f, d *Fid) { f.Walk(ctx, "a", "bcc") },
	"Tread":     func(ctx context.Context, f, d *Fid) { f.ReadAt(ctx, make([]byte, 16), 0x201) },
	"Twrite":    func(ctx context.Context, f, d *Fid) { f.WriteAt(ctx, []byte("abc"), 0x201) },
	"Tclunk":    func(ctx context.Context, f, d *Fid) { f.Clunk() },
	"Tremove":   func(ctx context.Context, f, d *Fid) { f.Unlink(ctx, "u", 0) },
	"Tstatfs":   func(ctx context.Context, f, d *Fid) { f.StatFS(ctx) },
	"Tlopen":    func(ctx context.Context, f, d *Fid) { f.Open(ctx, 0x2|0x200|0x40|0x80|0x400) },
	"Tlcreate":  func(ctx context.Context, f, d *Fid) { f.Create(ctx, "n", 0x2|0x80|0x400, 0640, 5) },
	"Tsymlink":  func(ctx context.Context, f, d *Fid) { f.Symlink(ctx, "s", "/x", 5) },
	"Tmknod":    func(ctx context.Context, f, d *Fid) { f.Mknod(ctx, "n", 0x61a4, 1, 2, 3) },
	"Trename":   func(ctx context.Context, f, d *Fid) { f.Rename(ctx, "o", f, "n") },
	"Treadlink": func(ctx context.Context, f, d *Fid) { f.Readlink(ctx) },
	"Tgetattr":  func(ctx context.Context, f, d *Fid) { f.GetAttr(ctx) },
	"Tsetattr": func(ctx context.Context, f, d *Fid) {
		f.SetAttr(ctx, SetAttr{Valid: SetMode | SetSize | SetMtime | SetMtimeTo, Mode: 0644, UID: 1, GID: 2, Size: 0x0102030405060708, Mtime: goldenTime})
	},
	"Treaddir":     func(ctx context.Context, f, d *Fid) { f.ReadDir(ctx, 7, 256) },
	"Tfsync":       func(ctx context.Context, f, d *Fid) { f.Sync(ctx, true) },
	"Tlink":        func(ctx context.Context, f, d *Fid) { f.Link(ctx, d, "n") },
	"Tmkdir":       func(ctx context.Context, f, d *Fid) { f.Mkdir(ctx, "d", 0755, 5) },
	"Trenameat":    func(ctx context.Context, f, d *Fid) { f.Rename(ctx, "o", d, "nn") },
	"Txattrwalk":   func(ctx context.Context, f, d *Fid) { f.GetXattr(ctx, "user.a") },
	"Txattrcreate": func(ctx context.Context, f, d *Fid) { f.SetXattr(ctx, "user.a", []byte("abc"), 1) },
	"Tlock":        func(ctx context.Context, f, d *Fid) { l := goldenLock; l.Flags = LockBlock; f.Lock(ctx, l) },
	"Tgetlock":     func(ctx context.Context, f, d *Fid) { l := goldenLock; l.Type = LockRead; f.GetLock(ctx, l) },
	"Tunlinkat":    func(ctx context.Context, f, d *Fid) { f.Unlink(ctx, "u", 0x200) },
}

// What is sent is, byte for byte but for the tag, what the manual says.
func TestGoldenRequests(t *testing.T) {
	frames := goldens(t, "9P2000.L")
	for name, want := range frames {
		if name[0] != 'T' || name == "Tversion" || name == "Tattach" || name == "Tflush" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			call := requestsL[name]
			if call == nil {
				t.Fatal("nothing sends it")
			}
			sentBy(t, DotL, want, call)
		})
	}
}

// sentBy holds the first frame of want's type that a call sends against it.
func sentBy(t *testing.T, dialect string, want []byte, call func(ctx context.Context, f, d *Fid)) {
	s := startServer(t)
	s.speak(dialect)
	s.add("d", QTDIR, "").kids["o"] = s.newNode(0)
	x := s.dial(Options{Dialect: dialect, HoldTimeout: -1})
	d, err := x.Root().Walk(t.Context(), "d") // fid 1
	check(t, err)
	f, err := x.Root().Walk(t.Context(), "d") // fid 2
	check(t, err)
	got := make(chan []byte, 100)
	s.setHook(func(p *peer, m msg) bool {
		if m.typ == want[4] {
			got <- frame(m.typ, 0, m.body...)
		}
		switch m.typ {
		case trenameat, tunlinkat: // so that the older verbs are used
			p.fail(m, syscall.EOPNOTSUPP)
		case twalk:
			if want[4] == tunlinkat || want[4] == tremove {
				d := decoder{b: m.body[4:]}
				p.fids[d.u32()] = p.s.root
				p.reply(m, append([]byte{1, 0}, qidBytes(Qid{Path: 7})...)...)
				return true
			}
			return false
		case tclunk:
			return false
		case tstat: // that of Twstat is asked for before
			if want[4] == twstat {
				return false
			}
			p.fail(m, syscall.EIO)
		default:
			p.fail(m, syscall.EIO)
		}
		return true
	})
	call(t.Context(), f, d)
	select {
	case have := <-got:
		if !bytes.Equal(have, want) {
			t.Errorf("\n got %x\nwant %x", have, want)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing was sent")
	}
	s.setHook(nil)
}

// Tversion, Tattach and Tflush as the manual has them; Tflush's oldtag is the tag
// of the request.
func TestGoldenStart(t *testing.T) {
	frames := goldens(t, "9P2000.L")
	s := startServer(t)
	s.only = DotL
	x := s.dial(Options{Msize: 8192, Dialect: DotL, Uname: "glenn", NUname: 1000, Aname: "/x"})
	ctx, cancel := context.WithCancel(t.Context())
	s.always(tgetattr, func(p *peer, m msg) { cancel() })
	want(t, getAttr(ctx, x.Root()), syscall.EINTR)
	eventually(t, "a Tflush", func() bool { return s.count(tflush) > 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	var asked uint16
	for _, m := range s.seen {
		have := frame(m.typ, m.tag, m.body...)
		switch m.typ {
		case tversion, tattach:
			if d := (decoder{b: m.body[4:]}); m.typ == tversion && d.str() != DotL {
				continue // an extension of it is offered before
			}
			want := frames[map[uint8]string{tversion: "Tversion", tattach: "Tattach"}[m.typ]]
			if !bytes.Equal(have[7:], want[7:]) || have[4] != want[4] || m.typ == tversion && m.tag != noTag {
				t.Errorf("\n got %x\nwant %x", have, want)
			}
		case tgetattr:
			asked = m.tag
		case tflush:
			if !bytes.Equal(have[:5], frames["Tflush"][:5]) || !bytes.Equal(m.body, []byte{byte(asked), byte(asked >> 8)}) {
				t.Errorf("%x flushes tag %#x", have, asked)
			}
		}
	}
}

// repliesL are what each R-message of 9P2000.L is decoded to.
var repliesL = map[string]goldenReply{
	"Rwalk":     {func(ctx context.Context, f *Fid) (any, error) { return qidOf(f.Walk(ctx, "a", "b")) }, Qid{QTSYMLINK, 0x01020304, 0x0102030405060708}},
	"Rread":     {readGolden, "hello"},
	"Rwrite":    {func(ctx context.Context, f *Fid) (any, error) { return f.WriteAt(ctx, []byte("abc"), 0) }, 3},
	"Rstatfs":   {func(ctx context.Context, f *Fid) (any, error) { return f.StatFS(ctx) }, StatFS{0x01021997, 4096, 1, 2, 3, 4, 5, 0x0102030405060708, 255}},
	"Rlopen":    {func(ctx context.Context, f *Fid) (any, error) { err := f.Open(ctx, 0); return f.MaxIO(), err }, 512},
	"Rlcreate":  {func(ctx context.Context, f *Fid) (any, error) { return qidOf(f.Create(ctx, "n", 0, 0600, 0)) }, Qid{0, 7, 9}},
	"Rsymlink":  {func(ctx context.Context, f *Fid) (any, error) { return f.Symlink(ctx, "s", "t", 0) }, Qid{QTSYMLINK, 0, 9}},
	"Rmknod":    {func(ctx context.Context, f *Fid) (any, error) { return f.Mknod(ctx, "n", 0, 0, 0, 0) }, Qid{0, 0, 9}},
	"Rmkdir":    {func(ctx context.Context, f *Fid) (any, error) { return f.Mkdir(ctx, "n", 0, 0) }, Qid{QTDIR, 0, 9}},
	"Rreadlink": {func(ctx context.Context, f *Fid) (any, error) { return f.Readlink(ctx) }, "../f\xff"},
	"Rgetattr": {func(ctx context.Context, f *Fid) (any, error) { return f.GetAttr(ctx) }, Attr{
		Valid: 0x7ff, Qid: Qid{QTDIR, 0x01020304, 0x0102030405060708}, Mode: 040755, UID: 1, GID: 2, Nlink: 3, Rdev: 4,
		Size: 5, Blksize: 4096, Blocks: 8, Atime: goldenTime, Ctime: time.Unix(-1, 0), Gen: 9, DataVersion: 10,
	}},
	"Rsetattr": {func(ctx context.Context, f *Fid) (any, error) { return nil, f.Truncate(ctx, 0) }, nil},
	"Rreaddir": {func(ctx context.Context, f *Fid) (any, error) {
		l, next, err := f.ReadDir(ctx, 7, 4096)
		return fmt.Sprintf("%+v %#x", l, next), err
	}, "[{Qid:{Type:0 Version:1 Path:2} Offset:8 Type:8 Name:f Attr:<nil>} {Qid:{Type:128 Version:0 Path:3} Offset:72623859790382856 Type:4 Name:d Attr:<nil>}] 0x102030405060708"},
	"Rxattrwalk": {func(ctx context.Context, f *Fid) (any, error) {
		_, err := f.GetXattr(ctx, "user.a")
		if errors.Is(err, syscall.E2BIG) {
			return err.Error(), nil
		}
		return nil, err
	}, `Txattrwalk "f": the server says 65537 bytes, more than Linux' 65536`},
	"Rlock":    {func(ctx context.Context, f *Fid) (any, error) { return f.Lock(ctx, goldenLock) }, LockGrace},
	"Rgetlock": {func(ctx context.Context, f *Fid) (any, error) { return f.GetLock(ctx, Lock{}) }, goldenLock},
	"Rfsync":   {func(ctx context.Context, f *Fid) (any, error) { return nil, f.Sync(ctx, false) }, nil},
}

func qidOf(f *Fid, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	defer f.Clunk()
	return f.Qid(), nil
}

func readGolden(ctx context.Context, f *Fid) (any, error) {
	p := make([]byte, 5)
	_, err := f.ReadAt(ctx, p, 0)
	return string(p), err
}

// What comes is taken for what the manual says it is; a byte less ends the
// connection, and so does one more.
func TestGoldenReplies(t *testing.T) { testGoldenReplies(t, DotL, repliesL) }

// A goldenReply is what an R-message is decoded to.
type goldenReply struct {
	call func(ctx context.Context, f *Fid) (any, error)
	want any
}

func testGoldenReplies(t *testing.T, dialect string, replies map[string]goldenReply) {
	for name, reply := range goldens(t, dialect) {
		if name[0] != 'R' || strings.Contains(" Rversion Rattach Rlerror Rerror Rflush ", " "+name+" ") {
			continue
		}
		test, ok := replies[name]
		if !ok {
			t.Errorf("%s: nothing takes it", name)
			continue
		}
		typ := reply[4]
		for _, body := range [][]byte{reply[7:], reply[7:max(7, len(reply)-1)], append(reply[7:len(reply):len(reply)], 0)} {
			s := startServer(t)
			s.speak(dialect)
			s.add("f", 0, "")
			x := s.dial(Options{Dialect: dialect})
			f, err := x.Root().Walk(t.Context(), "f")
			check(t, err)
			s.setHook(func(p *peer, m msg) bool {
				switch m.typ {
				case typ - 1:
					p.nc.Write(frame(typ, m.tag, body...))
				case tclunk: // perhaps of a fid that the server knows nothing of
					p.reply(m)
				default:
					return false
				}
				return true
			})
			got, err := test.call(WithoutHold(t.Context()), f)
			whole := len(body) == len(reply)-7
			if whole && (err != nil || !reflect.DeepEqual(got, test.want)) {
				t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, test.want)
			}
			if !whole && !errors.Is(err, syscall.EPROTO) {
				t.Errorf("%s with %d bytes of %d: %+v, %v", name, len(body), len(reply)-7, got, err)
			}
			x.Close()
		}
	}
}

func TestGoldenRlerror(t *testing.T) {
	reply := goldens(t, "9P2000.L")["Rlerror"]
	s := startServer(t)
	x := s.dial(Options{})
	s.always(tgetattr, func(p *peer, m msg) { p.nc.Write(frame(reply[4], m.tag, reply[7:]...)) })
	want(t, getAttr(t.Context(), x.Root()), syscall.ENOSPC)
}

func TestGoldenRattach(t *testing.T) {
	frames := goldens(t, "9P2000.L")
	s := startServer(t)
	s.setHook(func(p *peer, m msg) bool {
		reply := frames[map[uint8]string{tversion: "Rversion", tattach: "Rattach"}[m.typ]]
		if reply != nil {
			p.nc.Write(frame(reply[4], m.tag, reply[7:]...))
		}
		return reply != nil
	})
	x := s.dial(Options{})
	if q := x.Root().Qid(); q != (Qid{QTDIR, 0x01020304, 0x0102030405060708}) || x.Msize() != 4096 {
		t.Error(q, x.Msize(), hex.EncodeToString(frames["Rattach"]))
	}
}
