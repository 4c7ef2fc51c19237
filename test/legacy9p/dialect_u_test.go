package legacy9p_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"9fans.net/go/plan9"
	"golang.org/x/sys/unix"

	"p9mapfs/test/legacy9p"
)

// upeer speaks 9P2000.u by hand; its messages are written from the draft.
type upeer struct{ *peer }

// frame puts parts together as a message: numbers little-endian by their size, strings with a count, []byte as it is.
func frame(typ uint8, tag uint16, parts ...any) []byte {
	b := []byte{0, 0, 0, 0, typ}
	b = binary.LittleEndian.AppendUint16(b, tag)
	b = append(b, fields(parts...)...)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	return b
}

func fields(parts ...any) (b []byte) {
	le := binary.LittleEndian
	for _, p := range parts {
		switch p := p.(type) {
		case uint8:
			b = append(b, p)
		case uint16:
			b = le.AppendUint16(b, p)
		case uint32:
			b = le.AppendUint32(b, p)
		case uint64:
			b = le.AppendUint64(b, p)
		case string:
			b = append(le.AppendUint16(b, uint16(len(p))), p...)
		case []byte:
			b = append(b, p...)
		default:
			panic(fmt.Sprintf("%T", p))
		}
	}
	return b
}

// rpc sends a message and returns the body of the reply, and its type.
func (p upeer) rpc(m []byte) (typ uint8, body []byte) {
	p.t.Helper()
	_, err := p.c.Write(m)
	check(p.t, err)
	var size [4]byte
	_, err = io.ReadFull(p.c, size[:])
	check(p.t, err)
	r := make([]byte, binary.LittleEndian.Uint32(size[:])-4)
	_, err = io.ReadFull(p.c, r)
	check(p.t, err)
	if r[1] != m[5] || r[2] != m[6] {
		p.t.Fatalf("%x was answered with %x", m, r)
	}
	return r[0], r[3:]
}

func (p upeer) ok(m []byte) (body []byte) {
	p.t.Helper()
	typ, body := p.rpc(m)
	if typ != m[4]+1 {
		p.t.Fatalf("%x: reply %d: %q", m, typ, body)
	}
	return body
}

func (p upeer) refused(m []byte, ename string, errno unix.Errno) {
	p.t.Helper()
	if typ, body := p.rpc(m); typ != plan9.Rerror || !bytes.Equal(body, fields(ename, uint32(errno))) {
		p.t.Errorf("%x: reply %d %q, want %q and %d", m, typ, body, ename, int(errno))
	}
}

const (
	keep8  = ^uint8(0)
	keep16 = ^uint16(0)
	keep32 = ^uint32(0)
	keep64 = ^uint64(0)
)

func startU(t *testing.T) (dir string, p upeer) {
	dir, addr := start(t, legacy9p.Options{U: true})
	p = upeer{dial(t, addr)}
	p.ok(frame(plan9.Tversion, plan9.NOTAG, uint32(8216), "9P2000.u"))
	p.ok(frame(plan9.Tattach, 1, uint32(0), uint32(plan9.NOFID), "glenda", "", uint32(1000)))
	return dir, p
}

func (p upeer) walk(newfid uint32, names ...string) {
	p.t.Helper()
	parts := []any{uint32(0), newfid, uint16(len(names))}
	for _, n := range names {
		parts = append(parts, n)
	}
	if r := p.ok(frame(plan9.Twalk, 1, parts...)); len(r) != 2+13*len(names) {
		p.t.Fatalf("walk to %q: %x", names, r)
	}
}

// create makes name in the root as fid.
func create(fid uint32, name string, perm uint32, extension string) []byte {
	return frame(plan9.Tcreate, 1, fid, name, perm, uint8(0), extension)
}

// wstatU is a Twstat; the parts are mode, atime, mtime, n_uid and n_gid.
func wstatU(fid, mode, atime, mtime uint32, extension string, uid, gid uint32) []byte {
	s := fields(keep16, keep32, keep8, keep32, keep64, mode, atime, mtime, keep64, "", "", "", "", extension, uid, gid, keep32)
	return frame(plan9.Twstat, 1, fid, uint16(len(s)+2), uint16(len(s)), s)
}

