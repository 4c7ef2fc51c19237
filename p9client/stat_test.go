package p9client

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// knownIDs have names of their own, and do not ask the system.
func knownIDs() *ids {
	i := newIDs(70001, 70002)
	i.uids["glenn"], i.gids["sys"] = 501, 502
	i.uids[""], i.gids[""] = 70001, 70002
	return i
}

// What a stat says becomes what stat(2) says. The special files and the numbers of
// 9P2000.u mean nothing in 9P2000.
func TestStatBecomesAttributes(t *testing.T) {
	const all = dmSetuid | dmSetgid | dmSetvtx
	for _, r := range []struct {
		s              stat
		plain, unix    uint32 // mode
		size           int64  // in 9P2000.u
		rdev           uint64
		uid, gid       uint32
		plainU, plainG uint32 // in 9P2000
		blocks         uint64
	}{
		{s: stat{mode: 0644, length: 513, uid: "glenn", gid: "sys", uidNumber: 7, gidNumber: 8}, plain: syscall.S_IFREG | 0644, unix: syscall.S_IFREG | 0644, size: 513, uid: 7, gid: 8, plainU: 501, plainG: 502, blocks: 2},
		{s: stat{mode: 0644, uid: "glenn", gid: "sys", uidNumber: NoUID, gidNumber: NoUID}, plain: syscall.S_IFREG | 0644, unix: syscall.S_IFREG | 0644, uid: 501, gid: 502, plainU: 501, plainG: 502},
		{s: stat{mode: dmDir | 0755, qid: Qid{Type: QTDIR}}, plain: syscall.S_IFDIR | 0755, unix: syscall.S_IFDIR | 0755, plainU: 70001, plainG: 70002},
		{s: stat{mode: all | dmAppend | dmExcl | 07755}, plain: syscall.S_IFREG | 0755, unix: syscall.S_IFREG | 07755, plainU: 70001, plainG: 70002},
		{s: stat{mode: dmSymlink | 0777, extension: "target"}, plain: syscall.S_IFREG | 0777, unix: syscall.S_IFLNK | 0777, size: 6, plainU: 70001, plainG: 70002},
		{s: stat{mode: dmNamedPipe | 0600}, plain: syscall.S_IFREG | 0600, unix: syscall.S_IFIFO | 0600, plainU: 70001, plainG: 70002},
		{s: stat{mode: dmSocket | 0600}, plain: syscall.S_IFREG | 0600, unix: syscall.S_IFSOCK | 0600, plainU: 70001, plainG: 70002},
		{s: stat{mode: dmDevice | 0600, extension: "b 8 1"}, plain: syscall.S_IFREG | 0600, unix: syscall.S_IFBLK | 0600, rdev: 0x801, plainU: 70001, plainG: 70002},
		{s: stat{mode: dmDevice | 0600, extension: "c 5 1"}, plain: syscall.S_IFREG | 0600, unix: syscall.S_IFCHR | 0600, rdev: 0x501, plainU: 70001, plainG: 70002},
	} {
		t.Run(fmt.Sprintf("%#x %s", r.s.mode, r.s.extension), func(t *testing.T) {
			r.s.atime, r.s.mtime = 100, 200
			p, u := r.s.attr(knownIDs(), false), r.s.attr(knownIDs(), true)
			if p.Mode != r.plain || p.UID != r.plainU || p.GID != r.plainG || p.Rdev != 0 || p.Size != int64(r.s.length) || p.Valid&AttrNlink == 0 || p.Nlink != 1 {
				t.Errorf("9P2000: %+v", p)
			}
			if u.Mode != r.unix || u.UID != r.uid || u.GID != r.gid || u.Rdev != r.rdev || u.Size != r.size || u.Valid&AttrNlink != 0 {
				t.Errorf("9P2000.u: %+v", u)
			}
			if u.Blocks != r.blocks || !u.Atime.Equal(time.Unix(100, 0)) || !u.Mtime.Equal(time.Unix(200, 0)) || !u.Ctime.Equal(u.Mtime) {
				t.Errorf("blocks and times: %+v", u)
			}
		})
	}
}

// A device's number is in its extension; what is none is 0.
func TestDeviceNumbers(t *testing.T) {
	for extension, want := range map[string]uint64{
		"c 1 3": 0x103, "b 259 70000": 70000&0xff | 259<<8 | 70000&^0xff<<12, "c 4095 1048575": 1048575&0xff | 4095<<8 | 1048575&^0xff<<12,
		"": 0, "c": 0, "c 1": 0, "c 1 3 5": 0, "c x 3": 0, "c 1 x": 0, "c -1 3": 0, "c 4096 1": 0, "c 1 1048576": 0,
	} {
		s := stat{mode: dmDevice, extension: extension}
		if got := s.rdev(); got != want {
			t.Errorf("%q: %#x, want %#x", extension, got, want)
		}
	}
	if s := (stat{extension: "c 1 3"}); s.rdev() != 0 {
		t.Error("what is no device has a device's number")
	}
}

// Names become numbers: those of the system, those that they are, or the given ones.
func TestNamesOfUsersBecomeNumbers(t *testing.T) {
	i := newIDs(70001, 70002)
	for name, want := range map[string][2]uint32{
		"root": {0, 0}, "4000000": {4000000, 4000000}, "no such name!": {70001, 70002}, "": {70001, 70002}, "-1": {70001, 70002},
		"4294967295": {70001, 70002}, // the wire's word for nobody
		"4294967296": {70001, 70002}, strings.Repeat("0", 2*maxName) + "1": {70001, 70002},
	} {
		if u, g := i.uid(name), i.gid(name); u != want[0] || g != want[1] {
			t.Errorf("%.20q: %d, %d, want %d", name, u, g, want)
		}
	}
	if u, g := i.uname(0), i.gname(0); u != "root" || g != "root" {
		t.Errorf("0 is %q and %q", u, g)
	}
	if u, g := i.uname(4000000), i.gname(4000001); u != "4000000" || g != "4000001" {
		t.Errorf("who has no name is %q and %q", u, g)
	}
}

// The system is asked once for a name, and what a server makes us remember is bounded.
func TestNamesAreRememberedWithinBounds(t *testing.T) {
	i := newIDs(1, 2)
	asked := 0
	for n := range 2 * maxIDs {
		for range 2 {
			name := fmt.Sprint("user", n)
			if got := remember(i, i.uids, name, func(string) uint32 { asked++; return uint32(n) }); got != uint32(n) {
				t.Fatalf("%s is %d", name, got)
			}
		}
		if len(i.uids) > maxIDs {
			t.Fatalf("%d names are remembered", len(i.uids))
		}
	}
	if asked != 2*maxIDs {
		t.Errorf("asked %d times for %d names", asked, 2*maxIDs)
	}
}

// A time that no file can have is none.
func TestTimesOnTheWire(t *testing.T) {
	for _, r := range []struct {
		sec, nsec uint64
		want      time.Time
	}{
		{0, 0, time.Time{}}, {5, 7, time.Unix(5, 7)}, {1 << 40, 0, time.Unix(1<<40, 0)}, {^uint64(0), 0, time.Unix(-1, 0)},
		{5, 1e9, time.Time{}}, {1<<40 + 1, 0, time.Time{}}, {1 << 63, 0, time.Time{}},
	} {
		var e encoder
		e.u64(r.sec)
		e.u64(r.nsec)
		d := decoder{b: e.b}
		if got := d.time(); !got.Equal(r.want) || got.IsZero() != r.want.IsZero() {
			t.Errorf("%d s %d ns: %v, want %v", r.sec, r.nsec, got, r.want)
		}
	}
}
