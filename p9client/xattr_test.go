package p9client

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// attributes are the extended attributes of a server's one file, as diod's
// protocol.md has them. It is a hook.
type attributes struct {
	values  map[string]string
	reading map[uint32]string // what is read from a fid
	writing map[uint32]*written
	flags   []uint32 // of each Txattrcreate
}

type written struct {
	name string
	size uint64
	data []byte
}

func newAttributes() *attributes {
	return &attributes{values: map[string]string{}, reading: map[uint32]string{}, writing: map[uint32]*written{}}
}

func (a *attributes) hook(p *peer, m msg) bool {
	d := decoder{b: m.body}
	fid := d.u32()
	switch m.typ {
	case txattrwalk:
		a.walk(p, m, d.u32(), d.str())
	case txattrcreate:
		w := &written{name: d.str(), size: d.u64()}
		a.flags = append(a.flags, d.u32())
		a.writing[fid] = w
		p.reply(m)
	case tread:
		v, ok := a.reading[fid]
		if !ok {
			return false
		}
		off, count := int(d.u64()), int(d.u32())
		v = v[min(off, len(v)):min(off+count, len(v))]
		p.reply(m, append(le32(uint32(len(v))), v...)...)
	case twrite:
		off, n := d.u64(), d.u32()
		if len(m.body) > 4096 {
			p.complain("a message of %d bytes", len(m.body))
		}
		w := a.writing[fid]
		if w == nil || off != uint64(len(w.data)) {
			return p.failed(m, syscall.EINVAL)
		}
		w.data = append(w.data, d.b...)
		p.reply(m, le32(n)...)
	case tclunk:
		w := a.writing[fid]
		delete(a.writing, fid)
		delete(a.reading, fid)
		if w == nil {
			return false
		}
		a.set(w)
		delete(p.fids, fid)
		p.reply(m)
	default:
		return false
	}
	return true
}

func (a *attributes) walk(p *peer, m msg, newfid uint32, name string) {
	v, ok := a.values[name]
	if name == "" {
		v, ok = strings.Join(append(slices.Sorted(maps.Keys(a.values)), ""), "\x00"), true
	}
	if !ok {
		p.fail(m, syscall.ENODATA)
		return
	}
	p.fids[newfid], a.reading[newfid] = p.s.root, v
	p.reply(m, binary.LittleEndian.AppendUint64(nil, uint64(len(v)))...)
}

func (a *attributes) set(w *written) {
	if len(w.data) == 0 {
		delete(a.values, w.name)
	} else if uint64(len(w.data)) == w.size {
		a.values[w.name] = string(w.data)
	}
}

// withAttributes is a session at a server whose root has the attribute user.old.
func withAttributes(t *testing.T, o Options) (*server, *Session, *attributes) {
	s := startServer(t)
	a := newAttributes()
	a.values["user.old"] = "0123456789"
	s.setHook(a.hook)
	return s, s.dial(o), a
}

func TestXattrValuesMayTakeSeveralMessages(t *testing.T) {
	_, x, _ := withAttributes(t, Options{Msize: 4096})
	fids := x.inUse()
	long := strings.Repeat("0123456789", maxXattr/10)
	for name, value := range map[string]string{"user.a": "v", "user.long": long} {
		check(t, x.Root().SetXattr(t.Context(), name, []byte(value), 0))
		if got, err := x.Root().GetXattr(t.Context(), name); err != nil || string(got) != value {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(value))
		}
	}
	names, err := x.Root().ListXattr(t.Context())
	if err != nil || !slices.Equal(names, []string{"user.a", "user.long", "user.old"}) {
		t.Errorf("names: %q, %v", names, err)
	}
	check(t, x.Root().RemoveXattr(t.Context(), "user.long"))
	_, err = x.Root().GetXattr(t.Context(), "user.long")
	want(t, err, syscall.ENODATA)
	eventually(t, "as many fids as before", func() bool { return x.inUse() == fids })
}

