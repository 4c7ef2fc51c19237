package legacy9p_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"9fans.net/go/plan9"

	"p9mapfs/test/legacy9p"
)

// list reads the directory of an open fid by Treads of count bytes.
func (p *peer) list(fid, count uint32) (names []string) {
	p.t.Helper()
	for off := uint64(0); ; {
		r := p.ok(tread(fid, off, count))
		if len(r.Data) == 0 {
			return names
		}
		off += uint64(len(r.Data))
		for b := r.Data; len(b) > 0; {
			n := int(b[0]) | int(b[1])<<8
			if n+2 > len(b) {
				p.t.Fatalf("an entry was cut at offset %d", off)
			}
			d, err := plan9.UnmarshalDir(b[:n+2])
			check(p.t, err)
			names, b = append(names, d.Name), b[n+2:]
		}
	}
}

func TestDirectoryOf2000EntriesIsReadInWholeEntries(t *testing.T) {
	for name, o := range map[string]legacy9p.Options{"open files": {}, "paths": {PathBased: true}} {
		dir, addr := start(t, o)
		var want []string
		for i := range 2000 {
			want = append(want, fmt.Sprintf("%04d odd \xff\n%.*s", i, i%100, "....................................................................................................."))
			put(t, dir, want[i], "")
		}
		p := attached(t, addr, 8216)
		p.open(1, plan9.OREAD)
		for _, count := range []uint32{8192, 333, 1 << 20} { // each begins again at offset 0
			got := p.list(1, count)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %d names by %d bytes, or wrong ones", name, len(got), count)
			}
		}
		p.refused(tread(1, 333, 8192), "bad offset in directory read")
	}
}

func TestEntriesOfADirectoryAreThoseOfTstat(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{})
	put(t, dir, "only", "text")
	p := attached(t, addr, 8216)
	p.open(1, plan9.OREAD)
	p.walk(2, "only")
	entry, stat := p.ok(tread(1, 0, 8192)).Data, p.ok(&plan9.Fcall{Type: plan9.Tstat, Fid: 2}).Stat
	if !slices.Equal(entry, stat) {
		t.Errorf("Tread %x, Tstat %x", entry, stat)
	}
}

// escapes makes links of all kinds in dir, to what must and must not be seen.
func escapes(t *testing.T, dir string) {
	secret := t.TempDir()
	put(t, secret, "secret", "secret")
	check(t, os.MkdirAll(filepath.Join(dir, "d/e"), 0o755))
	put(t, dir, "d/f", "text")
	for name, target := range map[string]string{
		"good":       "d/f",
		"dir":        "d",
		"d/e/up":     "../../d/f",
		"absolute":   filepath.Join(dir, "d/f"),
		"out":        secret,
		"d/e/out":    "../../../" + filepath.Base(secret) + "/secret",
		"dangling":   "none",
		"loop":       "loop",
		"proc":       "/proc/self/root",
		"d/climbing": "../..",
	} {
		check(t, os.Symlink(target, filepath.Join(dir, name)))
	}
}

