package p9client

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"
)

// stat5 makes a stat entry of 9P2000 that is right but for what alter does.
func stat5(unix bool, alter func(b []byte) []byte) []byte {
	n := &node{qid: Qid{Path: 2}, data: []byte("hello"), mode: 0644}
	b := n.stat("f", unix)
	if alter != nil {
		b = alter(b)
	}
	return b
}

// Where the fields of a stat entry are, after its size.
const (
	statQid    = 2 + 2 + 4
	statMode   = statQid + 13
	statLength = statMode + 12
	statName   = statLength + 8
)

// resized sets the entry's own size.
func resized(b []byte, size int) []byte {
	binary.LittleEndian.PutUint16(b, uint16(size))
	return b
}

// named9 gives an entry another name.
func named9(name string) []byte {
	b := (&node{qid: Qid{Path: 2}, mode: 0644}).stat("f", false)
	b = bytesOf(b[:statName], str9(name), b[statName+3:])
	return resized(b, len(b)-2)
}

// counted puts the count of stat[n] before its bytes.
func counted(n int, b []byte) []byte { return append([]byte{byte(n), byte(n >> 8)}, b...) }

func rstat(b []byte) func(p *peer, m msg) { return answer(counted(len(b), b)) }

func rdir(entries ...[]byte) func(p *peer, m msg) { return answer(readdirBody(entries...)) }

