package p9client

import (
	"context"
	"encoding/binary"
	"errors"
	"syscall"
	"testing"
)

// A hostile answers one request with what never makes sense.
type hostile struct {
	name  string
	call  func(ctx context.Context, f *Fid) error
	typ   uint8 // of the request that is answered
	frame func(m msg) []byte
}

func getAttr(ctx context.Context, f *Fid) error { _, err := f.GetAttr(ctx); return err }
func readAt(ctx context.Context, f *Fid) error {
	_, err := f.ReadAt(ctx, make([]byte, 16), 0)
	return err
}
func writeAt(ctx context.Context, f *Fid) error {
	_, err := f.WriteAt(ctx, make([]byte, 16), 0)
	return err
}
func walk(ctx context.Context, f *Fid) error   { _, err := f.Walk(ctx, "a", "b"); return err }
func clone(ctx context.Context, f *Fid) error  { _, err := f.Walk(ctx); return err }
func fsync(ctx context.Context, f *Fid) error  { return f.Sync(ctx, false) }
func statFS(ctx context.Context, f *Fid) error { _, err := f.StatFS(ctx); return err }
func readlink(ctx context.Context, f *Fid) error {
	_, err := f.Readlink(ctx)
	return err
}
func readDir(ctx context.Context, f *Fid) error {
	_, _, err := f.ReadDir(ctx, 7, 4096)
	return err
}

// dirent is an entry of an Rreaddir.
func dirent(off uint64, name string) []byte {
	b := qidBytes(Qid{Path: 5})
	b = binary.LittleEndian.AppendUint64(b, off)
	return append(append(b, 8, byte(len(name)), byte(len(name)>>8)), name...)
}

func readdirBody(entries ...[]byte) []byte {
	var b []byte
	for _, e := range entries {
		b = append(b, e...)
	}
	return append(le32(uint32(len(b))), b...)
}

// withSize overwrites a frame's size.
func withSize(b []byte, size uint32) []byte {
	binary.LittleEndian.PutUint32(b, size)
	return b
}

// answer is a reply of the right type and tag.
func answer(body ...byte) func(m msg) []byte {
	return func(m msg) []byte { return frame(m.typ+1, m.tag, body...) }
}

func hostiles() []hostile {
	cat := func(b ...[]byte) (all []byte) {
		for _, x := range b {
			all = append(all, x...)
		}
		return all
	}
	qid := qidBytes(Qid{Path: 5})
	attr := attrBody(&node{})
	huge := attrBody(&node{})
	binary.LittleEndian.PutUint64(huge[8+13+12+16:], 1<<63)
	return []hostile{
		{"size 0", getAttr, tgetattr, func(m msg) []byte { return withSize(frame(m.typ+1, m.tag), 0) }},
		{"size 6", getAttr, tgetattr, func(m msg) []byte { return withSize(frame(m.typ+1, m.tag), 6) }},
		{"size above msize", getAttr, tgetattr, func(m msg) []byte { return withSize(frame(m.typ+1, m.tag), 1<<20) }},
		{"size 2^32-1", getAttr, tgetattr, func(m msg) []byte { return withSize(frame(m.typ+1, m.tag), 1<<32-1) }},
		{"unused tag", getAttr, tgetattr, func(m msg) []byte { return frame(m.typ+1, m.tag^1, attr...) }},
		{"tag beyond all", getAttr, tgetattr, func(m msg) []byte { return frame(m.typ+1, maxCalls, attr...) }},
		{"tag of a Tflush", getAttr, tgetattr, func(m msg) []byte { return frame(tflush+1, m.tag|flushBit) }},
		{"tag of a Tflush beyond all", getAttr, tgetattr, func(m msg) []byte { return frame(tflush+1, flushBit|maxCalls) }},
		{"NOTAG", getAttr, tgetattr, func(m msg) []byte { return frame(m.typ+1, noTag, attr...) }},
		{"another type", getAttr, tgetattr, func(m msg) []byte { return frame(twalk+1, m.tag, 0, 0) }},
		{"a T-message", getAttr, tgetattr, func(m msg) []byte { return frame(m.typ, m.tag, m.body...) }},
		{"Rlerror of 3 bytes", getAttr, tgetattr, func(m msg) []byte { return frame(rlerror, m.tag, 1, 0, 0) }},
		{"Rlerror without a body", getAttr, tgetattr, func(m msg) []byte { return frame(rlerror, m.tag) }},
		{"Rerror with a short string", getAttr, tgetattr, func(m msg) []byte { return frame(rerror, m.tag, 9, 0, 'x') }},
		{"truncated Rgetattr", getAttr, tgetattr, answer(attr[:len(attr)-1]...)},
		{"long Rgetattr", getAttr, tgetattr, answer(append(attr, 0)...)},
		{"negative size", getAttr, tgetattr, answer(huge...)},
		{"Rread above count", readAt, tread, answer(cat(le32(17), make([]byte, 17))...)},
		{"Rread short of its count", readAt, tread, answer(cat(le32(9), make([]byte, 8))...)},
		{"Rread beyond its count", readAt, tread, answer(cat(le32(7), make([]byte, 8))...)},
		{"Rread of 2^32-1", readAt, tread, answer(cat(le32(1<<32-1), make([]byte, 8))...)},
		{"Rread without a count", readAt, tread, answer(1, 0, 0)},
		{"Rwrite above count", writeAt, twrite, answer(le32(17)...)},
		{"Rwrite of 2^32-1", writeAt, twrite, answer(le32(1<<32 - 1)...)},
		{"Rwrite without a count", writeAt, twrite, answer()},
		{"Rwrite too long", writeAt, twrite, answer(1, 0, 0, 0, 0)},
		{"Rwalk of three for two", walk, twalk, answer(cat([]byte{3, 0}, qid, qid, qid)...)},
		{"Rwalk of none", walk, twalk, answer(0, 0)},
		{"Rwalk truncated", walk, twalk, answer(cat([]byte{2, 0}, qid, qid[:5])...)},
		{"Rwalk of one for a clone", clone, twalk, answer(cat([]byte{1, 0}, qid)...)},
		{"Rfsync with a body", fsync, tfsync, answer(1)},
		{"Rstatfs truncated", statFS, tstatfs, answer(make([]byte, 50)...)},
		{"Rreadlink with a short string", readlink, treadlink, answer(9, 0, 'x')},
		{"Rreaddir not advancing", readDir, treaddir, answer(readdirBody(dirent(8, "a"), dirent(7, "b"))...)},
		{"Rreaddir with a short name", readDir, treaddir, answer(readdirBody(dirent(8, "abc")[:25])...)},
		{"Rreaddir with another count", readDir, treaddir, answer(cat(le32(3), dirent(8, "a"))...)},
		{"Rreaddir above count", readDir, treaddir, answer(readdirBody(dirent(8, string(make([]byte, 5000))))...)},
	}
}

