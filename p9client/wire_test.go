package p9client

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"
)

// What is sent, byte by byte, written by hand after the manual.
func TestGoldenRequests(t *testing.T) {
	when := time.Unix(0x01020304, 0x05060708)
	for _, test := range []struct {
		name, golden string
		call         func(ctx context.Context, f *Fid)
	}{
		{"Twalk", "19000000 6e TTTT 02000000 03000000 0200 0100 61 0300 626363", func(ctx context.Context, f *Fid) { f.Walk(ctx, "a", "bcc") }},
		{"Tgetattr", "13000000 18 TTTT 02000000 ff3f000000000000", func(ctx context.Context, f *Fid) { f.GetAttr(ctx) }},
		{"Tsetattr", "43000000 1a TTTT 02000000 29010000 a4010000 01000000 02000000 0807060504030201 0000000000000000 0000000000000000 0403020100000000 0807060500000000",
			func(ctx context.Context, f *Fid) {
				f.SetAttr(ctx, SetAttr{Valid: SetMode | SetSize | SetMtime | SetMtimeTo, Mode: 0644, UID: 1, GID: 2, Size: 0x0102030405060708, Mtime: when})
			}},
		{"Tlopen", "0f000000 0c TTTT 02000000 02820000", func(ctx context.Context, f *Fid) { f.Open(ctx, 0x2|0x200|0x40|0x80|0x400) }},
		{"Tread", "17000000 74 TTTT 02000000 0102000000000000 10000000", func(ctx context.Context, f *Fid) { f.ReadAt(ctx, make([]byte, 16), 0x201) }},
		{"Twrite", "1a000000 76 TTTT 02000000 0102000000000000 03000000 616263", func(ctx context.Context, f *Fid) { f.WriteAt(ctx, []byte("abc"), 0x201) }},
		{"Tfsync", "0f000000 32 TTTT 02000000 01000000", func(ctx context.Context, f *Fid) { f.Sync(ctx, true) }},
		{"Treaddir", "17000000 28 TTTT 02000000 0700000000000000 00010000", func(ctx context.Context, f *Fid) { f.ReadDir(ctx, 7, 256) }},
		{"Tmkdir", "16000000 48 TTTT 02000000 0100 64 ed010000 05000000", func(ctx context.Context, f *Fid) { f.Mkdir(ctx, "d", 0755, 5) }},
		{"Tsymlink", "16000000 10 TTTT 02000000 0100 73 0200 2f78 05000000", func(ctx context.Context, f *Fid) { f.Symlink(ctx, "s", "/x", 5) }},
		{"Tmknod", "1e000000 12 TTTT 02000000 0100 6e a4210000 01000000 02000000 03000000", func(ctx context.Context, f *Fid) { f.Mknod(ctx, "n", 0x21a4, 1, 2, 3) }},
		{"Tunlinkat", "12000000 4c TTTT 02000000 0100 75 00020000", func(ctx context.Context, f *Fid) { f.Unlink(ctx, "u", 0x200) }},
		{"Treadlink", "0b000000 16 TTTT 02000000", func(ctx context.Context, f *Fid) { f.Readlink(ctx) }},
		{"Tstatfs", "0b000000 08 TTTT 02000000", func(ctx context.Context, f *Fid) { f.StatFS(ctx) }},
		{"Tclunk", "0b000000 78 TTTT 02000000", func(ctx context.Context, f *Fid) { f.Clunk() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startServer(t)
			s.add("f", 0, "")
			x := s.dial(Options{HoldTimeout: -1})
			g, err := x.Root().Walk(t.Context(), "f") // fid 1
			check(t, err)
			f, err := x.Root().Walk(t.Context(), "f") // fid 2
			check(t, err)
			got := make(chan string, 100)
			s.setHook(func(p *peer, m msg) bool {
				got <- hex.EncodeToString(append(frame(m.typ, 0)[:5], m.body...)) // without the tag
				p.fail(m, 5)
				return true
			})
			test.call(t.Context(), f)
			want := strings.ReplaceAll(strings.ReplaceAll(test.golden, "TTTT", ""), " ", "")
			select {
			case have := <-got:
				if have[8:] != want[8:] { // the frame above has no body in its size
					t.Errorf("\n got %s\nwant %s", have[8:], want[8:])
				}
				if n := len(want)/2 + 2; want[:8] != hex.EncodeToString(le32(uint32(n))) {
					t.Errorf("golden size is wrong, not %#x", n)
				}
			case <-time.After(3 * time.Second):
				t.Error("nothing was sent")
			}
			s.setHook(nil)
			g.Clunk()
		})
	}
}

