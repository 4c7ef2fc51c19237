package rescue

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"
	"time"
)

var when = time.Date(2026, 11, 25, 12, 0, 0, 123456789, time.UTC)

// sample is a rescue file's contents: two files, one of which has an extent that
// takes several records.
func sample() (Mount, []File) {
	big := bytes.Repeat([]byte("0123456789abcdef"), (2*MaxData+4096)/16)
	m := Mount{Written: when, Live: true, Address: "tcp!fileserver!564", Aname: "/srv", Uname: "glenda", NUname: 1000, Dialect: "auto", Mountpoint: "/mnt"}
	return m, []File{
		{
			Meta: Meta{Path: "lib/words", QidPath: 1 << 60, QidType: 0, Sent: true, Grown: 9000, Errno: 28, Why: "file system full",
				Known: Attr{Set: true, Version: 7, Size: 8192, Mtime: when, Ctime: when.Add(time.Second)}},
			Truncations: []int64{0, 4096},
			Extents:     []Extent{{Off: 5, Data: []byte("hello"), State: "dirty"}, {Off: 100, Data: []byte("x"), State: "failed", Errno: 28}},
		},
		{Meta: Meta{Path: "odd\n\xff name"}, Extents: []Extent{{Off: 1 << 40, Data: big, State: "unstable"}}},
	}
}

// small is sample without the large extent.
func small() (Mount, []File) {
	m, l := sample()
	l[1].Extents[0].Data = l[1].Extents[0].Data[:100]
	return m, l
}

