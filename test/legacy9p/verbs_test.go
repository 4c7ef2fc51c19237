package legacy9p_test

import (
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"9fans.net/go/plan9"
	"golang.org/x/sys/unix"

	"p9mapfs/test/legacy9p"
)

// A life of a file, with 9fans' client, in both ways of keeping fids.
func TestEachVerbDoesWhatTheManualSays(t *testing.T) {
	for name, o := range map[string]legacy9p.Options{"open files": {}, "paths": {PathBased: true}, "u": {U: true, Msize: 131096}} {
		t.Run(name, func(t *testing.T) {
			dir, addr := start(t, o)
			fs := fsys(t, addr)
			d, err := fs.Create("d", plan9.OREAD, plan9.DMDIR|0o755)
			check(t, err)
			if d.Qid().Type != plan9.QTDIR {
				t.Errorf("qid of a new directory: %v", d.Qid())
			}
			check(t, d.Close())
			f, err := fs.Create("d/f", plan9.ORDWR, 0o666)
			check(t, err)
			big := strings.Repeat("0123456789", 3000)
			if n, err := f.WriteAt([]byte(big), 5); n != len(big) || err != nil {
				t.Fatal(n, err)
			}
			if got := text(t, dir, "d/f"); got != "\x00\x00\x00\x00\x00"+big {
				t.Errorf("%d bytes on disk", len(got))
			}
			b := make([]byte, len(big))
			if n, err := f.ReadAt(b, 5); n != len(big) || err != nil || string(b) != big {
				t.Error("read back:", n, err)
			}
			if _, err := f.ReadAt(b, 5+int64(len(big))); err != io.EOF {
				t.Error("beyond the end:", err)
			}
			check(t, f.Close())

			var w plan9.Dir
			w.Null()
			w.Name, w.Length, w.Mode, w.Mtime = "g", 7, 0o600, 1e9
			check(t, fs.Wstat("d/f", &w))
			st, err := os.Stat(filepath.Join(dir, "d/g"))
			check(t, err)
			if st.Size() != 7 || st.Mode() != 0o600 || st.ModTime().Unix() != 1e9 {
				t.Error("after Twstat:", st.Size(), st.Mode(), st.ModTime())
			}
			s, err := fs.Stat("d/g")
			check(t, err)
			if s.Name != "g" || s.Length != 7 || s.Mode != 0o600 || s.Mtime != 1e9 || s.Qid.Type != 0 {
				t.Error("Tstat:", s)
			}
			f, err = fs.Open("d/g", plan9.OWRITE|plan9.OTRUNC)
			check(t, err)
			check(t, f.Close())
			if got := text(t, dir, "d/g"); got != "" {
				t.Errorf("after OTRUNC: %q", got)
			}
			if err := fs.Remove("d"); err == nil || err.Error() != "directory not empty" {
				t.Error(err)
			}
			check(t, fs.Remove("d/g"))
			check(t, fs.Remove("d"))
			if l, _ := os.ReadDir(dir); len(l) != 0 {
				t.Error("left:", l)
			}
		})
	}
}

func TestStatSaysWhoAndWhat(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{})
	put(t, dir, "f", "12345")
	check(t, os.Chmod(filepath.Join(dir, "f"), 0o640|os.ModeSetuid))
	check(t, os.Chtimes(filepath.Join(dir, "f"), time.Unix(1000, 0), time.Unix(2000, 0)))
	var st unix.Stat_t
	check(t, unix.Stat(filepath.Join(dir, "f"), &st))
	p := attached(t, addr, 8216)
	p.walk(1, "f")
	d := p.stat(1)
	owner := strconv.Itoa(int(st.Uid))
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	want := plan9.Dir{
		Name: "f", Mode: 0o640, Length: 5, Atime: 1000, Mtime: 2000, Uid: owner, Muid: owner, Gid: d.Gid,
		Qid: plan9.Qid{Path: st.Ino, Vers: d.Qid.Vers},
	}
	if *d != want || d.Gid == "" {
		t.Errorf("%v, want %v", d, &want)
	}
	root := p.stat(0)
	if root.Name != "/" || root.Mode&plan9.DMDIR == 0 || root.Length != 0 || root.Qid.Type != plan9.QTDIR {
		t.Error("root:", root)
	}
	if os.Getuid() == 0 { // an id without a name
		check(t, os.Lchown(filepath.Join(dir, "f"), 3999999, 3999998))
		if d = p.stat(1); d.Uid != "3999999" || d.Gid != "3999998" {
			t.Error("ids without names:", d)
		}
		p.ok(wstat(t, 1, func(d *plan9.Dir) { d.Gid = "root" }))
		if d = p.stat(1); d.Gid != "root" {
			t.Error("gid by name:", d)
		}
	}
}

