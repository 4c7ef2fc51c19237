package test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"p9mapfs/test/p9test"
)

// A transcript notes what a directory answers to a sequence of calls.
type transcript struct {
	dir   string
	below string // where dir's files are without the mount
	lines []string
}

func (s *transcript) at(name string) string { return s.dir + "/" + name }

// note notes how a call ended, by its errno, and what it said.
func (s *transcript) note(what string, err error, said ...any) {
	var errno syscall.Errno
	end := "ok"
	if errors.As(err, &errno) {
		end = unix.ErrnoName(errno)
	} else if err != nil {
		end = strings.ReplaceAll(err.Error(), s.dir, "")
	}
	s.lines = append(s.lines, strings.TrimSpace(fmt.Sprintln(append([]any{what + ":", end}, said...)...)))
}

// stat notes what stat(2) says that must be the same on every file system.
func (s *transcript) stat(name string) {
	var st syscall.Stat_t
	err := syscall.Lstat(s.at(name), &st)
	size := st.Size
	if st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		size = 0
	}
	s.note("stat "+name, err, fmt.Sprintf("%o", st.Mode), st.Nlink, st.Uid, st.Gid, size)
}

func (s *transcript) content(name string) {
	b, err := os.ReadFile(s.at(name))
	s.note("read "+name, err, fmt.Sprintf("%d bytes %x", len(b), sha256.Sum256(b)))
}

func (s *transcript) open(name string, flags int, use func(f *os.File) error) {
	f, err := os.OpenFile(s.at(name), flags, 0o640)
	if err == nil && use != nil {
		err = use(f)
	}
	if f != nil {
		err = errors.Join(err, f.Close())
	}
	s.note(fmt.Sprintf("open %s %#x", name, flags), err)
}

// files goes through the life of files.
func (s *transcript) files() {
	write := func(off int64, text string) func(*os.File) error {
		return func(f *os.File) error { _, err := f.WriteAt([]byte(text), off); return err }
	}
	s.open("a", os.O_RDWR|os.O_CREATE|os.O_EXCL, write(0, "hello, world"))
	s.open("a", os.O_RDWR|os.O_CREATE|os.O_EXCL, nil)
	s.open("none", os.O_RDWR, nil)
	s.open("a", os.O_RDWR, write(1_000_000, "past the end"))
	s.content("a")
	s.stat("a")
	s.open("a", os.O_WRONLY|os.O_APPEND, func(f *os.File) error {
		_, err := f.WriteString(" one")
		_, more := f.WriteString(" two")
		return errors.Join(err, more)
	})
	s.content("a")
	for _, size := range []int64{5000, 4096, 100, 100_000, 0, 17} {
		s.note(fmt.Sprint("truncate a ", size), os.Truncate(s.at("a"), size))
		s.content("a")
	}
	s.note("truncate below 0", syscall.Truncate(s.at("a"), -1))
	s.open("a", os.O_WRONLY|os.O_TRUNC, write(3, "new"))
	s.content("a")
	s.note("chmod", os.Chmod(s.at("a"), 0o604))
	s.stat("a")
	if os.Geteuid() == 0 {
		s.note("chown", os.Chown(s.at("a"), 1234, 4321))
		s.stat("a")
		s.note("chown of the group", os.Chown(s.at("a"), -1, 77))
		s.stat("a")
	}
	times := []unix.Timespec{{Sec: 1_000_000_007, Nsec: 123_456_789}, {Sec: 1_234_567_890, Nsec: 987_654_321}}
	s.note("utimens", unix.UtimesNanoAt(unix.AT_FDCWD, s.at("a"), times, 0))
	var st syscall.Stat_t
	err := syscall.Stat(s.at("a"), &st)
	s.note("times", err, st.Atim, st.Mtim)
	times = []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: 12, Nsec: 34}}
	s.note("utimens of mtime", unix.UtimesNanoAt(unix.AT_FDCWD, s.at("a"), times, 0))
	err = syscall.Stat(s.at("a"), &st)
	s.note("times", err, st.Atim, st.Mtim)
	// Open and removed, it can still be read, written and measured.
	f, err := os.OpenFile(s.at("gone"), os.O_RDWR|os.O_CREATE, 0o600)
	s.note("create gone", err)
	if err == nil {
		_, err = f.WriteString("still here")
		s.note("write gone", err)
		s.note("unlink gone", os.Remove(s.at("gone")))
		_, err = f.WriteAt([]byte("STILL"), 0)
		s.note("write again", err)
		b := make([]byte, 100)
		n, err := f.ReadAt(b, 0)
		s.note("read again", err, string(b[:n]))
		st, err := f.Stat()
		s.note("fstat", err, st.Size())
		s.note("ftruncate", f.Truncate(3))
		s.note("fsync", f.Sync())
		s.note("close", f.Close())
		s.stat("gone")
	}
}

