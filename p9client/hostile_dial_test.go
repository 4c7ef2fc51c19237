package p9client

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A greeting is a wrong way to begin a connection.
type greeting struct {
	server string // what the server does, as a sentence's end
	typ    uint8  // tversion or tattach
	do     func(p *peer, m msg)
	says   string // words of Dial's error
}

func greetings() []greeting {
	rversion := func(msize uint32, name string) func(p *peer, m msg) {
		return answer(le32(msize), str9(name))
	}
	const no9P, few = "does not speak 9P", "messages of"
	const refuses = "refuses the attach"
	root := qidBytes(Qid{Type: QTDIR, Path: 1})
	return []greeting{
		{"agrees on msize 0", tversion, rversion(0, DotL), few},
		{"agrees on msize 23, less than the header of a Twrite", tversion, rversion(23, DotL), few},
		{"agrees on msize 255", tversion, rversion(255, DotL), few},
		{"wants one byte more than was asked", tversion, rversion(hostileMsize+1, DotL), few},
		{"wants 2^32-1", tversion, rversion(1<<32-1, DotL), few},
		{"speaks 9P3000", tversion, rversion(hostileMsize, "9P3000"), "9P3000"},
		{"speaks 9P2000.Lx", tversion, rversion(hostileMsize, "9P2000.Lx"), "9P2000.Lx"},
		{"says unknown", tversion, rversion(hostileMsize, "unknown"), "unknown"},
		{"names no dialect", tversion, rversion(hostileMsize, ""), `""`},
		{"names a dialect with a NUL", tversion, rversion(hostileMsize, "9P2000.L\x00"), "9P2000.L"},
		{"ends in the middle of its dialect", tversion, answer(le32(hostileMsize), []byte{9, 0, '9', 'P'}), no9P},
		{"goes on after its dialect", tversion, answer(le32(hostileMsize), str9(DotL), []byte{0}), no9P},
		{"sends an empty Rversion", tversion, answer(), no9P},
		{"answers Tversion with tag 0", tversion, send(func(m msg) []byte { return frame(tversion+1, 0, m.body...) }), no9P},
		{"answers Tversion with Rattach", tversion, answerAs(tattach+1, root), no9P},
		{"sends Tversion back", tversion, send(func(m msg) []byte { return frame(tversion, m.tag, m.body...) }), no9P},
		{"sends an Rversion of size 0", tversion, send(func(m msg) []byte { return withSize(frame(tversion+1, m.tag), 0) }), no9P},
		{"sends an Rversion of size 6", tversion, send(func(m msg) []byte { return withSize(frame(tversion+1, m.tag), 6) }), no9P},
		{"sends an Rversion of 2^32-1", tversion, send(func(m msg) []byte { return withSize(frame(tversion+1, m.tag), 1<<32-1) }), no9P},
		{"sends an Rversion of 64 KiB", tversion, rversion(hostileMsize, strings.Repeat("9", 65535)), no9P},
		{"is a web server", tversion, func(p *peer, m msg) { p.nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); p.nc.Close() }, no9P},
		{"is an SSH server", tversion, func(p *peer, m msg) { p.nc.Write([]byte("SSH-2.0-OpenSSH_9.9\r\n")) }, no9P},
		{"closes at Tversion", tversion, func(p *peer, m msg) { p.nc.Close() }, no9P},
		{"closes in its Rversion", tversion, func(p *peer, m msg) { p.nc.Write(frame(tversion+1, m.tag, m.body...)[:9]); p.nc.Close() }, no9P},
		{"never answers Tversion", tversion, func(p *peer, m msg) {}, "deadline"},
		{"trickles its Rversion for ever", tversion, func(p *peer, m msg) { p.trickle(frame(tversion+1, m.tag, m.body...)[:12]) }, "deadline"},
		{"answers Tversion with Rlerror EPERM", tversion, answerAs(rlerror, le32(1)), "not permitted"},
		{"answers Tversion with half an Rlerror", tversion, answerAs(rlerror, []byte{1}), ""},

		{"refuses every user", tattach, answerAs(rlerror, le32(13)), refuses},
		{"refuses every user in words", tattach, answerAs(rerror, str9("unknown user")), "unknown user"},
		{"sends half a root", tattach, answer(root[:12]), refuses},
		{"sends a root and more", tattach, answer(root, []byte{1}), refuses},
		{"answers Tattach with Rwalk", tattach, answerAs(twalk+1, []byte{0, 0}), refuses},
		{"answers Tattach with another tag", tattach, send(func(m msg) []byte { return frame(tattach+1, m.tag^1, root...) }), refuses},
		{"sends an Rattach of 2^32-1", tattach, send(func(m msg) []byte { return withSize(frame(tattach+1, m.tag), 1<<32-1) }), refuses},
		{"closes at Tattach", tattach, func(p *peer, m msg) { p.nc.Close() }, refuses},
		{"never answers Tattach", tattach, func(p *peer, m msg) {}, refuses},
		{"answers Tattach with Rerror that ends early", tattach, answerAs(rerror, []byte{9, 0, 'x'}), refuses},
	}
}

