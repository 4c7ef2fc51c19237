package p9client

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"syscall"
)

// A step is a call of the script that is cut everywhere.
type step struct {
	name   string
	may    failure // how it may fail under a cut
	do     func(c *cutSession) error
	ifDone func(c *cutSession) error // after a failure that had succeeded; nil: it is done again all the same
}

// A failure is what the documents let a call say when its connection is lost.
type failure int

const (
	heldOn         failure = iota // it waits for the next connection
	beDisconnected                // the caller decides what to send again
	beAmbiguous                   // nobody knows whether it happened
)

func nothing(*cutSession) error { return nil }

// reopen gets the script's file by a name.
func reopen(names ...string) func(c *cutSession) error {
	return func(c *cutSession) error {
		f, err := c.x.Root().Walk(c.t.Context(), names...)
		if err != nil {
			return err
		}
		if c.f != nil {
			c.f.Clunk()
		}
		c.f = f
		return f.Open(c.t.Context(), syscall.O_RDWR)
	}
}

func (c *cutSession) with(f func(g *Fid) error, names ...string) error {
	g, err := c.x.Root().Walk(c.t.Context(), names...)
	if err != nil {
		return err
	}
	defer g.Clunk()
	return f(g)
}

func expectRead(want string) func(c *cutSession) error {
	return func(c *cutSession) error {
		p := make([]byte, len(want)+3)
		n, err := c.f.ReadAt(c.t.Context(), p, 0)
		if err == io.EOF && string(p[:n]) == want {
			return nil
		}
		return fmt.Errorf("read %q, %w", p[:n], err)
	}
}

func write(data string, off int64) func(c *cutSession) error {
	return func(c *cutSession) error {
		n, err := c.f.WriteAt(c.t.Context(), []byte(data), off)
		if err == nil && n != len(data) {
			return fmt.Errorf("%d bytes", n)
		}
		return err
	}
}

// expectDir reads the root with replies of one or two entries.
func expectDir(want ...string) func(c *cutSession) error {
	return func(c *cutSession) error {
		return c.with(func(d *Fid) error {
			if err := d.Open(c.t.Context(), syscall.O_RDONLY); err != nil {
				return err
			}
			var got []string
			for off := uint64(0); len(got) <= len(want); {
				l, next, err := d.ReadDir(c.t.Context(), off, c.plan.count)
				if err != nil {
					return err
				}
				for _, e := range l {
					got = append(got, e.Name)
				}
				if next == off {
					break
				}
				off = next
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("entries %q, want %q", got, want)
			}
			return nil
		})
	}
}

// names are what the server has in its root.
func (c *cutSession) names() []string {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return slices.Sorted(maps.Keys(c.s.root.kids))
}

// dotLScript has every verb of 9P2000.L. It begins with an empty tree.
var dotLScript = []step{
	{"mkdir", beAmbiguous, func(c *cutSession) error { _, err := c.x.Root().Mkdir(c.t.Context(), "d", 0755, 0); return err }, nothing},
	{"create", beAmbiguous, func(c *cutSession) error {
		return c.with(func(d *Fid) (err error) {
			c.f, err = d.Create(c.t.Context(), "f", syscall.O_RDWR|syscall.O_EXCL, 0600, 0)
			return err
		}, "d")
	}, reopen("d", "f")},
	{"write", beDisconnected, write("hello, world", 0), nil},
	{"fsync", beDisconnected, func(c *cutSession) error { return c.f.Sync(c.t.Context(), false) }, nil},
	{"read", heldOn, expectRead("hello, world"), nil},
	{"truncate", heldOn, func(c *cutSession) error { return c.f.Truncate(c.t.Context(), 5) }, nil},
	{"chmod", heldOn, func(c *cutSession) error {
		return c.f.SetAttr(c.t.Context(), SetAttr{Valid: SetMode, Mode: 0640})
	}, nil},
	{"getattr", heldOn, func(c *cutSession) error {
		a, err := c.f.GetAttr(c.t.Context())
		if err == nil && (a.Size != 5 || a.Mode != 0640 || a.Qid.Path != c.f.Qid().Path) {
			return fmt.Errorf("%+v", a)
		}
		return err
	}, nil},
	{"symlink", beAmbiguous, func(c *cutSession) error {
		_, err := c.x.Root().Symlink(c.t.Context(), "s", "d/f", 0)
		return err
	}, nothing},
	{"readlink", heldOn, func(c *cutSession) error {
		return c.with(func(l *Fid) error {
			target, err := l.Readlink(c.t.Context())
			if err == nil && target != "d/f" {
				return fmt.Errorf("%q", target)
			}
			return err
		}, "s")
	}, nil},
	{"link", beAmbiguous, func(c *cutSession) error { return c.x.Root().Link(c.t.Context(), c.f, "h") }, nothing},
	{"mknod", beAmbiguous, func(c *cutSession) error {
		_, err := c.x.Root().Mknod(c.t.Context(), "p", syscall.S_IFIFO|0600, 0, 0, 0)
		return err
	}, nothing},
	{"rename", beAmbiguous, func(c *cutSession) error {
		return c.with(func(d *Fid) error { return d.Rename(c.t.Context(), "f", c.x.Root(), "g") }, "d")
	}, reopen("g")},
	{"write after the rename", beDisconnected, write(", again", 5), nil},
	{"read after the rename", heldOn, expectRead("hello, again"), nil},
	{"unlink", beAmbiguous, func(c *cutSession) error { return c.x.Root().Unlink(c.t.Context(), "h", 0) }, nothing},
	{"rmdir", beAmbiguous, func(c *cutSession) error { return c.x.Root().Unlink(c.t.Context(), "d", 0x200) }, nothing},
	{"readdir", heldOn, expectDir("g", "p", "s"), nil},
	{"statfs", heldOn, func(c *cutSession) error {
		st, err := c.f.StatFS(c.t.Context())
		if err == nil && (st.BlockSize != 4096 || st.NameLen != 255) {
			return fmt.Errorf("%+v", st)
		}
		return err
	}, nil},
	{"open again", heldOn, reopen("g"), nil},
	{"read again", heldOn, expectRead("hello, again"), nil},
}

// afterScript leaves the tree as it found it.
var afterScript = []step{
	{"create afterwards", beAmbiguous, func(c *cutSession) (err error) {
		c.f, err = c.x.Root().Create(c.t.Context(), "z", syscall.O_RDWR|syscall.O_EXCL, 0600, 0)
		return err
	}, reopen("z")},
	{"write afterwards", beDisconnected, write("zz", 0), nil},
	{"read afterwards", heldOn, expectRead("zz"), nil},
	{"readdir afterwards", heldOn, func(c *cutSession) error { return expectDir(c.names()...)(c) }, nil},
	{"clunk afterwards", heldOn, func(c *cutSession) error { c.f.Clunk(); return nil }, nil},
	{"unlink afterwards", beAmbiguous, func(c *cutSession) error { return c.x.Root().Unlink(c.t.Context(), "z", 0) }, nothing},
}