func TestNothingOutsideIsReached(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{})
	escapes(t, dir)
	p := attached(t, addr, 8216)
	root := p.stat(0).Qid.Path
	r := p.walk(1, "..", "..", "d", "..", "..", "..")
	if q := r.Wqid[len(r.Wqid)-1]; q.Path != root || r.Wqid[0].Path != root {
		t.Error("the root's .. is not the root:", r)
	}
	p.open(2, plan9.OREAD, "good")
	p.open(3, plan9.OREAD, "dir", "e", "up")
	for fid := uint32(2); fid <= 3; fid++ {
		if r := p.ok(tread(fid, 0, 100)); string(r.Data) != "text" {
			t.Errorf("through a link: %q", r.Data)
		}
	}
	if r := p.walk(4, "dir", ".."); r.Wqid[1].Path != root {
		t.Error(".. of a link to a directory is not where it was walked from")
	}
	for _, names := range [][]string{{"absolute"}, {"out"}, {"dangling"}, {"proc"}} {
		p.refused(&plan9.Fcall{Type: plan9.Twalk, Newfid: 9, Wname: names}, "directory entry not found")
	}
	p.refused(&plan9.Fcall{Type: plan9.Twalk, Newfid: 9, Wname: []string{"loop"}}, "too many levels of symbolic links")
	for _, names := range [][]string{{"d", "e", "out"}, {"d", "climbing"}} {
		if r := p.ok(&plan9.Fcall{Type: plan9.Twalk, Newfid: 9, Wname: names}); len(r.Wqid) != len(names)-1 {
			t.Errorf("walk to %q: %v", names, r)
		}
	}
	p.open(5, plan9.OREAD)
	got := p.list(5, 8192)
	if slices.Sort(got); !slices.Equal(got, []string{"d", "dir", "good"}) {
		t.Errorf("listed: %q", got)
	}
}

// A path that was good when it was walked may lead outside when it is used.
func TestPathsAreResolvedBeneathTheRootEveryTime(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{PathBased: true})
	outside := t.TempDir()
	put(t, outside, "f", "secret")
	check(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	put(t, dir, "d/f", "text")
	p := attached(t, addr, 8216)
	p.open(1, plan9.ORDWR, "d", "f")
	p.walk(2, "d", "f")
	p.walk(3, "d")
	check(t, os.Rename(filepath.Join(dir, "d"), filepath.Join(dir, "away")))
	check(t, os.Symlink(outside, filepath.Join(dir, "d")))
	const gone = "file does not exist"
	p.refused(tread(1, 0, 100), gone)
	p.refused(twrite(1, 0, "x"), gone)
	p.refused(&plan9.Fcall{Type: plan9.Topen, Fid: 2}, gone)
	p.refused(wstat(t, 2, func(d *plan9.Dir) { d.Length = 0 }), gone)
	p.refused(wstat(t, 2, func(d *plan9.Dir) { d.Name = "g" }), gone)
	p.refused(&plan9.Fcall{Type: plan9.Tcreate, Fid: 3, Name: "new"}, gone)
	p.refused(&plan9.Fcall{Type: plan9.Tremove, Fid: 2}, gone)
	if l, _ := os.ReadDir(outside); len(l) != 1 || text(t, outside, "f") != "secret" {
		t.Error("it went outside")
	}
}

func TestRemoveAndRenameConcernALinkItself(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{})
	escapes(t, dir)
	p := attached(t, addr, 8216)
	p.walk(1, "good")
	p.ok(wstat(t, 1, func(d *plan9.Dir) { d.Name = "better" }))
	if target, err := os.Readlink(filepath.Join(dir, "better")); target != "d/f" {
		t.Error(target, err)
	}
	p.ok(&plan9.Fcall{Type: plan9.Tremove, Fid: 1})
	p.walk(1, "dir")
	p.ok(&plan9.Fcall{Type: plan9.Tremove, Fid: 1})
	if text(t, dir, "d/f") != "text" {
		t.Error("the target has gone")
	}
}

func TestOpenFidHoldsItsFile(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{})
	put(t, dir, "f", "text")
	p := attached(t, addr, 8216)
	p.open(1, plan9.ORDWR, "f")
	p.walk(2, "f")
	p.walk(3, "f")
	p.ok(wstat(t, 2, func(d *plan9.Dir) { d.Name = "g" }))
	p.refused(&plan9.Fcall{Type: plan9.Tstat, Fid: 3}, "file does not exist") // not open: a path
	put(t, dir, "f", "another")
	p.refused(wstat(t, 1, func(d *plan9.Dir) { d.Name = "h" }), "file does not exist") // not that one
	p.ok(&plan9.Fcall{Type: plan9.Tremove, Fid: 2})
	p.ok(twrite(1, 4, " more"))
	p.ok(wstat(t, 1, func(d *plan9.Dir) { d.Length = 6 }))
	p.ok(wstat(t, 1, func(*plan9.Dir) {}))
	if r := p.ok(tread(1, 0, 100)); string(r.Data) != "text m" || p.stat(1).Length != 6 {
		t.Errorf("%q", r.Data)
	}
	p.refused(&plan9.Fcall{Type: plan9.Tremove, Fid: 1}, "file does not exist")
	if text(t, dir, "f") != "another" {
		t.Error("an open fid changed or removed a file that is not its own")
	}
}