// legacyWrongs are about what 9P2000 and 9P2000.u have instead of 9P2000.L's
// verbs.
func legacyWrongs() []wrong {
	at := func(i int, v byte) func(b []byte) []byte { return func(b []byte) []byte { b[i] = v; return b } }
	const ga = "getattr"
	l := []wrong{
		{server: "counts a byte more than it sends", under: ga, typ: tstat, do: answer(counted(len(stat5(false, nil))+1, stat5(false, nil))), want: newConnection},
		{server: "counts a byte less than it sends", under: ga, typ: tstat, do: answer(counted(len(stat5(false, nil))-1, stat5(false, nil))), want: newConnection},
		{server: "counts 65535", under: ga, typ: tstat, do: answer(counted(65535, stat5(false, nil))), want: newConnection},
		{server: "sends half a count", under: ga, typ: tstat, do: answer([]byte{9}), want: newConnection},
		{server: "sends no stat", under: ga, typ: tstat, do: answer(counted(0, nil)), want: newConnection},
		{server: "sends a stat whose own size is one too many", under: ga, typ: tstat, want: newConnection,
			do: rstat(stat5(false, func(b []byte) []byte { return resized(b, len(b)-1) }))},
		{server: "sends a stat whose own size is one too few", under: ga, typ: tstat, want: newConnection,
			do: rstat(stat5(false, func(b []byte) []byte { return resized(b, len(b)-3) }))},
		{server: "sends a stat whose own size is 0", under: ga, typ: tstat, do: rstat(stat5(false, func(b []byte) []byte { return resized(b, 0) })), want: newConnection},
		{server: "sends two stats", under: ga, typ: tstat, do: rstat(append(stat5(false, nil), stat5(false, nil)...)), want: newConnection},
		{server: "sends a stat with a byte after its fields", under: ga, typ: tstat, want: newConnection,
			do: rstat(stat5(false, func(b []byte) []byte { return resized(append(b, 0), len(b)-1) }))},
		{server: "sends a name that ends beyond the stat", under: ga, typ: tstat, do: rstat(stat5(false, at(statName+1, 0xff))), want: newConnection},
		{server: "sends a stat without muid", under: ga, typ: tstat, want: newConnection,
			do: rstat(stat5(false, func(b []byte) []byte { return resized(b[:len(b)-2], len(b)-4) }))},
		{server: "sends a length of 2^63", under: ga, typ: tstat, want: newConnection,
			do: rstat(stat5(false, func(b []byte) []byte { return u64At(b, statLength, 1<<63) }))},
		{server: "sends a length of 2^64-1", under: ga, typ: tstat, want: newConnection,
			do: rstat(stat5(false, func(b []byte) []byte { return u64At(b, statLength, math.MaxUint64) }))},
		{server: "says directory in the mode, file in the qid", under: ga, typ: tstat, do: rstat(stat5(false, at(statMode+3, 0x80))), want: newConnection},
		{server: "says directory in the qid, file in the mode", under: ga, typ: tstat, do: rstat(stat5(false, at(statQid, 0x80))), want: newConnection},
		{server: "sends every other bit of the mode", under: ga, typ: tstat, want: rightBytes,
			do: rstat(stat5(false, func(b []byte) []byte {
				return append(append(b[:statMode:statMode], 0xff, 0xff, 0xff, 0x7f), b[statMode+4:]...)
			}))},
		{server: "sends times of 2^32-1", under: ga, typ: tstat, do: rstat(stat5(false, func(b []byte) []byte { return u64At(b, statMode+4, math.MaxUint64) })), want: rightBytes},
		{server: "names the file ../../etc/passwd", under: ga, typ: tstat, do: rstat(named9Sized("../../etc/passwd")), want: rightBytes},
		{server: "answers 9P2000 with a stat of 9P2000.u", under: ga, typ: tstat, do: rstat(stat5(true, nil)), want: newConnection},
		{server: "answers 9P2000.u with a stat of 9P2000", under: ga, typ: tstat, do: rstat(stat5(false, nil)), want: newConnection, o: Options{Dialect: DotU}},
		{server: "answers with Rgetattr", under: ga, typ: tstat, do: answerAs(tgetattr+1, make([]byte, 153)), want: newConnection},
		{server: "sends Rlerror ENOSPC all the same", under: ga, typ: tstat, do: answerAs(rlerror, le32(28)), want: refused(syscall.ENOSPC)},
		{server: "sends Rerror with an empty text", under: ga, typ: tstat, do: answerAs(rerror, str9("")), want: refused(syscall.EIO)},
		{server: "sends Rerror that is not UTF-8", under: ga, typ: tstat, do: answerAs(rerror, str9("\xff\xfe\x80")), want: refused(syscall.EIO)},
		{server: "sends Rerror of 8000 bytes, of which the last are known", under: ga, typ: tstat, want: refused(syscall.EACCES),
			do: answerAs(rerror, str9(strings.Repeat("no ", 2650)+"permission denied"))},
		{server: "sends Rerror whose text ends before its length", under: ga, typ: tstat, do: answerAs(rerror, []byte{9, 0, 'x'}), want: newConnection},
		{server: "sends Rerror with errno 0 in 9P2000.u", under: ga, typ: tstat, want: refused(syscall.EACCES), o: Options{Dialect: DotU},
			do: answerAs(rerror, str9("permission denied"), le32(0))},
		{server: "sends Rerror with errno 2^32-1 and no words in 9P2000.u", under: ga, typ: tstat, want: refused(syscall.EIO), o: Options{Dialect: DotU},
			do: answerAs(rerror, str9(""), le32(1<<32-1))},
		{server: "sends a body", under: "truncate", typ: twstat, do: answer(le32(0)), want: newConnection},
		{server: "sends a body", under: "fsync", typ: twstat, do: answer([]byte{0}), want: newConnection},
		{server: "refuses the null wstat", under: "fsync", typ: twstat, do: answerAs(rerror, str9("wstat prohibited")), want: refused(syscall.EOPNOTSUPP)},
		{server: "is full", under: "fsync", typ: twstat, do: answerAs(rerror, str9("file system full")), want: refused(syscall.ENOSPC)},
		{server: "sends a qid and half an iounit", under: "open", typ: topen, do: answer(qidBytes(Qid{Path: 2}), []byte{0, 0}), want: newConnection},
		{server: "sends an iounit of 1", under: "open", typ: topen, do: answer(qidBytes(Qid{Path: 2}), le32(1)), want: rightBytes},
		{server: "sends half a qid", under: "create", typ: tcreate, do: answer(make([]byte, 6)), want: newConnection},
		{server: "sends a target that ends early", under: "readlink, whatever the target is", typ: tstat, want: newConnection, o: Options{Dialect: DotU},
			do: rstat(stat5(true, func(b []byte) []byte { b[len(b)-13] = 0xff; return b }))},
		{server: "says that the link is none any more", under: "readlink, whatever the target is", typ: tstat, want: refused(syscall.EINVAL), o: Options{Dialect: DotU},
			do: rstat(stat5(true, nil))},
		{server: "sends one byte more than was asked", under: "read", typ: tread, do: answer(le32(6), make([]byte, 6)), want: newConnection},
		{server: "writes nothing for ever", under: "write", typ: twrite, do: answer(le32(0)), want: refused(syscall.EIO), ever: true},
	}
	for i := range l {
		if l[i].o.Dialect == "" {
			l[i].o.Dialect = Plain
		}
	}
	return l
}

func named9Sized(name string) []byte { return u64At(named9(name), statLength, 5) }