// names goes through the life of names.
func (s *transcript) names() {
	put := func(name, text string) { s.note("put "+name, os.WriteFile(s.at(name), []byte(text), 0o644)) }
	s.note("mkdir", os.Mkdir(s.at("d"), 0o750))
	s.note("mkdir again", os.Mkdir(s.at("d"), 0o750))
	put("d/x", "x")
	s.stat("d")
	s.note("rmdir of a full one", syscall.Rmdir(s.at("d")))
	s.note("unlink of a directory", syscall.Unlink(s.at("d")))
	s.note("rmdir of a file", syscall.Rmdir(s.at("d/x")))
	s.note("below a file", os.WriteFile(s.at("d/x/y"), nil, 0o644))
	put("d/y", "y of d")
	s.note("rename over", os.Rename(s.at("d/x"), s.at("d/y")))
	s.content("d/y")
	s.stat("d/x")
	s.note("mkdir e", os.Mkdir(s.at("e"), 0o755))
	s.note("rename over a directory", os.Rename(s.at("d/y"), s.at("e")))
	s.note("rename a directory over a file", os.Rename(s.at("e"), s.at("d/y")))
	s.note("rename into itself", os.Rename(s.at("d"), s.at("d/z")))
	s.note("rename over a full directory", os.Rename(s.at("e"), s.at("d")))
	s.note("rename over an empty directory", os.Rename(s.at("d"), s.at("e")))
	s.content("e/y")
	s.note("link", os.Link(s.at("e/y"), s.at("hard")))
	s.note("link again", os.Link(s.at("e/y"), s.at("hard")))
	s.stat("hard")
	put("hard", "by the other name")
	s.content("e/y")
	s.note("unlink", os.Remove(s.at("e/y")))
	s.stat("hard")
	for i, target := range []string{"hard", "../nowhere", "/etc", strings.Repeat("long/", 500), "\xff\n"} {
		name := fmt.Sprint("sym", i)
		s.note("symlink", os.Symlink(target, s.at(name)))
		got, err := os.Readlink(s.at(name))
		s.note("readlink", err, got == target)
		s.stat(name)
	}
	s.content("sym0")
	s.note("symlink again", os.Symlink("x", s.at("sym0")))
	_, err := os.Readlink(s.at("hard"))
	s.note("readlink of a file", err)
	s.note("fifo", syscall.Mkfifo(s.at("fifo"), 0o620))
	s.stat("fifo")
	s.note("unlink fifo", os.Remove(s.at("fifo")))
	long := strings.Repeat("n", 255)
	put(long, "255")
	s.stat(long)
	s.note("rename 255", os.Rename(s.at(long), s.at(strings.Repeat("m", 255))))
	s.note("256", os.WriteFile(s.at(long+"n"), nil, 0o644))
	s.note("mkdir 256", os.Mkdir(s.at(long+"n"), 0o755))
	deep := "deep"
	for range 14 {
		s.note("mkdir", os.Mkdir(s.at(deep), 0o755))
		deep += "/" + strings.Repeat("p", 200)
	}
	deep = filepath.Dir(deep)
	put(deep+"/leaf", "far down")
	s.content(deep + "/leaf")
	s.note("too deep", os.WriteFile(s.at(deep+"/"+strings.Repeat("q/", 2000)), nil, 0o644))
	s.note("mkdir many", os.Mkdir(s.at("many"), 0o755)) // filled from below: it is the listing that is looked at
	for i := range 2000 {
		name := fmt.Sprintf("%d-%s", i, []string{"plain", "sp ace", "new\nline", "\xff\xfe", `q"\`, "ünï", "-rf", "*"}[i%8])
		if err := os.WriteFile(filepath.Join(s.below, "many", name), nil, 0o644); err != nil {
			s.note("create "+name, err)
		}
	}
	l, err := os.ReadDir(s.at("many"))
	s.note("readdir", err, len(l))
	for _, e := range l {
		info, err := e.Info()
		s.note(fmt.Sprintf("%q", e.Name()), err, info != nil && info.Mode() == 0o644)
	}
	for _, e := range l[:min(50, len(l))] {
		s.note("remove", os.Remove(s.at("many/"+e.Name())))
	}
	left, err := os.ReadDir(s.at("many"))
	s.note("readdir", err, len(left))
	l, err = os.ReadDir(s.dir)
	s.note("readdir", err)
	for _, e := range l {
		s.note(e.Name(), nil, e.Type())
	}
}

func TestMountAnswersAsALocalDirectoryDoes(t *testing.T) {
	old := syscall.Umask(0o022)
	defer syscall.Umask(old)
	for what, play := range map[string]func(*transcript){"files": (*transcript).files, "names": (*transcript).names} {
		local := &transcript{dir: t.TempDir()}
		local.below = local.dir
		play(local)
		for _, kind := range kinds {
			t.Run(what+" "+kind.String(), func(t *testing.T) {
				m := p9test.Mount(t, t.TempDir(), p9test.WithServer(kind))
				here := &transcript{dir: m.Path, below: m.Dir}
				play(here)
				for i, want := range local.lines {
					if kind == p9test.Diod && at(here.lines, i) == "ftruncate: ENOENT" {
						continue // diod truncates by path, and the file has none any more
					}
					if at(here.lines, i) != want {
						t.Errorf("the mount says %.200q\na local directory   %.200q", at(here.lines, i), want)
					}
				}
			})
		}
	}
}

func at(l []string, i int) string {
	if i < len(l) {
		return l[i]
	}
	return ""
}