func encoded(t testing.TB, m Mount, l []File) []byte {
	var b bytes.Buffer
	e := newEncoder(&b)
	e.mount(m)
	for _, f := range l {
		e.file(f)
	}
	if err := e.end(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func scanned(t testing.TB, b []byte) *Index {
	t.Helper()
	x, err := Scan(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func sameMeta(a, b Meta) bool {
	same := a.Known.Set == b.Known.Set && a.Known.Version == b.Known.Version && a.Known.Size == b.Known.Size &&
		a.Known.Mtime.Equal(b.Known.Mtime) && a.Known.Ctime.Equal(b.Known.Ctime)
	a.Known, b.Known = Attr{}, Attr{}
	return same && a == b
}

// contents puts the pieces of an entry together.
func contents(t testing.TB, b []byte, e *Entry) []byte {
	t.Helper()
	var all []byte
	for _, x := range e.Extents {
		data, err := x.Data(bytes.NewReader(b), nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	return all
}

func TestWhatWasWrittenIsReadBack(t *testing.T) {
	m, l := sample()
	b := encoded(t, m, l)
	x, err := Scan(iotest.HalfReader(bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	if !x.Whole() || len(x.Files) != len(l) {
		t.Fatalf("whole %v, %d files", x.Whole(), len(x.Files))
	}
	if !x.Mount.Written.Equal(m.Written) {
		t.Errorf("written %v", x.Mount.Written)
	}
	if x.Mount.Written = m.Written; x.Mount != m {
		t.Errorf("mount %+v", x.Mount)
	}
	for i, e := range x.Files {
		if !sameMeta(e.Meta, l[i].Meta) || !slices.Equal(e.Truncations, l[i].Truncations) || e.Missing != 0 || e.Done || e.Sending != nil {
			t.Errorf("file %d: %+v", i, e)
		}
		var want []byte
		for _, x := range l[i].Extents {
			want = append(want, x.Data...)
		}
		if !bytes.Equal(contents(t, b, e), want) || e.Bytes != int64(len(want)) {
			t.Errorf("file %d: other bytes", i)
		}
		if p, q := e.Extents[0], l[i].Extents[0]; p.Off != q.Off || p.State != q.State || p.Errno != q.Errno {
			t.Errorf("file %d: extent %+v", i, p)
		}
	}
	if n := len(x.Files[1].Extents); n != 3 {
		t.Errorf("the large extent is in %d records", n)
	}
	if last := x.Files[1].Extents[2]; last.Off != 1<<40+2*MaxData || last.Len != 4096 {
		t.Errorf("its last piece is %d bytes at %d", last.Len, last.Off)
	}
}

// However short the file is cut, it is known to be torn, and its whole records are
// there.
func TestTornFileIsRecognisedAndItsWholeRecordsAreUsable(t *testing.T) {
	m, l := small()
	b := encoded(t, m, l)
	extents := 0
	for n := range b {
		x, err := Scan(bytes.NewReader(b[:n]))
		if n < len(Magic) {
			if !errors.Is(err, ErrNotRescue) {
				t.Fatalf("%d bytes: %v", n, err)
			}
			continue
		}
		if err != nil || x.Whole() {
			t.Fatalf("%d bytes: %v, whole", n, err)
		}
		now := 0
		for i, e := range x.Files {
			now += len(e.Extents)
			if want := len(l[i].Truncations) + len(l[i].Extents) - len(e.Truncations) - len(e.Extents); e.Missing != want {
				t.Fatalf("%d bytes: file %d lacks %d records, it says %d", n, i, want, e.Missing)
			}
		}
		if now < extents {
			t.Fatalf("%d bytes: %d extents, there were more in fewer bytes", n, now)
		}
		extents = now
	}
	if extents != 3 {
		t.Errorf("with all but the last byte there are %d extents of 3", extents)
	}
}

// A byte that has changed costs one record, unless it is in a record's size.
func TestChangedByteIsNoticedWhereverItIs(t *testing.T) {
	m, l := small()
	whole := encoded(t, m, l)
	for i := range whole {
		b := slices.Clone(whole)
		b[i] ^= 0x10
		x, err := Scan(bytes.NewReader(b))
		switch {
		case i < len(Magic):
			if !errors.Is(err, ErrNotRescue) {
				t.Fatalf("byte %d: %v", i, err)
			}
			continue
		case err != nil:
			t.Fatalf("byte %d: %v", i, err)
		case x.Whole():
			t.Fatalf("byte %d has changed and nobody notices", i)
		}
		for _, e := range x.Files { // what is there is right
			k := slices.IndexFunc(l, func(f File) bool { return sameMeta(f.Meta, e.Meta) })
			if k < 0 {
				t.Fatalf("byte %d: file %+v", i, e.Meta)
			}
			for _, p := range e.Extents {
				data, err := p.Data(bytes.NewReader(b), nil)
				if err != nil || !slices.ContainsFunc(l[k].Extents, func(x Extent) bool { return x.Off == p.Off && bytes.Equal(x.Data, data) }) {
					t.Fatalf("byte %d: extent %+v, %v", i, p, err)
				}
			}
		}
	}
}

func TestDamagedRecordCostsNoOther(t *testing.T) {
	m, l := small()
	b := encoded(t, m, l)
	b[bytes.Index(b, []byte("hello"))]++
	x := scanned(t, b)
	if x.Damaged != 1 || len(x.Files) != 2 || x.Files[0].Missing != 1 || len(x.Files[0].Extents) != 1 || len(x.Files[1].Extents) != 1 {
		t.Errorf("%d damaged, %+v", x.Damaged, x.Files)
	}
}

// A file whose records have all vanished, each whole, is missed all the same.
func TestMissingFileIsNoticed(t *testing.T) {
	m, l := small()
	b := encoded(t, m, l)
	var one bytes.Buffer
	e := newEncoder(&one)
	e.mount(m)
	e.w.Flush()
	from := one.Len()
	e.file(l[0])
	e.w.Flush()
	if x := scanned(t, slices.Delete(slices.Clone(b), from, one.Len())); x.Whole() || len(x.Files) != 1 {
		t.Errorf("whole: %v, %d files", x.Whole(), len(x.Files))
	}
}

func TestRecordThatIsOutOfBoundsIsDamage(t *testing.T) {
	file := fileRecord(nil, 0, Meta{Path: "f"}, 0, 0)
	for what, b := range map[string][]byte{
		"extent beyond the largest offset": extentRecord(nil, 0, Extent{Off: math.MaxInt64 - 1, Data: []byte("12")}),
		"extent before the file":           extentRecord(nil, 0, Extent{Off: -1, Data: []byte("12")}),
		"extent of nothing":                extentRecord(nil, 0, Extent{}),
		"extent that is too large":         extentRecord(nil, 0, Extent{Data: make([]byte, MaxData+1)}),
		"extent of no file":                extentRecord(nil, 1, Extent{Data: []byte("12")}),
		"truncation to less than nothing":  truncationRecord(nil, 0, -1),
		"file that is there already":       file,
		"mark of no file":                  sentRecord(nil, 1),
		"unknown kind":                     begin(nil, 99).u32(0).frame(),
		"mount in the middle":              mountRecord(nil, Mount{}),
	} {
		x := scanned(t, slices.Concat([]byte(Magic), file, b))
		if x.Damaged != 1 || len(x.Files) != 1 || len(x.Files[0].Extents)+len(x.Files[0].Truncations) > 0 {
			t.Errorf("%s: %d damaged", what, x.Damaged)
		}
	}
}

// No byte of what is written later is believed where the checksum differs from what
// Scan saw.
func TestDataIsCheckedAgainWhenItIsSent(t *testing.T) {
	m, l := small()
	b := encoded(t, m, l)
	x := scanned(t, b)
	b[bytes.Index(b, []byte("hello"))]++
	if _, err := x.Files[0].Extents[0].Data(bytes.NewReader(b), nil); err == nil {
		t.Error("changed bytes were read without an error")
	}
}

// FuzzRead reads what may be anything: it must not panic, and what it finds keeps
// within its bounds.
func FuzzRead(f *testing.F) {
	m, l := small()
	b := encoded(f, m, l)
	f.Add(b)
	f.Add(b[:len(b)-3])
	f.Add(append(slices.Clone(b), sendingRecord(nil, 0, Attr{Set: true, Size: 9})...))
	f.Add(append(slices.Clone(b), sentRecord(nil, 1)...))
	f.Add(append([]byte(Magic), fileRecord(nil, 3, Meta{Path: "../../etc/passwd"}, 1<<30, 1<<30)...))
	f.Add([]byte(Magic + "\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := Scan(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, ErrNotRescue) {
				t.Fatal(err)
			}
			return
		}
		for _, e := range x.Files {
			if checkPath(e.Path) != nil {
				t.Fatalf("path %q", e.Path)
			}
			for _, size := range e.Truncations {
				if size < 0 {
					t.Fatalf("truncation to %d", size)
				}
			}
			for _, p := range e.Extents {
				if data, err := p.Data(bytes.NewReader(b), nil); err != nil || len(data) != p.Len || p.Len == 0 || p.Off < 0 || p.Off+int64(p.Len) < p.Off {
					t.Fatalf("%+v: %d bytes, %v", p, len(data), err)
				}
			}
			e.Judge(x.Mount.Live, Found{QidPath: e.QidPath, QidType: e.QidType, Attr: e.Known})
		}
	})
}

// FuzzRecord takes bodies apart whose checksum would be right.
func FuzzRecord(f *testing.F) {
	m, l := small()
	for _, b := range [][]byte{
		mountRecord(nil, m), fileRecord(nil, 1, l[0].Meta, 2, 2), truncationRecord(nil, 1, 7), extentRecord(nil, 1, l[0].Extents[0]),
		endRecord(nil, 9, 8), sendingRecord(nil, 1, l[0].Known), sentRecord(nil, 1),
	} {
		f.Add(b[headLen:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decode(b)
		if err == nil && d.kind == kindFile && checkPath(d.meta.Path) != nil {
			t.Fatalf("path %q", d.meta.Path)
		}
		b = append(append([]byte(Magic), mountRecord(nil, m)...), body(append(make([]byte, headLen), b...)).frame()...)
		if x := scanned(t, b); err != nil && x.Damaged == 0 && len(b) > len(Magic) {
			t.Fatalf("%v, and it is not counted as damaged", err)
		}
	})
}

func TestPathThatLeadsOutOfTheTreeIsNeitherWrittenNorRead(t *testing.T) {
	for _, p := range []string{"", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".", "a/./b", "nul\x00"} {
		b := append([]byte(Magic), fileRecord(nil, 0, Meta{Path: p}, 0, 0)...)
		if x := scanned(t, b); len(x.Files) != 0 || x.Damaged != 1 {
			t.Errorf("%q is read", p)
		}
		path := filepath.Join(t.TempDir(), "f")
		s, err := Save(path, Mount{}, slices.Values([]File{{Meta: Meta{Path: p}}}))
		if err == nil {
			s.Close()
			t.Errorf("%q is written", p)
		}
		if l, _ := os.ReadDir(filepath.Dir(path)); len(l) != 0 {
			t.Errorf("%q leaves %v", p, l)
		}
	}
}
