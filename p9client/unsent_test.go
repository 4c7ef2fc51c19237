package p9client

import (
	"context"
	"errors"
	"syscall"
	"testing"
)

// A connection may be lost under a T-message that comes before the one that
// changes something. Then there is no doubt, whatever others do meanwhile.
func TestLossBeforeTheChangeLeavesNoDoubt(t *testing.T) {
	type call = func(ctx context.Context, x *Session) error
	create := func(ctx context.Context, x *Session) error {
		return ofNew(x.Root().Create(ctx, "new", 2|syscall.O_EXCL, 0600, 0))
	}
	mkdir := func(ctx context.Context, x *Session) error { _, err := x.Root().Mkdir(ctx, "new", 0700, 0); return err }
	unlink := func(ctx context.Context, x *Session) error { return x.Root().Unlink(ctx, "f", 0) }
	rename := func(ctx context.Context, x *Session) error { return x.Root().Rename(ctx, "f", x.Root(), "new") }
	over := func(ctx context.Context, x *Session) error { return x.Root().Rename(ctx, "f", x.Root(), "g") }
	makes := func(s *server) { s.root.kids["new"] = s.newNode(0) }
	removes := func(s *server) { delete(s.root.kids, "f") }
	moves := func(s *server) { s.root.kids["new"] = s.root.kids["f"]; delete(s.root.kids, "f") }
	movesOver := func(s *server) { s.root.kids["g"] = s.root.kids["f"]; delete(s.root.kids, "f") }
	for _, r := range []struct {
		name    string
		dialect string
		call    call
		walk    int // which Twalk of the call is lost
		others  func(s *server)
		want    syscall.Errno
		lacks   uint8 // what the server does not know
	}{
		{"create", DotL, create, 1, makes, syscall.EEXIST, 0},
		{"unlink by Tremove", DotL, unlink, 1, removes, syscall.ENOENT, tunlinkat},
		{"rename by Trename", DotL, rename, 1, moves, syscall.ENOENT, trenameat},
		{"create, when it looks", Plain, create, 1, makes, syscall.EEXIST, 0},
		{"create", Plain, create, 2, makes, syscall.EEXIST, 0},
		{"mkdir", Plain, mkdir, 1, makes, syscall.EEXIST, 0},
		{"unlink", Plain, unlink, 1, removes, syscall.ENOENT, 0},
		{"rename", Plain, rename, 1, moves, syscall.ENOENT, 0},
		{"rename over a file, when it looks at that", Plain, over, 2, movesOver, syscall.ENOENT, 0},
	} {
		t.Run(r.dialect+" "+r.name, func(t *testing.T) {
			s := startServer(t)
			s.addTree()
			s.speak(r.dialect)
			x := s.dial(Options{Dialect: r.dialect})
			for _, name := range []string{"f", "g"} { // so that the qids are known
				f, err := x.Root().Walk(t.Context(), name)
				check(t, err)
				t.Cleanup(f.Clunk)
			}
			walks := 0
			s.setHook(func(p *peer, m msg) bool {
				if r.lacks != 0 && m.typ == r.lacks {
					return p.failed(m, syscall.EOPNOTSUPP)
				}
				if m.typ != twalk {
					return false
				}
				if walks++; walks == r.walk {
					r.others(s)
					p.nc.Close()
					return true
				}
				return false
			})
			err := r.call(t.Context(), x)
			if !errors.Is(err, r.want) {
				t.Errorf("%v, want %v", err, r.want)
			}
			if g := x.Link().Generation; g != 2 {
				t.Errorf("generation %d", g)
			}
		})
	}
}