// What no attribute can be is refused before the server is asked.
func TestXattrThatCannotBeIsNotAskedFor(t *testing.T) {
	s, x, _ := withAttributes(t, Options{})
	root, ctx := x.Root(), t.Context()
	for _, name := range []string{"", "user.\x00", strings.Repeat("n", 256)} {
		_, err := root.GetXattr(ctx, name)
		want(t, err, syscall.EINVAL)
		want(t, root.SetXattr(ctx, name, []byte("v"), 0), syscall.EINVAL)
		want(t, root.RemoveXattr(ctx, name), syscall.EINVAL)
	}
	want(t, root.SetXattr(ctx, "user.a", nil, 0), syscall.EINVAL) // which would remove it
	want(t, root.SetXattr(ctx, "user.a", make([]byte, maxXattr+1), 0), syscall.E2BIG)
	if n := s.count(txattrwalk) + s.count(txattrcreate); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

// To remove means to replace by nothing: what is not there is not made.
func TestXattrRemovalIsAReplacement(t *testing.T) {
	s, x, a := withAttributes(t, Options{})
	check(t, x.Root().SetXattr(t.Context(), "user.a", []byte("old"), 0))
	check(t, x.Root().RemoveXattr(t.Context(), "user.a"))
	check(t, x.Root().SetXattr(t.Context(), "user.a", []byte("v"), 1))
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(a.flags, []uint32{0, xattrReplace, 1}) {
		t.Errorf("flags %v", a.flags)
	}
}

// Whatever the server does with an attribute, the caller is told, and no fid is
// left.
func TestXattrsOfAServerThatMisbehaves(t *testing.T) {
	get := func(x *Session) error { _, err := x.Root().GetXattr(x.ctx, "user.old"); return err }
	set := func(x *Session) error { return x.Root().SetXattr(x.ctx, "user.a", []byte("new"), 0) }
	for _, r := range []struct {
		server string
		call   func(x *Session) error
		typ    uint8
		do     func(p *peer, m msg) bool
		want   syscall.Errno
	}{
		{"refuses Txattrwalk", get, txattrwalk, func(p *peer, m msg) bool { return p.failed(m, syscall.EPERM) }, syscall.EPERM},
		{"says 1 TiB", get, txattrwalk, func(p *peer, m msg) bool {
			d := decoder{b: m.body}
			d.u32()
			p.fids[d.u32()] = p.s.root
			p.reply(m, binary.LittleEndian.AppendUint64(nil, 1<<40)...)
			return true
		}, syscall.E2BIG},
		{"refuses Tread", get, tread, func(p *peer, m msg) bool { return p.failed(m, syscall.EIO) }, syscall.EIO},
		{"refuses Txattrcreate", set, txattrcreate, func(p *peer, m msg) bool { return p.failed(m, syscall.EPERM) }, syscall.EPERM},
		{"accepts no byte", set, twrite, func(p *peer, m msg) bool { p.reply(m, le32(0)...); return true }, syscall.EIO},
		{"refuses Twrite", set, twrite, func(p *peer, m msg) bool { return p.failed(m, syscall.ENOSPC) }, syscall.ENOSPC},
	} {
		t.Run(r.server, func(t *testing.T) {
			s, x, a := withAttributes(t, Options{})
			fids := x.inUse()
			s.setHook(func(p *peer, m msg) bool { return m.typ == r.typ && r.do(p, m) || a.hook(p, m) })
			want(t, r.call(x), r.want)
			eventually(t, "as many fids as before", func() bool { return x.inUse() == fids })
		})
	}
}

// The value is set when the fid is clunked; what the server says then counts.
func TestXattrRefusedAtItsEndIsTold(t *testing.T) {
	s, x, a := withAttributes(t, Options{})
	fids := x.inUse()
	s.setHook(func(p *peer, m msg) bool {
		if fid := binary.LittleEndian.Uint32(m.body); m.typ == tclunk && a.writing[fid] != nil {
			delete(p.fids, fid)
			return p.failed(m, syscall.EDQUOT)
		}
		return a.hook(p, m)
	})
	want(t, x.Root().SetXattr(t.Context(), "user.a", []byte("v"), 0), syscall.EDQUOT)
	eventually(t, "as many fids as before", func() bool { return x.inUse() == fids })
}

// A value that has become shorter since Rxattrwalk is told as it is.
func TestXattrThatShrinksIsReadAsFarAsItGoes(t *testing.T) {
	s, x, a := withAttributes(t, Options{})
	s.setHook(func(p *peer, m msg) bool {
		if fid := binary.LittleEndian.Uint32(m.body); m.typ == tread {
			a.reading[fid] = "012"
		}
		return a.hook(p, m)
	})
	if got, err := x.Root().GetXattr(t.Context(), "user.old"); string(got) != "012" {
		t.Errorf("%q, %v", got, err)
	}
}

// A connection that is lost under the Tclunk that sets or removes an attribute.
func TestXattrsInDoubt(t *testing.T) {
	const name = "user.old"
	setWith := func(flags uint32) func(x *Session) error {
		return func(x *Session) error { return x.Root().SetXattr(x.ctx, name, []byte("new"), flags) }
	}
	set := setWith(0)
	remove := func(x *Session) error { return x.Root().RemoveXattr(x.ctx, name) }
	for _, r := range []struct {
		what      string
		call      func(x *Session) error
		typ       uint8 // of the request under which the connection is lost
		obeyed    bool
		meanwhile string // what another client has set it to; "": nothing
		outcome   error
		value     string
	}{
		{"set, obeyed", set, tclunk, true, "", nil, "new"},
		{"set, not obeyed", set, tclunk, false, "", nil, "new"},
		{"made, obeyed", setWith(1), tclunk, true, "", nil, "new"},
		{"made, overwritten by another client", setWith(1), tclunk, true, "other", syscall.EIO, "other"},
		{"replaced, obeyed", setWith(xattrReplace), tclunk, true, "", nil, "new"},
		{"removed, obeyed", remove, tclunk, true, "", nil, ""},
		{"removed, not obeyed", remove, tclunk, false, "", nil, ""},
		{"made by others before anything was sent", setWith(1), twalk, false, "other", nil, "new"},
		{"made by others before a byte was sent", setWith(1), txattrcreate, false, "other", nil, "new"},
	} {
		t.Run(r.what, func(t *testing.T) {
			s, x, a := withAttributes(t, Options{})
			lost := 0
			s.setHook(func(p *peer, m msg) bool {
				fid := binary.LittleEndian.Uint32(m.body)
				w := a.writing[fid]
				if m.typ != r.typ || m.typ == tclunk && w == nil || lost > 0 {
					return a.hook(p, m)
				}
				lost++
				if r.obeyed {
					a.set(w)
				}
				if r.meanwhile != "" {
					a.values[name] = r.meanwhile
				}
				clear(a.writing)
				p.nc.Close()
				return true
			})
			wantFate(t, r.what, r.call(x), r.outcome)
			s.mu.Lock()
			defer s.mu.Unlock()
			if lost != 1 || !bytes.Equal([]byte(a.values[name]), []byte(r.value)) {
				t.Errorf("lost %d times, the value is %q, want %q", lost, a.values[name], r.value)
			}
			if sent := s.sums[txattrcreate]; r.obeyed && sent != 1 {
				t.Errorf("it was sent %d times", sent)
			}
		})
	}
}