// A reply that makes no sense ends the connection and the call, and nothing else.
func TestRepliesThatMakeNoSense(t *testing.T) {
	for _, h := range hostiles() {
		t.Run(h.name, func(t *testing.T) {
			s := startServer(t)
			s.add("f", 0, "hello")
			x := s.dial(Options{Msize: 8192})
			f := open(t, x, syscall.O_RDWR, "f")
			s.once(h.typ, func(p *peer, m msg) { p.nc.Write(h.frame(m)) })
			err := h.call(WithoutHold(t.Context()), f)
			if !errors.Is(err, syscall.EPROTO) || !disconnected(err) {
				t.Errorf("the call: %v, want EPROTO, disconnected", err)
			}
			if a, err := f.GetAttr(t.Context()); err != nil || a.Size != 5 {
				t.Errorf("afterwards: %v", err)
			}
			if g := x.Link().Generation; g != 2 {
				t.Errorf("generation %d", g)
			}
		})
	}
}

// Held for ever, a request that is always answered with nonsense ends.
func TestNonsenseForEverEnds(t *testing.T) {
	s := startServer(t)
	x := s.dial(Options{})
	s.setHook(func(p *peer, m msg) bool {
		if m.typ == tgetattr {
			p.reply(m)
		}
		return m.typ == tgetattr
	})
	want(t, getAttr(t.Context(), x.Root()), syscall.EPROTO)
}

func TestNamesThatCouldEscapeAreLeftOut(t *testing.T) {
	s := startServer(t)
	x := s.dial(Options{})
	names := []string{".", "..", "", "a/b", "/", "../x", "nul\x00", "good", "\xff", "..."}
	s.setHook(func(p *peer, m msg) bool {
		if m.typ == treaddir {
			var l [][]byte
			for i, n := range names {
				l = append(l, dirent(uint64(i+1), n))
			}
			p.reply(m, readdirBody(l...)...)
		}
		return m.typ == treaddir
	})
	l, next, err := x.Root().ReadDir(t.Context(), 0, 4096)
	if err != nil || next != uint64(len(names)) || len(l) != 3 || l[0].Name != "good" || l[1].Name != "\xff" || l[2].Name != "..." {
		t.Error(l, next, err)
	}
	for _, n := range names[:7] {
		_, err := x.Root().Walk(t.Context(), n)
		want(t, err, syscall.EINVAL)
		_, err = x.Root().Create(t.Context(), n, 0, 0, 0)
		want(t, err, syscall.EINVAL)
		want(t, x.Root().Unlink(t.Context(), n, 0), syscall.EINVAL)
		want(t, x.Root().Rename(t.Context(), "a", x.Root(), n), syscall.EINVAL)
	}
}