func TestPathBasedFidsGoStale(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{PathBased: true})
	put(t, dir, "f", "text")
	check(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	put(t, dir, "d/in", "")
	const gone = "file does not exist"
	p := attached(t, addr, 8216)
	p.open(1, plan9.ORDWR, "f")
	p.walk(2, "f")
	p.open(3, plan9.OREAD, "d")
	p.walk(4, "d")
	p.ok(tread(1, 0, 4))
	p.ok(wstat(t, 2, func(d *plan9.Dir) { d.Name = "g" }))
	p.stat(2) // the fid that renamed knows
	p.refused(tread(1, 0, 4), gone)
	p.refused(twrite(1, 0, "x"), gone)
	p.refused(&plan9.Fcall{Type: plan9.Tstat, Fid: 1}, gone)
	p.refused(wstat(t, 1, func(d *plan9.Dir) { d.Length = 0 }), gone)
	p.refused(wstat(t, 1, func(*plan9.Dir) {}), gone)
	put(t, dir, "f", "another") // the path is what counts
	if r := p.ok(tread(1, 0, 100)); string(r.Data) != "another" {
		t.Errorf("%q", r.Data)
	}
	p.ok(&plan9.Fcall{Type: plan9.Tremove, Fid: 1})
	p.ok(wstat(t, 4, func(d *plan9.Dir) { d.Name = "e" }))
	p.refused(tread(3, 0, 8192), gone)
	if text(t, dir, "g") != "text" {
		t.Error("the renamed file was written")
	}
}

func TestAppendAndExclusiveFilesAreKeptInMemory(t *testing.T) {
	for name, o := range map[string]legacy9p.Options{"open files": {}, "paths": {PathBased: true}} {
		dir, addr := start(t, o)
		p := attached(t, addr, 8216)
		p.walk(1)
		r := p.ok(&plan9.Fcall{Type: plan9.Tcreate, Fid: 1, Name: "log", Perm: plan9.DMAPPEND | plan9.DMEXCL | 0o600, Mode: plan9.ORDWR})
		if r.Qid.Type != plan9.QTAPPEND|plan9.QTEXCL {
			t.Error(name, r)
		}
		p.ok(twrite(1, 0, "one "))
		p.ok(twrite(1, 0, "two "))
		other := attached(t, addr, 8216)
		q := other.walk(1, "log").Wqid[0]
		if d := other.stat(1); q.Type != plan9.QTAPPEND|plan9.QTEXCL || d.Mode != plan9.DMAPPEND|plan9.DMEXCL|0o600 {
			t.Error(name, q, d)
		}
		open := &plan9.Fcall{Type: plan9.Topen, Fid: 1, Mode: plan9.OWRITE | plan9.OTRUNC}
		other.refused(open, "exclusive use file already open")
		p.ok(tclunk(1))
		other.ok(open)
		other.ok(twrite(1, 0, "three "))
		if got := text(t, dir, "log"); got != "one two three " {
			t.Errorf("%s: %q", name, got)
		}
		other.ok(wstat(t, 1, func(d *plan9.Dir) { d.Mode = 0o600 }))
		other.ok(twrite(1, 0, "ONE"))
		if got := text(t, dir, "log"); got != "ONE two three " {
			t.Errorf("%s: %q", name, got)
		}
	}
}