func lstat(t *testing.T, path string) *unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	check(t, unix.Lstat(path, &st))
	return &st
}

// goldenStat is the stat of a file that belongs to nobody, as the draft says.
func goldenStat(vers uint32, qtype uint8, ino uint64, mode, atime, mtime uint32, length uint64, name, extension string) []byte {
	s := fields(uint16(0), uint32(0), qtype, vers, ino, mode, atime, mtime, length, name, "3999999", "3999998", "3999999",
		extension, uint32(3999999), uint32(3999998), uint32(3999999))
	return append(fields(uint16(len(s))), s...)
}

func TestStatOfUIsTheDrafts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to make devices and give files away")
	}
	dir, p := startU(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	put(t, dir, "file", "12345")
	check(t, os.Symlink("no/where", at("link")))
	check(t, unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	check(t, unix.Mknod(at("disk"), unix.S_IFBLK|0o660, int(unix.Mkdev(8, 17))))
	check(t, unix.Mknod(at("fifo"), unix.S_IFIFO|0o600, 0))
	check(t, unix.Mknod(at("socket"), unix.S_IFSOCK|0o600, 0))
	check(t, os.Mkdir(at("dir"), 0o755))
	atime := time.Now().Unix() + 3600 // so late that reading does not change it
	for name, c := range map[string]struct {
		mode      uint32 // of the file, without its type
		want      uint32
		qtype     uint8
		length    uint64
		extension string
	}{
		"file":   {0o4751, 0x00080000 | 0o751, 0, 5, ""},
		"link":   {0, 0x02000000 | 0o777, 0x02, 8, "no/where"},
		"null":   {0o666, 0x00800000 | 0o666, 0, 0, "c 1 3"},
		"disk":   {0o660, 0x00800000 | 0o660, 0, 0, "b 8 17"},
		"fifo":   {0o600, 0x00200000 | 0o600, 0, 0, ""},
		"socket": {0o600, 0x00100000 | 0o600, 0, 0, ""},
		"dir":    {0o3775, 0x80050000 | 0o775, 0x80, 0, ""},
	} {
		check(t, os.Lchown(at(name), 3999999, 3999998))
		if name != "link" {
			check(t, unix.Chmod(at(name), c.mode))
		}
		ts := []unix.Timespec{{Sec: atime}, {Sec: 12345}}
		check(t, unix.UtimesNanoAt(unix.AT_FDCWD, at(name), ts, unix.AT_SYMLINK_NOFOLLOW))
		p.walk(1, name)
		got := p.ok(frame(plan9.Tstat, 1, uint32(1)))
		vers := binary.LittleEndian.Uint32(got[2+2+2+4+1:])
		want := goldenStat(vers, c.qtype, lstat(t, at(name)).Ino, c.want, uint32(atime), 12345, c.length, name, c.extension)
		if !bytes.Equal(got, append(fields(uint16(len(want))), want...)) {
			t.Errorf("%s:\n got %x\nwant %x", name, got, want)
		}
		p.ok(frame(plan9.Tclunk, 1, uint32(1)))
		// A directory's entry is the same.
		p.walk(2)
		p.ok(frame(plan9.Topen, 1, uint32(2), uint8(0)))
		if list := p.ok(frame(plan9.Tread, 1, uint32(2), uint64(0), uint32(8192))); !bytes.Contains(list, want) {
			t.Errorf("%s: not in %x", name, list)
		}
		p.ok(frame(plan9.Tclunk, 1, uint32(2)))
	}
}

func TestErrorsOfUHaveNumbers(t *testing.T) {
	dir, p := startU(t)
	check(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	put(t, dir, "d/f", "")
	check(t, os.Symlink("d", filepath.Join(dir, "link")))
	p.walk(1, "d")
	p.walk(2, "link")
	p.refused(frame(plan9.Twalk, 1, uint32(0), uint32(9), uint16(1), "none"), "directory entry not found", unix.ENOENT)
	p.refused(create(1, "f", 0o644, ""), "file already exists", unix.EEXIST)
	p.refused(frame(plan9.Tstat, 1, uint32(99)), "unknown fid", unix.EBADF)
	p.refused(frame(plan9.Topen, 1, uint32(2), uint8(0)), "too many levels of symbolic links", unix.ELOOP)
	p.refused(frame(plan9.Twalk, 1, uint32(2), uint32(9), uint16(1), "f"), "walk in non-directory", unix.ENOTDIR)
	p.refused(frame(plan9.Tauth, 1, uint32(9), "glenda", "", uint32(1000)), "authentication not required", unix.ECONNREFUSED)
	p.refused(wstatU(2, keep32, keep32, keep32, "elsewhere", keep32, keep32), "wstat can't change extension", unix.EPERM)
	p.refused(frame(plan9.Tremove, 1, uint32(1)), "directory not empty", unix.ENOTEMPTY)
}

func TestCreateOfUMakesWhatThePermissionsSay(t *testing.T) {
	dir, p := startU(t)
	put(t, dir, "file", "text")
	p.walk(9, "file")
	for name, c := range map[string]struct {
		perm      uint32
		extension string
		want      uint32 // st_mode
		rdev      uint64
		root      bool
	}{
		"symlink": {0x02000000 | 0o777, "a/target", unix.S_IFLNK | 0o777, 0, false},
		"fifo":    {0x00200000 | 0o640, "", unix.S_IFIFO | 0o640, 0, false},
		"socket":  {0x00100000 | 0o666, "", unix.S_IFSOCK | 0o666, 0, false},
		"char":    {0x00800000 | 0o622, "c 1 3", unix.S_IFCHR | 0o622, unix.Mkdev(1, 3), true},
		"block":   {0x00800000 | 0o600, "b 8 1", unix.S_IFBLK | 0o600, unix.Mkdev(8, 1), true},
		"hard":    {0x01000000, "9", unix.S_IFREG | 0o644, 0, false},
		"linux":   {0x01000000, "9\n", unix.S_IFREG | 0o644, 0, false},
		"suid":    {0x00080000 | 0o4777&0o777, "", unix.S_IFREG | 0o4777, 0, false},
	} {
		if c.root && os.Getuid() != 0 {
			continue
		}
		p.walk(1)
		r := p.ok(create(1, name, c.perm, c.extension))
		st := lstat(t, filepath.Join(dir, name))
		if st.Mode != c.want || st.Rdev != c.rdev {
			t.Errorf("%s: mode %o, device %x", name, st.Mode, st.Rdev)
		}
		if ino := binary.LittleEndian.Uint64(r[5:]); ino != st.Ino {
			t.Errorf("%s: qid.path %d, inode %d", name, ino, st.Ino)
		}
		p.ok(frame(plan9.Tstat, 1, uint32(1)))
		p.ok(frame(plan9.Tclunk, 1, uint32(1)))
	}
	if target, err := os.Readlink(filepath.Join(dir, "symlink")); target != "a/target" {
		t.Error(target, err)
	}
	if st := lstat(t, filepath.Join(dir, "file")); st.Nlink != 3 {
		t.Error("hard links:", st.Nlink)
	}
	p.walk(1)
	p.refused(create(1, "x", 0x01000000, "77"), "unknown fid", unix.EBADF)
	p.refused(create(1, "x", 0x01000000, "none"), "unknown fid", unix.EBADF)
	p.refused(create(1, "hard", 0x01000000, "9"), "file already exists", unix.EEXIST)
	p.refused(create(1, "x", 0x00800000, "q 1 2"), "invalid argument", unix.EINVAL)
	p.refused(create(1, "x", 0x00800000|0x02000000, ""), "invalid argument", unix.EINVAL)
	p.ok(create(1, "x", 0o600, ""))
}

func TestTwstatOfUChangesOwnersAndAtime(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	dir, p := startU(t)
	put(t, dir, "f", "text")
	check(t, os.Symlink("f", filepath.Join(dir, "link")))
	p.walk(1, "f")
	p.walk(2, "link")
	f, link := filepath.Join(dir, "f"), filepath.Join(dir, "link")
	p.ok(wstatU(1, 0x00040000|0o751, 111, 222, "", 3999999, keep32))
	st := lstat(t, f)
	if st.Uid != 3999999 || st.Gid != 0 || st.Mode != unix.S_IFREG|0o2751 || st.Atim.Sec != 111 || st.Mtim.Sec != 222 {
		t.Errorf("%+v", st)
	}
	p.ok(wstatU(1, keep32, 333, keep32, "", keep32, 3999998))
	if st = lstat(t, f); st.Uid != 3999999 || st.Gid != 3999998 || st.Atim.Sec != 333 || st.Mtim.Sec != 222 {
		t.Errorf("%+v", st)
	}
	p.ok(wstatU(2, keep32, keep32, 444, "", 3999997, keep32)) // the link itself
	if st = lstat(t, link); st.Uid != 3999997 || st.Mtim.Sec != 444 {
		t.Errorf("link: %+v", st)
	}
	if st = lstat(t, f); st.Uid != 3999999 || st.Mtim.Sec != 222 {
		t.Errorf("behind the link: %+v", st)
	}
	p.ok(wstatU(1, keep32, keep32, keep32, "", keep32, keep32)) // null: fsync
	p.ok(wstatU(2, keep32, keep32, keep32, "", keep32, keep32))
}

func TestMessagesOfUFillTheMsize(t *testing.T) {
	dir, p := startU(t)
	want := random(t, filepath.Join(dir, "f"), 20000)
	p.walk(1, "f")
	p.ok(frame(plan9.Topen, 1, uint32(1), uint8(plan9.ORDWR)))
	r := p.ok(frame(plan9.Tread, 1, uint32(1), uint64(0), uint32(1<<20)))
	if len(r) != 4+8192 || !bytes.Equal(r[4:], want[:8192]) {
		t.Errorf("a Tread of 1 MiB gives %d bytes", len(r))
	}
	data := make([]byte, 8192)
	if r = p.ok(frame(plan9.Twrite, 1, uint32(1), uint64(0), uint32(8192), data)); !bytes.Equal(r, fields(uint32(8192))) {
		t.Errorf("Rwrite %x", r)
	}
	long := strings.Repeat("x", 4000)
	check(t, os.Symlink(long, filepath.Join(dir, "long")))
	p.walk(2, "long")
	if r = p.ok(frame(plan9.Tstat, 1, uint32(2))); !bytes.Contains(r, fields(long)) {
		t.Errorf("Rstat of %d bytes", len(r))
	}
	small := upeer{dial(t, p.c.RemoteAddr().String())}
	small.ok(frame(plan9.Tversion, plan9.NOTAG, uint32(1000), "9P2000.u"))
	small.ok(frame(plan9.Tattach, 1, uint32(0), uint32(plan9.NOFID), "glenda", "", keep32))
	small.walk(2, "long")
	small.refused(frame(plan9.Tstat, 1, uint32(2)), "message too long", unix.EMSGSIZE)
}

func TestMalformedMessagesOfUEndTheConnection(t *testing.T) {
	_, p := startU(t)
	addr := p.c.RemoteAddr().String()
	for name, m := range map[string][]byte{
		"Tattach without n_uname":   frame(plan9.Tattach, 1, uint32(5), uint32(plan9.NOFID), "", ""),
		"Tcreate without extension": frame(plan9.Tcreate, 1, uint32(0), "x", uint32(0o644), uint8(0)),
		"Tcreate with NUL":          create(0, "x", 0o644, "a\x00b"),
		"Twstat of plain 9P2000":    wstat(t, 0, func(d *plan9.Dir) { d.Mtime = 1 }).Stat,
		"Twstat with a wrong count": frame(plan9.Twstat, 1, uint32(0), uint16(3), uint16(1), uint8(0)),
	} {
		p := upeer{dial(t, addr)}
		p.ok(frame(plan9.Tversion, plan9.NOTAG, uint32(8216), "9P2000.u"))
		p.ok(frame(plan9.Tattach, 1, uint32(0), uint32(plan9.NOFID), "", "", keep32))
		if name == "Twstat of plain 9P2000" {
			m = frame(plan9.Twstat, 1, uint32(0), uint16(len(m)), m)
		}
		_, err := p.c.Write(m)
		check(t, err)
		p.c.SetReadDeadline(time.Now().Add(patience))
		if b, err := io.ReadAll(p.c); err != nil || len(b) > 0 {
			t.Errorf("%s: %x, %v", name, b, err)
		}
	}
	p.ok(frame(plan9.Tstat, 1, uint32(0)))
}

// What is carried inside of plain strings must fit them: the codec would panic.
func TestLongStringsOfUEndTheConnectionOnly(t *testing.T) {
	_, addr := start(t, legacy9p.Options{U: true, Msize: 1 << 20})
	long := strings.Repeat("x", 1<<16-1)
	owner := fields(keep16, keep32, keep8, keep32, keep64, keep32, keep32, keep32, keep64, "", long[:65472], "", "", "", uint32(1<<31-1), keep32, keep32)
	for name, m := range map[string][]byte{
		"name":      create(0, long, 0o644, long),
		"hard link": create(0, long, 0x01000000, "0"),
		"uid":       frame(plan9.Twstat, 1, uint32(0), uint16(len(owner)+2), uint16(len(owner)), owner),
	} {
		p := upeer{dial(t, addr)}
		p.ok(frame(plan9.Tversion, plan9.NOTAG, uint32(1<<20), "9P2000.u"))
		p.ok(frame(plan9.Tattach, 1, uint32(0), uint32(plan9.NOFID), "", "", keep32))
		_, err := p.c.Write(m)
		check(t, err)
		if b, err := io.ReadAll(p.c); err != nil || len(b) > 0 {
			t.Errorf("%s: %x, %v", name, b, err)
		}
	}
}

// Many Tcreates of links, each with its Tstat, beside other requests of the same connection.
func TestHardLinksDoNotDisturbOtherRequests(t *testing.T) {
	const n = 50
	dir, p := startU(t)
	put(t, dir, "f", "text")
	p.walk(1, "f")
	var out []byte
	for i := range n {
		p.walk(uint32(100 + i))
		out = append(out, frame(plan9.Tcreate, uint16(100+i), uint32(100+i), "l"+strconv.Itoa(i), uint32(0x01000000), uint8(0), "1")...)
		out = append(out, frame(plan9.Tstat, uint16(200+i), uint32(1))...)
		out = append(out, frame(plan9.Tflush, uint16(300+i), uint16(100+i))...)
	}
	_, err := p.c.Write(out)
	check(t, err)
	answered := map[uint16]int{}
	for range 3 * n {
		var head [7]byte
		_, err := io.ReadFull(p.c, head[:])
		check(t, err)
		_, err = io.CopyN(io.Discard, p.c, int64(binary.LittleEndian.Uint32(head[:]))-7)
		check(t, err)
		tag := binary.LittleEndian.Uint16(head[5:])
		answered[tag]++
		if want := map[uint16]uint8{1: plan9.Rcreate, 2: plan9.Rstat, 3: plan9.Rflush}[tag/100]; head[4] != want {
			t.Errorf("tag %d: reply %d", tag, head[4])
		}
		if tag/100 == 3 && answered[tag-200] == 0 {
			t.Errorf("Rflush before the Rcreate with tag %d", tag-200)
		}
	}
	if len(answered) != 3*n {
		t.Error("answers:", answered)
	}
	if st := lstat(t, filepath.Join(dir, "f")); st.Nlink != n+1 {
		t.Error("links:", st.Nlink)
	}
}