// trickle sends bytes one by one and then none, in a goroutine.
func (p *peer) trickle(b []byte) {
	nc := p.nc
	p.s.wg.Go(func() {
		for i := range b {
			if _, err := nc.Write(b[i : i+1]); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
}

// A server that begins wrongly is refused with an error that says why, in
// bounded time.
func TestHostileDial(t *testing.T) {
	for _, g := range greetings() {
		t.Run("the server "+g.server, func(t *testing.T) {
			noLeak(t)
			s := startServer(t)
			s.always(g.typ, g.do)
			done := make(chan error, 1)
			go func() {
				x, err := Dial(t.Context(), Address{"unix", s.path}, Options{Msize: hostileMsize, DialTimeout: g.patience()})
				if err == nil {
					x.Close()
				}
				done <- err
			}()
			err := within(t, 20*time.Second, done)
			if err == nil || !strings.Contains(err.Error(), g.says) || !strings.Contains(err.Error(), s.path) {
				t.Errorf("Dial: %v, want the words %q and the address", err, g.says)
			}
			s.reset(t) // the client has closed its connection
		})
	}
}

// patience is short for servers that never answer, and long enough for others.
func (g greeting) patience() time.Duration {
	if g.silent() {
		return 500 * time.Millisecond
	}
	return 20 * time.Second
}

func (g greeting) silent() bool {
	return strings.HasPrefix(g.server, "never ") || strings.HasSuffix(g.server, " for ever")
}

// A session outlives a server that begins its next connections wrongly, and has
// its fids again when the server is right again.
func TestHostileReconnect(t *testing.T) {
	for _, g := range greetings() {
		t.Run("the server "+g.server, func(t *testing.T) {
			noLeak(t)
			s := startServer(t)
			s.addHostileTree()
			x := s.dial(Options{Msize: hostileMsize, DialTimeout: g.patience()})
			f := open(t, x, syscall.O_RDWR, "f")
			left := 3
			if g.silent() {
				left = 1
			}
			s.setHook(func(p *peer, m msg) bool {
				if m.typ != g.typ || left == 0 {
					return false
				}
				left--
				g.do(p, m)
				return true
			})
			s.cut()
			done := make(chan error, 1)
			go func() { done <- readHello(t.Context(), f) }()
			if err := within(t, 20*time.Second, done); err != nil {
				t.Error("afterwards:", err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if left != 0 {
				t.Errorf("%d wrong connections were not made", left)
			}
		})
	}
}

// What a server may say at the start that is merely unusual.
func TestUnusualStarts(t *testing.T) {
	for _, g := range []greeting{
		{"agrees on a smaller msize", tversion, answer(le32(4096), str9(DotL)), ""},
		{"offers Google's extensions", tversion, answer(le32(4096), str9(DotL+".Google.3")), ""},
		{"exports a file", tattach, answer(qidBytes(Qid{Path: 7})), ""},
		{"sends its root with every bit of the type", tattach, answer(qidBytes(Qid{Type: 0xff, Path: 7})), ""},
	} {
		t.Run(g.server, func(t *testing.T) {
			noLeak(t)
			s := startServer(t)
			s.once(g.typ, func(p *peer, m msg) {
				g.do(p, m)
				if m.typ == tattach {
					p.fids[0] = p.s.root
				}
			})
			x := s.dial(Options{Msize: hostileMsize})
			if _, err := x.Root().GetAttr(t.Context()); err != nil {
				t.Error(err)
			}
			if x.Msize() > hostileMsize {
				t.Error("msize", x.Msize())
			}
		})
	}
}

// After a reconnect, a root that is another one, or no directory any more, makes
// what was below the old one stale: nothing is read or written in the wrong tree.
func TestHostileRoots(t *testing.T) {
	for _, q := range []Qid{{Type: QTDIR, Path: 77}, {Path: 1}, {Type: QTSYMLINK, Path: 1}} {
		t.Run(fmt.Sprintf("%+v", q), func(t *testing.T) {
			noLeak(t)
			s := startServer(t)
			s.addHostileTree()
			x := s.dial(Options{Msize: hostileMsize})
			f := open(t, x, syscall.O_RDWR, "f")
			s.always(tattach, func(p *peer, m msg) {
				p.fids[0] = p.s.root
				p.reply(m, qidBytes(q)...)
			})
			s.cut()
			want(t, readHello(t.Context(), f), syscall.ESTALE)
			_, err := f.WriteAt(t.Context(), []byte("HELLO"), 0)
			want(t, err, syscall.ESTALE)
		})
	}
}

// A server that closes every connection at once is given the hold time, not more.
func TestFlappingServerIsHeldNoLongerThanTheHoldTime(t *testing.T) {
	for _, typ := range []uint8{tversion, tattach, twalk, tlopen, tread} {
		t.Run(fmt.Sprintf("at type %d", typ), func(t *testing.T) {
			noLeak(t)
			s := startServer(t)
			s.addHostileTree()
			x := s.dial(Options{Msize: hostileMsize, HoldTimeout: 100 * time.Millisecond})
			f := open(t, x, syscall.O_RDWR, "f")
			s.always(typ, func(p *peer, m msg) { p.nc.Close() })
			s.cut()
			done := make(chan error, 1)
			go func() { done <- readHello(t.Context(), f) }()
			err := within(t, 20*time.Second, done)
			if err == nil || !disconnected(err) {
				t.Error(err)
			}
			s.setHook(nil)
			eventually(t, "the session is right again", func() bool { return readHello(t.Context(), f) == nil })
		})
	}
}

// A server that refuses everything refuses it for every verb, over one connection.
func TestServerThatRefusesEverything(t *testing.T) {
	noLeak(t)
	s := startServer(t)
	s.addHostileTree()
	x := s.dial(Options{Msize: hostileMsize})
	f := open(t, x, syscall.O_RDWR, "f")
	s.setHook(func(p *peer, m msg) bool { p.fail(m, syscall.EIO); return true })
	for name, call := range operations {
		if err := call(t.Context(), f); err == nil || disconnected(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.setHook(nil)
	if err := readHello(t.Context(), f); err != nil || x.Link().Generation != 1 {
		t.Errorf("afterwards: %v, generation %d", err, x.Link().Generation)
	}
}
