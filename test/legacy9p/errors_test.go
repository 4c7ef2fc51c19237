package legacy9p_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"9fans.net/go/plan9"
	"golang.org/x/sys/unix"

	"p9mapfs/test/legacy9p"
)

func TestErrorsAreSaidAsPlan9FileServersDo(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{})
	put(t, dir, "f", "text")
	put(t, dir, "taken", "theirs")
	check(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	put(t, dir, "d/in", "")
	check(t, unix.Mknod(filepath.Join(dir, "socket"), unix.S_IFSOCK|0o666, 0))
	p := attached(t, addr, 8216)
	p.open(1, plan9.OREAD, "f")
	p.open(2, plan9.OWRITE, "f")
	p.walk(3, "f")
	p.walk(4, "d")
	p.open(5, plan9.OREAD, "d")
	p.walk(6, "socket")
	create := func(name string, perm plan9.Perm, mode uint8) *plan9.Fcall {
		return &plan9.Fcall{Type: plan9.Tcreate, Fid: 4, Name: name, Perm: perm, Mode: mode}
	}
	walk := func(fid, newfid uint32, names ...string) *plan9.Fcall {
		return &plan9.Fcall{Type: plan9.Twalk, Fid: fid, Newfid: newfid, Wname: names}
	}
	change := func(fid uint32, c func(*plan9.Dir)) *plan9.Fcall { return wstat(t, fid, c) }
	for _, c := range []struct {
		f     *plan9.Fcall
		ename string
	}{
		{walk(0, 9, "none"), "directory entry not found"},
		{walk(0, 9, ""), "bad character in file name"},
		{walk(0, 9, "."), "bad character in file name"},
		{walk(0, 9, "d/in"), "bad character in file name"},
		{walk(0, 9, "a\x00b"), "bad character in file name"},
		{walk(0, 9, strings.Repeat("n", 256)), "file name too long"},
		{walk(3, 9, "in"), "walk in non-directory"},
		{walk(0, 3, "f"), "duplicate fid"},
		{walk(99, 9), "unknown fid"},
		{walk(1, 9), "clone of open fid"},
		{&plan9.Fcall{Type: plan9.Topen, Fid: 4, Mode: plan9.OWRITE}, "is a directory"},
		{&plan9.Fcall{Type: plan9.Topen, Fid: 1}, "duplicate open"},
		{&plan9.Fcall{Type: plan9.Topen, Fid: 6}, "permission denied"},
		{create("in", 0o644, plan9.OREAD), "file already exists"},
		{create("in", plan9.DMDIR|0o755, plan9.OREAD), "file already exists"},
		{create("new", plan9.DMDIR|0o755, plan9.OWRITE), "is a directory"},
		{create("..", 0o644, plan9.OREAD), "bad character in file name"},
		{create("x/y", 0o644, plan9.OREAD), "bad character in file name"},
		{create("link", plan9.DMSYMLINK|0o777, plan9.OREAD), "unknown bits in mode"},
		{create("suid", plan9.DMSETUID|0o777, plan9.OREAD), "unknown bits in mode"},
		{change(3, func(d *plan9.Dir) { d.Mode = plan9.DMSETUID | 0o755 }), "unknown bits in mode"},
		{&plan9.Fcall{Type: plan9.Tcreate, Fid: 3, Name: "x"}, "create in non-directory"},
		{tread(3, 0, 10), "not open for read"},
		{tread(2, 0, 10), "not open for read"},
		{twrite(3, 0, "x"), "not open for write"},
		{twrite(1, 0, "x"), "not open for write"},
		{tread(5, 1, 1000), "bad offset in directory read"},
		{tread(5, 0, 20), "message too long"},
		{change(3, func(d *plan9.Dir) { d.Name = "taken" }), "file already exists"},
		{change(3, func(d *plan9.Dir) { d.Name = "d/g" }), "bad character in file name"},
		{change(3, func(d *plan9.Dir) { d.Name = ".." }), "bad character in file name"},
		{change(3, func(d *plan9.Dir) { d.Mode = plan9.DMDIR | 0o755 }), "wstat cannot change DMDIR bit"},
		{change(3, func(d *plan9.Dir) { d.Atime = 1 }), "wstat can't change atime"},
		{change(3, func(d *plan9.Dir) { d.Uid = "nobody-at-all" }), "wstat can't change uid"},
		{change(3, func(d *plan9.Dir) { d.Gid = "no-such-group" }), "unknown group"},
		{change(3, func(d *plan9.Dir) { d.Length = 1 << 63 }), "file too large"},
		{change(4, func(d *plan9.Dir) { d.Length = 1 }), "is a directory"},
		{change(0, func(d *plan9.Dir) { d.Name = "x" }), "permission denied"},
		{tclunk(99), "unknown fid"},
		{&plan9.Fcall{Type: plan9.Tremove, Fid: 4}, "directory not empty"},
		{&plan9.Fcall{Type: plan9.Tstat, Fid: 4}, "unknown fid"}, // Tremove clunks also when it fails
		{&plan9.Fcall{Type: plan9.Tremove, Fid: 0}, "permission denied"},
	} {
		p.refused(c.f, c.ename)
	}
	if text(t, dir, "taken") != "theirs" || text(t, dir, "f") != "text" {
		t.Error("a refused Twstat changed something")
	}
}

