package interop

import (
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// oddNames are legal on Linux; those that are not UTF-8 come last.
var oddNames = []string{
	strings.Repeat("n", 255), strings.Repeat("ü", 127), " ", "two words", " begins and ends ", "new\nline", "tab\tand\rreturn", `back\slash`,
	`'single'`, `"double"`, "...", "..x", ".hidden", "-rf", "*?[]", "$HOME", "%00", "a:b", "\x01\x02\x7f", "日本語", "e\u0301", "\u202ereversed", "😀",
	"\xff\xfe", "latin \xe9", "cut \xe2\x82",
}

var nameCases = []testCase{
	{name: "names with odd bytes", verbs: "Tlcreate Twalk Treaddir Trenameat Tunlinkat", run: func(r *rig) {
		for _, name := range oddNames {
			f, err := r.top.Create(r.ctx, name, syscall.O_RDWR|syscall.O_EXCL, 0o644, 0)
			if err != nil {
				r.Errorf("create %q: %v", name, err)
				continue
			}
			f.Clunk()
			r.exists(name, true)
		}
		want := slices.Sorted(slices.Values(oddNames))
		if got := distinct(r.list(r.openDir(), 1<<16)); !slices.Equal(got, want) {
			r.Errorf("listed %q, want %q", got, want)
		}
		for _, name := range oddNames {
			if f, err := r.top.Walk(r.ctx, name); err != nil {
				r.Errorf("walk %q: %v", name, err)
			} else {
				f.Clunk()
			}
			if err := r.top.Rename(r.ctx, name, r.top, "passing"); err != nil {
				r.Errorf("rename from %q: %v", name, err)
			} else if err := r.top.Rename(r.ctx, "passing", r.top, name); err != nil {
				r.Errorf("rename to %q: %v", name, err)
			}
			if r.lacks(removal) {
				continue
			}
			if err := r.top.Unlink(r.ctx, name, 0); err != nil {
				r.Errorf("unlink %q: %v", name, err)
			}
			r.exists(name, false)
		}
	}},
	{name: "directories with odd bytes in their names", verbs: "Tmkdir Twalk", run: func(r *rig) {
		d := r.top
		for _, name := range oddNames[:8] {
			if _, err := d.Mkdir(r.ctx, name, 0o755, 0); err != nil {
				r.Fatalf("mkdir %q: %v", name, err)
			}
			d = r.walkFrom(d, name)
		}
		f, err := d.Create(r.ctx, "file", syscall.O_RDWR, 0o644, 0)
		r.keep(f, err)
		if _, err := os.Stat(r.host(append(slices.Clone(oddNames[:8]), "file")...)); err != nil {
			r.Error(err)
		}
	}},
	{name: "a file that others removed is gone", verbs: "Twalk Tunlinkat", run: func(r *rig) {
		r.put("file", "content")
		r.walk("file").Clunk()
		r.ok(os.Remove(r.host("file")))
		r.wants(ignore(r.top.Walk(r.ctx, "file")), syscall.ENOENT, "walk to what others removed")
		r.wants(r.top.Unlink(r.ctx, "file", 0), syscall.ENOENT, "unlink of what others removed")
		r.wants(r.top.Unlink(r.ctx, "file", unix.AT_REMOVEDIR), syscall.ENOENT, "rmdir of what others removed")
	}},
}