func TestQidVersionChangesWithTheFile(t *testing.T) {
	dir := t.TempDir()
	addr, stop := serve(t, dir, legacy9p.Options{})
	put(t, dir, "f", "text")
	p := attached(t, addr, 8216)
	p.open(1, plan9.ORDWR, "f")
	last := p.stat(1).Qid
	for name, change := range map[string]*plan9.Fcall{
		"Twrite":   twrite(1, 0, "TEXT"),
		"length":   wstat(t, 1, func(d *plan9.Dir) { d.Length = 2 }),
		"mode":     wstat(t, 1, func(d *plan9.Dir) { d.Mode = 0o600 }),
		"same":     wstat(t, 1, func(d *plan9.Dir) { d.Mtime = 5 }),
		"Twrite 2": twrite(1, 0, "tExt"),
	} {
		p.ok(change)
		now := p.stat(1).Qid
		if now.Vers == last.Vers || now.Path != last.Path {
			t.Errorf("%s: %v, was %v", name, now, last)
		}
		last = now
	}
	p.ok(tread(1, 0, 10))
	if now := p.stat(1).Qid; now != last {
		t.Errorf("a Tread changed %v to %v", last, now)
	}
	p.c.Close()
	stop()
	addr, stop = serve(t, dir, legacy9p.Options{})
	defer stop()
	if q := attached(t, addr, 8216).walk(1, "f").Wqid[0]; q != last {
		t.Errorf("a restart changed %v to %v", last, q)
	}
}

func TestCreateTakesPermissionsFromTheDirectory(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{})
	check(t, os.Mkdir(filepath.Join(dir, "d"), 0o700))
	check(t, os.Chmod(filepath.Join(dir, "d"), 0o751))
	p := attached(t, addr, 8216)
	for name, c := range map[string]struct{ perm, want plan9.Perm }{
		"file":      {0o666, 0o640},
		"program":   {0o777, 0o751},
		"read-only": {0o444, 0o440},
		"dir":       {plan9.DMDIR | 0o777, plan9.DMDIR | 0o751},
	} {
		p.walk(1, "d")
		mode := uint8(plan9.ORDWR)
		if c.perm&plan9.DMDIR != 0 {
			mode = plan9.OREAD
		}
		p.ok(&plan9.Fcall{Type: plan9.Tcreate, Fid: 1, Name: name, Perm: c.perm, Mode: mode})
		if d := p.stat(1); d.Mode != c.want || d.Name != name {
			t.Errorf("%s: %v, want %v", name, d, c.want)
		}
		if mode == plan9.ORDWR { // also if nobody may write it
			p.ok(twrite(1, 0, "x"))
		}
		p.ok(tclunk(1))
	}
}

func TestOpenForExecutionNeedsAnXBit(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{})
	put(t, dir, "text", "text")
	put(t, dir, "program", "program")
	check(t, os.Chmod(filepath.Join(dir, "program"), 0o755))
	p := attached(t, addr, 8216)
	p.open(1, plan9.OEXEC, "program")
	if r := p.ok(tread(1, 0, 100)); string(r.Data) != "program" {
		t.Errorf("%q", r.Data)
	}
	p.walk(2, "text")
	p.refused(&plan9.Fcall{Type: plan9.Topen, Fid: 2, Mode: plan9.OEXEC}, "permission denied")
}

func TestFileOpenedWithORCLOSEGoesWithItsFid(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{})
	for _, name := range []string{"clunked", "lost", "replaced"} {
		put(t, dir, name, "")
	}
	p := attached(t, addr, 8216)
	p.open(1, plan9.OREAD|plan9.ORCLOSE, "clunked")
	p.open(2, plan9.OREAD|plan9.ORCLOSE, "lost")
	p.open(3, plan9.OREAD|plan9.ORCLOSE, "replaced")
	p.ok(tclunk(1))
	if _, err := os.Stat(filepath.Join(dir, "clunked")); !os.IsNotExist(err) {
		t.Error("after Tclunk:", err)
	}
	put(t, dir, "new", "another")
	check(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "replaced")))
	p.c.Close()
	eventually(t, "the file of a lost connection is removed", func() bool {
		_, err := os.Stat(filepath.Join(dir, "lost"))
		return os.IsNotExist(err)
	})
	if text(t, dir, "replaced") != "another" {
		t.Error("ORCLOSE removed a file that it was not opened with")
	}
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