func TestPartialWalkGivesQidsAndMovesNothing(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{})
	check(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o755))
	put(t, dir, "a/f", "")
	p := attached(t, addr, 8216)
	for _, names := range [][]string{{"a", "b", "none", "x"}, {"a", "f", "x"}} {
		r := p.ok(&plan9.Fcall{Type: plan9.Twalk, Newfid: 1, Wname: names})
		if len(r.Wqid) != 2 {
			t.Errorf("%q: %v", names, r)
		}
		p.refused(&plan9.Fcall{Type: plan9.Tstat, Fid: 1}, "unknown fid")
	}
	p.walk(2, "a")
	if r := p.ok(&plan9.Fcall{Type: plan9.Twalk, Fid: 2, Newfid: 2, Wname: []string{"b", "none"}}); len(r.Wqid) != 1 {
		t.Error(r)
	}
	if d := p.stat(2); d.Name != "a" {
		t.Error("a partial walk moved its own fid to", d)
	}
	if r := p.ok(&plan9.Fcall{Type: plan9.Twalk, Fid: 2, Newfid: 2, Wname: []string{"b", "..", "b"}}); len(r.Wqid) != 3 {
		t.Error(r)
	}
	if d := p.stat(2); d.Name != "b" {
		t.Error("walked to", d)
	}
}

func TestReadOnlyServerRefusesEveryChange(t *testing.T) {
	const refusal = "read-only file system"
	dir, addr := start(t, legacy9p.Options{ReadOnly: true})
	put(t, dir, "f", "text")
	p := attached(t, addr, 8216)
	p.walk(1, "f")
	for _, mode := range []uint8{plan9.OWRITE, plan9.ORDWR, plan9.OREAD | plan9.OTRUNC, plan9.OREAD | plan9.ORCLOSE} {
		p.refused(&plan9.Fcall{Type: plan9.Topen, Fid: 1, Mode: mode}, refusal)
	}
	p.refused(&plan9.Fcall{Type: plan9.Tcreate, Fid: 0, Name: "new", Perm: 0o644}, refusal)
	p.refused(wstat(t, 1, func(d *plan9.Dir) { d.Mode = 0o777 }), refusal)
	p.ok(wstat(t, 1, func(*plan9.Dir) {})) // syncing changes nothing
	p.ok(&plan9.Fcall{Type: plan9.Topen, Fid: 1, Mode: plan9.OREAD})
	p.refused(&plan9.Fcall{Type: plan9.Tremove, Fid: 1}, refusal)
	if text(t, dir, "f") != "text" {
		t.Error("it was changed")
	}
}

func TestNullTwstatIsASyncThatCanBeMissing(t *testing.T) {
	null := func(fid uint32) *plan9.Fcall { return wstat(t, fid, func(*plan9.Dir) {}) }
	for name, o := range map[string]legacy9p.Options{"syncs": {}, "by path": {PathBased: true}, "no sync": {NoSync: true}} {
		dir, addr := start(t, o)
		put(t, dir, "f", "text")
		p := attached(t, addr, 8216)
		p.walk(1, "f")
		p.open(2, plan9.OWRITE, "f")
		for fid := range uint32(3) {
			if o.NoSync {
				p.refused(null(fid), "wstat prohibited")
			} else if r := p.rpc(null(fid)); r.Type == plan9.Rerror {
				t.Errorf("%s: fid %d: %v", name, fid, r)
			}
		}
		p.ok(wstat(t, 1, func(d *plan9.Dir) { d.Mtime = 1 }))
	}
}

// What a Twstat asks for and cannot have must not be half done.
func TestTwstatThatFailsLateIsUndone(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{})
	check(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	p := attached(t, addr, 8216)
	p.walk(1, "fifo")
	p.refused(wstat(t, 1, func(d *plan9.Dir) { d.Name, d.Length = "g", 1 }), "invalid argument") // no file has that length
	if _, err := os.Lstat(filepath.Join(dir, "fifo")); err != nil || p.stat(1).Name != "fifo" {
		t.Error("the rename stayed:", err)
	}
}
