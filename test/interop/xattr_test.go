package interop

import (
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

var xattrCases = []testCase{
	{name: "extended attributes are set, told, listed and removed", verbs: "Txattrcreate Txattrwalk", needs: xattrs, run: func(r *rig) {
		r.put("file", "content")
		f := r.walk("file")
		values := map[string]string{"user.short": "v", "user.binary": "\x00\xff\x01", "user.long": strings.Repeat("long ", 400)}
		for name, value := range values {
			r.ok(f.SetXattr(r.ctx, name, []byte(value), 0))
			b := make([]byte, 4096)
			n, err := unix.Lgetxattr(r.host("file"), name, b)
			if err != nil || string(b[:n]) != value {
				r.Errorf("%s: the server's is %.50q, %v", name, b[:max(n, 0)], err)
			}
			if got, err := f.GetXattr(r.ctx, name); err != nil || string(got) != value {
				r.Errorf("%s is %.50q, %v", name, got, err)
			}
		}
		names, err := f.ListXattr(r.ctx)
		r.ok(err)
		for name := range values {
			if !slices.Contains(names, name) {
				r.Errorf("%s is not in %q", name, names)
			}
			r.ok(f.RemoveXattr(r.ctx, name))
			r.wants(ignore(f.GetXattr(r.ctx, name)), syscall.ENODATA, "get of a missing attribute")
		}
		r.has("file", "content")
	}, refused: func(r *rig) func() error {
		r.put("file", "content")
		f := r.walk("file")
		return func() error { return f.SetXattr(r.ctx, "user.name", []byte("value"), 0) }
	}},
	{name: "an extended attribute is made or replaced as the flags say", verbs: "Txattrcreate", needs: xattrs, run: func(r *rig) {
		r.put("file", "content")
		f := r.walk("file")
		const name = "user.name"
		err := f.SetXattr(r.ctx, name, []byte("1"), unix.XATTR_REPLACE)
		if r.deviates(xattrFlags) {
			r.ok(err)
		} else {
			r.wants(err, syscall.ENODATA, "replacement of a missing attribute")
		}
		r.ok(f.SetXattr(r.ctx, name, []byte("2"), 0))
		err = f.SetXattr(r.ctx, name, []byte("3"), unix.XATTR_CREATE)
		if r.deviates(xattrFlags) {
			r.ok(err)
			return
		}
		r.wants(err, syscall.EEXIST, "making of an attribute that exists")
		r.ok(f.SetXattr(r.ctx, name, []byte("4"), unix.XATTR_REPLACE))
		if got, err := f.GetXattr(r.ctx, name); err != nil || string(got) != "4" {
			r.Errorf("it is %q, %v", got, err)
		}
		r.wants(f.RemoveXattr(r.ctx, "user.missing"), syscall.ENODATA, "removal of a missing attribute")
		r.wants(f.SetXattr(r.ctx, "unheard.of", []byte("x"), 0), syscall.EOPNOTSUPP, "an attribute of an unknown namespace")
	}, refused: func(r *rig) func() error {
		r.put("file", "content")
		f := r.walk("file")
		return func() error { return f.SetXattr(r.ctx, "user.name", []byte("value"), unix.XATTR_CREATE) }
	}},
	{name: "extended attributes are listed where there is none", verbs: "Txattrwalk", needs: xattrs, run: func(r *rig) {
		r.put("file", "content")
		names, err := r.walk("file").ListXattr(r.ctx)
		if err != nil || len(names) != 0 {
			r.Errorf("%q, %v", names, err)
		}
	}, refused: func(r *rig) func() error {
		r.put("file", "content")
		f := r.walk("file")
		return func() error { return ignore(f.ListXattr(r.ctx)) }
	}},
}
