package export

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

func needXattrs(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Setxattr(dir, "user.probe", []byte("x"), 0); err != nil {
		t.Skipf("the file system of %s keeps no user attributes: %v", dir, err)
	}
	unix.Removexattr(dir, "user.probe")
}

func TestXattrsOfAFile(t *testing.T) {
	dir := t.TempDir()
	needXattrs(t, dir)
	f := create(t, raw(t, dir, Options{}), "f", p9.ReadWrite)
	big := bytes.Repeat([]byte("v"), 3000)
	for name, value := range map[string][]byte{"user.a": []byte("A"), "user.empty": {}, "user.big": big} {
		if err := f.SetXattr(name, value, 0); err != nil {
			t.Fatalf("set %s: %v", name, err)
		}
		if got, err := f.GetXattr(name); err != nil || !bytes.Equal(got, value) {
			t.Errorf("get %s: %d bytes, %v", name, len(got), err)
		}
	}
	if names, err := f.ListXattrs(); len(names) != 3 || err != nil {
		t.Errorf("list: %q %v", names, err)
	}
	wantErrno(t, "create what exists", f.SetXattr("user.a", nil, p9.XattrCreate), linux.EEXIST)
	wantErrno(t, "replace what does not", f.SetXattr("user.z", nil, p9.XattrReplace), linux.ENODATA)
	wantErrno(t, "get what does not exist", second(f.GetXattr("user.z")), linux.ENODATA)
	wantErrno(t, "remove what does not exist", f.RemoveXattr("user.z"), linux.ENODATA)
	wantErrno(t, "no name space", f.SetXattr("nospace", nil, 0), linux.EOPNOTSUPP)
	wantErrno(t, "too large", f.SetXattr("user.l", make([]byte, 70_000), 0), linux.E2BIG)
	for _, n := range []string{"user.a", "user.empty", "user.big"} {
		if err := f.RemoveXattr(n); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	if names, err := f.ListXattrs(); len(names) != 0 || err != nil {
		t.Errorf("empty list: %q %v", names, err)
	}
}

// TestXattrsOverTheWire: Txattrwalk and Txattrcreate, often, with the exact errno,
// and without harm to the fids around them (the core alone would close them).
func TestXattrsOverTheWire(t *testing.T) {
	dir := t.TempDir()
	needXattrs(t, dir)
	mustMkdir(t, filepath.Join(dir, "d"))
	mustWrite(t, filepath.Join(dir, "d/f"), "text")
	os.Symlink("f", filepath.Join(dir, "d/s"))
	_, sock := serve(t, dir, Options{})
	p := attached(t, sock, 8192)
	p.ok(twalk, walkBody(0, 1, "d"))
	p.ok(twalk, walkBody(1, 2, "f"))

	set := func(name string, value []byte, flags uint32) (byte, linux.Errno) {
		p.ok(twalk, walkBody(2, 3))
		b := appendString(u32s(3), name)
		b = le.AppendUint64(b, uint64(len(value)))
		p.ok(txattrcreate, append(b, u32s(flags)...))
		for off := 0; off < len(value); {
			n := min(4000, len(value)-off)
			w := append(le.AppendUint64(u32s(3), uint64(off)), u32s(uint32(n))...)
			p.ok(twrite, append(w, value[off:off+n]...))
			off += n
		}
		h, r := p.call(tclunk, 1, u32s(3))
		if h.typ == rlerror {
			return h.typ, linux.Errno(le.Uint32(r))
		}
		return h.typ, 0
	}
	get := func(fid uint32, name string) []byte {
		r := p.ok(txattrwalk, appendString(u32s(fid, 9), name))
		size := le.Uint64(r)
		var value []byte
		for uint64(len(value)) < size {
			r := p.ok(tread, append(le.AppendUint64(u32s(9), uint64(len(value))), u32s(1<<20)...))
			if le.Uint32(r) == 0 {
				break
			}
			value = append(value, r[4:]...)
		}
		r = p.ok(tread, append(le.AppendUint64(u32s(9), size), u32s(10)...))
		if le.Uint32(r) != 0 {
			t.Errorf("%q: %d bytes behind the end", name, le.Uint32(r))
		}
		p.ok(tclunk, u32s(9))
		return value
	}
	big := bytes.Repeat([]byte("0123456789"), 300)
	for i := range 20 {
		name := fmt.Sprintf("user.n%d", i)
		if _, e := set(name, big[:1+i*100], 0); e != 0 {
			t.Fatalf("set %s: %v", name, e)
		}
		if got := get(2, name); !bytes.Equal(got, big[:1+i*100]) {
			t.Fatalf("get %s: %d bytes", name, len(got))
		}
		p.fails(txattrwalk, appendString(u32s(2, 9), "user.none"), linux.ENODATA)
		p.ok(twalk, walkBody(1, 5)) // a clone of the directory, which the core alone would spoil
		p.ok(tclunk, u32s(5))
		if e := set1(set(name, nil, uint32(p9.XattrReplace))); e != 0 {
			t.Fatalf("remove %s: %v", name, e)
		}
	}
	if got := get(2, ""); len(got) != 0 {
		t.Errorf("list of nothing: %q", got)
	}
	set("user.x", []byte("1"), 0)
	if got := get(2, ""); string(got) != "user.x\x00" {
		t.Errorf("list: %q", got)
	}
	if e := set1(set("user.x", []byte("1"), uint32(p9.XattrCreate))); e != linux.EEXIST {
		t.Errorf("create what exists: %v", e)
	}
	p.ok(twalk, walkBody(1, 4, "s"))
	p.fails(txattrwalk, appendString(u32s(4, 9), "user.x"), linux.ENODATA) // the link's own
	p.fails(txattrwalk, appendString(u32s(77, 9), "user.x"), linux.EBADF)
	p.fails(txattrcreate, append(le.AppendUint64(appendString(u32s(2), "user.y"), 1<<40), u32s(0)...), linux.E2BIG)
	// A fid of an attribute is its own; it cannot be taken twice, nor without end.
	p.ok(txattrwalk, appendString(u32s(2, 100), "user.x"))
	p.fails(txattrwalk, appendString(u32s(2, 100), "user.x"), linux.EINVAL)
	for i := range uint32(maxXattrFids - 1) {
		p.ok(txattrwalk, appendString(u32s(2, 101+i), "user.x"))
	}
	p.fails(txattrwalk, appendString(u32s(2, 9999), "user.x"), linux.EMFILE)
	p.ok(tclunk, u32s(100))
	p.ok(txattrwalk, appendString(u32s(2, 9999), "user.x"))
}

func set1(_ byte, e linux.Errno) linux.Errno { return e }
