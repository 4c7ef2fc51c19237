package p9client

import (
	"fmt"
	"syscall"
)

// legacyScript has every verb of 9P2000, and of 9P2000.u if unix is true. It
// begins with an empty tree.
func legacyScript(unix bool) []step {
	l := []step{
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
			if err == nil && (a.Size != 5 || a.Mode != syscall.S_IFREG|0640 || a.Qid.Path != c.f.Qid().Path) {
				return fmt.Errorf("%+v", a)
			}
			return err
		}, nil},
		{"rename", beAmbiguous, func(c *cutSession) error {
			return c.with(func(d *Fid) error { return d.Rename(c.t.Context(), "f", d, "g") }, "d")
		}, reopen("d", "g")},
		{"write after the rename", beDisconnected, write(", again", 5), nil},
		{"read after the rename", heldOn, expectRead("hello, again"), nil},
		{"make another", heldOn, func(c *cutSession) error {
			g, err := c.x.Root().Create(c.t.Context(), "h", syscall.O_RDWR, 0600, 0)
			if err == nil {
				g.Clunk()
			}
			return err
		}, nil},
		{"make a third", heldOn, func(c *cutSession) error {
			g, err := c.x.Root().Create(c.t.Context(), "i", syscall.O_RDWR, 0600, 0)
			if err == nil {
				g.Clunk()
			}
			return err
		}, nil},
		{"unlink", beAmbiguous, func(c *cutSession) error { return c.x.Root().Unlink(c.t.Context(), "h", 0) }, nothing},
		{"readdir", heldOn, expectDir("d", "i"), nil},
		{"open again", heldOn, reopen("d", "g"), nil},
		{"read again", heldOn, expectRead("hello, again"), nil},
	}
	if !unix {
		return l
	}
	return append(l, []step{
		{"symlink", beAmbiguous, func(c *cutSession) error {
			_, err := c.x.Root().Symlink(c.t.Context(), "s", "d/g", 0)
			return err
		}, nothing},
		{"readlink", heldOn, func(c *cutSession) error {
			return c.with(func(l *Fid) error {
				target, err := l.Readlink(c.t.Context())
				if err == nil && target != "d/g" {
					return fmt.Errorf("%q", target)
				}
				return err
			}, "s")
		}, nil},
		{"link", beAmbiguous, func(c *cutSession) error { return c.x.Root().Link(c.t.Context(), c.f, "k") }, nothing},
		{"mknod", beAmbiguous, func(c *cutSession) error {
			_, err := c.x.Root().Mknod(c.t.Context(), "p", syscall.S_IFIFO|0600, 0, 0, 0)
			return err
		}, nothing},
	}...)
}