// legacyDirWrongs are about reading a directory of 9P2000.
func legacyDirWrongs() []wrong {
	const rd = "readdir of a directory"
	whole := named9("a")
	l := []wrong{
		{server: "sends half an entry", under: rd, typ: tread, do: rdir(whole, whole[:20]), want: newConnection},
		{server: "sends one byte", under: rd, typ: tread, do: rdir(whole, whole[:1]), want: newConnection},
		{server: "sends an entry of no size", under: rd, typ: tread, do: rdir([]byte{0, 0}), want: newConnection},
		{server: "sends a thousand entries of no size", under: rd, typ: tread, do: rdir(make([]byte, 2000)), want: newConnection},
		{server: "sends an entry of 65535 bytes", under: rd, typ: tread, do: rdir(whole, resized(named9("b"), 65535)), want: newConnection},
		{server: "sends an entry whose name ends beyond it", under: rd, typ: tread, want: newConnection,
			do: rdir(whole, func() []byte { b := named9("b"); b[statName] = 0xff; return b }())},
		{server: "sends entries whose qid and mode disagree", under: rd, typ: tread, want: newConnection,
			do: rdir(func() []byte { b := named9("b"); b[statQid] = 0x80; return b }())},
		{server: "sends a length of 2^63", under: rd, typ: tread, do: rdir(u64At(named9("b"), statLength, 1<<63)), want: newConnection},
		{server: "sends more than was asked", under: rd, typ: tread, do: rdir(bytes.Repeat(whole, 90)), want: newConnection},
		{server: "counts less than it sends", under: rd, typ: tread, do: answer(le32(3), whole), want: newConnection},
		{server: "sends entries of 9P2000.u", under: rd, typ: tread, do: rdir(stat5(true, nil)), want: newConnection},
		{server: "answers with Rreaddir", under: rd, typ: tread, do: answerAs(treaddir+1, le32(0)), want: newConnection},
		{server: "sends nothing", under: rd, typ: tread, do: rdir(), want: rightBytes},
		{server: "repeats an entry", under: rd, typ: tread, do: rdir(whole, whole), want: rightBytes},
	}
	for _, n := range []struct{ name, what string }{
		{".", "."}, {"..", ".."}, {"", "nothing"}, {"/", "/"}, {"a/b", "a path"}, {"../../etc/passwd", "a path out of the tree"},
		{"nul\x00", "a NUL"}, {"\xff\xfe", "what is not UTF-8"}, {strings.Repeat("n", 3000), "3000 bytes"},
	} {
		l = append(l, wrong{server: "names an entry " + n.what, under: rd, typ: tread, do: rdir(whole, named9(n.name), whole), want: rightBytes})
	}
	for i := range l {
		l[i].o.Dialect = Plain
	}
	return l
}

// readRoot opens the root directory and reads its beginning.
func readRoot(ctx context.Context, f *Fid) error {
	d, err := f.s.root.Walk(ctx)
	if err != nil {
		return err
	}
	defer d.Clunk()
	if err := d.Open(ctx, syscall.O_RDONLY|syscall.O_DIRECTORY); err != nil {
		return err
	}
	l, next, err := d.ReadDir(ctx, 0, 4096)
	for _, e := range l {
		if !validName(e.Name) || e.Attr == nil || e.Offset > next {
			return fmt.Errorf("entry %+v", e)
		}
	}
	return err
}

// What 9P2000 has no verb for is refused; nothing is sent that a server could
// misunderstand.
func TestWhatADialectLacksIsRefused(t *testing.T) {
	noLeak(t)
	s := startServer(t)
	s.addHostileTree()
	s.speak(Plain)
	x := s.dial(Options{Dialect: Plain})
	f := open(t, x, syscall.O_RDWR, "f")
	s.mu.Lock()
	before := len(s.seen)
	s.mu.Unlock()
	ctx := t.Context()
	for name, row := range map[string]struct {
		err   error
		errno syscall.Errno
	}{
		"statfs":   {statFS(ctx, f), syscall.EOPNOTSUPP},
		"readlink": {readlink(ctx, f), syscall.EOPNOTSUPP},
		"getxattr": {second(f.GetXattr(ctx, "user.a")), syscall.EOPNOTSUPP},
		"lock":     {second(f.Lock(ctx, Lock{})), syscall.EOPNOTSUPP},
		"symlink":  {second(x.Root().Symlink(ctx, "s", "t", 0)), syscall.EPERM},
		"mknod":    {second(x.Root().Mknod(ctx, "p", syscall.S_IFIFO, 0, 0, 0)), syscall.EPERM},
		"setuid":   {f.SetAttr(ctx, SetAttr{Valid: SetMode, Mode: 04755}), syscall.EPERM},
	} {
		if !errors.Is(row.err, row.errno) {
			t.Errorf("%s: %v, want %v", name, row.err, row.errno)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.seen[before:] {
		if m.typ != tstat && m.typ != tclunk && m.typ != twalk {
			t.Errorf("%s was sent", messageName(m.typ))
		}
	}
}

func second[T any](_ T, err error) error { return err }