func TestGoldenAttr(t *testing.T) {
	b, _ := hex.DecodeString(strings.ReplaceAll("ff07000000000000 80 04030201 0807060504030201"+
		"ed410000 01000000 02000000 0300000000000000 0400000000000000 0500000000000000 0010000000000000 0800000000000000"+
		"0403020100000000 0807060500000000 0000000000000000 0000000000000000 ffffffffffffffff 0000000000000000 0100000000000000 ffffffffffffffff"+
		"0900000000000000 0a00000000000000", " ", ""))
	d := decoder{b: b}
	got := d.attr()
	want := Attr{
		Valid: 0x7ff, Qid: Qid{QTDIR, 0x01020304, 0x0102030405060708}, Mode: 040755, UID: 1, GID: 2, Nlink: 3, Rdev: 4,
		Size: 5, Blksize: 4096, Blocks: 8, Atime: time.Unix(0x01020304, 0x05060708), Ctime: time.Unix(-1, 0), Gen: 9, DataVersion: 10,
	}
	if err := d.end(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
	for n := range b {
		d := decoder{b: b[:n]}
		if d.attr(); d.end() == nil {
			t.Errorf("%d bytes are enough", n)
		}
	}
}

// Whatever a server sends, a connection ends or goes on; it never panics, hangs,
// or allocates more than a message.
func FuzzReplies(f *testing.F) {
	for _, h := range hostiles() {
		f.Add(h.frame(msg{typ: h.typ, tag: 3}))
	}
	f.Add(frame(tgetattr+1, 1, attrBody(&node{})...))
	f.Add(append(frame(rlerror, 0, 5, 0, 0, 0), frame(rerror, 1, 1, 0, 'x')...))
	f.Add(append(frame(tread+1, 2, 2, 0, 0, 0, 'a', 'b'), frame(tflush+1, 5|flushBit)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		const msize = 4096
		nc, srv := net.Pipe()
		c := newConn(nc, 1, msize, time.Minute)
		c.say = dotL{}
		s := &Session{o: Options{Msize: msize}.withDefaults(), conn: c, link: Link{Up: true, Generation: 1}, news: make(chan struct{})}
		s.ctx, s.cancel = context.WithCancel(t.Context())
		defer s.cancel()
		s.root = &Fid{s: s, name: &name{refs: 1}, busy: make(chan struct{}, 1), isRoot: true}
		ctx := WithoutHold(s.ctx)
		done := make(chan struct{})
		calls := []func(context.Context, *Fid) error{getAttr, readAt, writeAt, walk, clone, fsync, statFS, readlink, readDir}
		sent := make(chan struct{}, len(calls))
		for _, call := range calls {
			go func() { call(ctx, s.root); done <- struct{}{} }()
		}
		go func() { // the server reads all and answers with b
			for range calls {
				if _, err := readMsg(srv); err != nil {
					break
				}
				sent <- struct{}{}
			}
			io.Copy(io.Discard, srv)
		}()
		for range calls {
			<-sent
		}
		srv.SetWriteDeadline(time.Now().Add(5 * time.Second))
		srv.Write(b)
		srv.Close()
		for range calls {
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				t.Fatal("a call hangs")
			}
		}
		c.close(io.EOF)
	})
}

func FuzzDecodeAttr(f *testing.F) {
	f.Add(attrBody(&node{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := decoder{b: bytes.Clone(b)}
		d.attr()
		if d.end() == nil && len(b) != len(attrBody(&node{})) {
			t.Error("decoded from", len(b), "bytes")
		}
	})
}
