package p9client

import (
	"strings"
	"syscall"
)

// bodyWrongs are about the fields of replies that bear on I/O and walks.
func bodyWrongs() []wrong {
	file, dir := qidBytes(Qid{Path: 5}), qidBytes(Qid{Type: QTDIR, Path: 5})
	walkReply := func(n byte, qids ...[]byte) func(p *peer, m msg) {
		return answer([]byte{n, 0}, bytesOf(qids...))
	}
	data := func(count uint32, n int) func(p *peer, m msg) { return answer(le32(count), make([]byte, n)) }
	return []wrong{
		{server: "sends one byte more than was asked", under: "read", typ: tread, do: data(6, 6), want: newConnection},
		{server: "sends msize bytes where 5 were asked", under: "read", typ: tread, do: data(hostileMsize-11, hostileMsize-11), want: newConnection},
		{server: "counts more than the frame has", under: "read", typ: tread, do: data(5, 4), want: newConnection},
		{server: "counts less than the frame has", under: "read", typ: tread, do: data(4, 5), want: newConnection},
		{server: "counts 2^32-1", under: "read", typ: tread, do: data(1<<32-1, 5), want: newConnection},
		{server: "counts 2^31", under: "read", typ: tread, do: data(1<<31, 5), want: newConnection},
		{server: "sends half a count", under: "read", typ: tread, do: answer([]byte{5, 0, 0}), want: newConnection},
		{server: "sends nothing at all", under: "read", typ: tread, do: answer(), want: newConnection},
		{server: "sends one byte each time", under: "read", typ: tread, do: stingy, want: rightBytes, ever: true},
		{server: "says more was written than was sent", under: "write", typ: twrite, do: answer(le32(6)), want: newConnection},
		{server: "says 2^32-1 were written", under: "write", typ: twrite, do: answer(le32(1<<32 - 1)), want: newConnection},
		{server: "says nothing of what was written", under: "write", typ: twrite, do: answer(), want: newConnection},
		{server: "says more than a count", under: "write", typ: twrite, do: answer(le32(5), []byte{0}), want: newConnection},
		{server: "writes nothing for ever", under: "write", typ: twrite, do: answer(le32(0)), want: refused(syscall.EIO), ever: true},
		{server: "writes one byte each time", under: "write", typ: twrite, do: answer(le32(1)), want: rightBytes, ever: true},
		{server: "sends a body", under: "fsync", typ: tfsync, do: answer([]byte{0}), want: newConnection},
		{server: "sends a body", under: "truncate", typ: tsetattr, do: answer(le32(0)), want: newConnection},

		{server: "sends three qids for two names", under: "walk", typ: twalk, do: walkReply(3, dir, dir, dir), want: newConnection},
		{server: "sends 65535 qids", under: "walk", typ: twalk, do: answer([]byte{0xff, 0xff}, dir, dir), want: newConnection},
		{server: "sends no qid", under: "walk", typ: twalk, do: walkReply(0), want: newConnection},
		{server: "sends one qid, of a directory", under: "walk", typ: twalk, do: walkReply(1, dir), want: refused(syscall.ENOENT)},
		{server: "sends one qid, of a file", under: "walk", typ: twalk, do: walkReply(1, file), want: refused(syscall.ENOTDIR)},
		{server: "counts two qids and sends one and a half", under: "walk", typ: twalk, do: walkReply(2, dir, dir[:6]), want: newConnection},
		{server: "counts one qid and sends two", under: "walk", typ: twalk, do: walkReply(1, dir, dir), want: newConnection},
		{server: "sends a qid for a clone", under: "clone", typ: twalk, do: walkReply(1, dir), want: newConnection},
		{server: "sends 16 qids, then none", under: "walk of 17 names", typ: twalk, do: walk16ThenNone(dir), want: newConnection},
		{server: "sends a qid that is short", under: "mkdir", typ: tmkdir, do: answer(dir[:12]), want: newConnection},
		{server: "sends a qid that is long", under: "mkdir", typ: tmkdir, do: answer(dir, []byte{0}), want: newConnection},
		{server: "sends no iounit", under: "open", typ: tlopen, do: answer(file), want: newConnection},
		{server: "sends no iounit", under: "create", typ: tlcreate, do: answer(file), want: newConnection},
		{server: "sends an iounit of 2^32-1", under: "open", typ: tlopen, do: reopened(1<<32-1, nil), want: rightBytes},
		{server: "sends an iounit of 1", under: "open", typ: tlopen, do: reopened(1, nil), want: rightBytes},
		{server: "opens what it says is a directory now", under: "open", typ: tlopen, do: reopened(0, &Qid{Type: QTDIR, Path: 2}), want: rightBytes},
		{server: "opens a file of another qid, as a clone file does", under: "open", typ: tlopen, do: reopened(0, &Qid{Path: 77}), want: rightBytes},
		{server: "sends a target that ends early", under: "readlink", typ: treadlink, do: answer([]byte{9, 0, 'x'}), want: newConnection},
		{server: "sends more than a target", under: "readlink", typ: treadlink, do: answer(str9("f"), []byte{0}), want: newConnection},
		{server: "sends a target of 64 KiB in a frame of 8", under: "readlink", typ: treadlink, do: answer(str9(strings.Repeat("x", 65535))), want: newConnection},
		{server: "sends a target of 64 KiB", under: "readlink, whatever the target is", typ: treadlink, want: refused(syscall.ENAMETOOLONG),
			do: answer(str9(strings.Repeat("x", 65535))), o: Options{Msize: 128 << 10}},
		{server: "sends an empty target", under: "readlink, whatever the target is", typ: treadlink, do: answer(str9("")), want: refused(syscall.EIO)},
		{server: "sends 50 bytes", under: "statfs", typ: tstatfs, do: answer(make([]byte, 50)), want: newConnection},
		{server: "sends 61 bytes", under: "statfs", typ: tstatfs, do: answer(make([]byte, 61)), want: newConnection},
		{server: "says that all is 2^64-1", under: "statfs", typ: tstatfs, do: answer([]byte(strings.Repeat("\xff", 60))), want: rightBytes},
	}
}

// stingy answers a Tread with one byte.
func stingy(p *peer, m msg) {
	d := decoder{b: m.body}
	fid, off := d.u32(), d.u64()
	n := p.fids[fid]
	off = min(off, uint64(len(n.data)))
	b := n.data[off:min(off+1, uint64(len(n.data)))]
	p.reply(m, append(le32(uint32(len(b))), b...)...)
}

// walk16ThenNone says that the first 16 names are there, and of what follows
// nothing.
func walk16ThenNone(qid []byte) func(p *peer, m msg) {
	return func(p *peer, m msg) {
		p.s.hook = nil
		d := decoder{b: m.body}
		d.u32()
		p.fids[d.u32()] = p.s.root
		p.reply(m, append([]byte{16, 0}, strings.Repeat(string(qid), 16)...)...)
		p.s.hook = func(p *peer, m msg) bool {
			if m.typ == twalk {
				p.reply(m, 0, 0)
			}
			return m.typ == twalk
		}
	}
}

// reopened answers a Tlopen with an iounit, and a qid if it is not nil.
func reopened(iounit uint32, qid *Qid) func(p *peer, m msg) {
	return func(p *peer, m msg) {
		if qid == nil {
			qid = &p.fids[(&decoder{b: m.body}).u32()].qid
		}
		p.reply(m, bytesOf(qidBytes(*qid), le32(iounit))...)
	}
}

// attrWrongs are about Rgetattr.
func attrWrongs() []wrong {
	const size, times = 8 + 13 + 12 + 16, 8 + 13 + 12 + 16 + 24
	attr := func() []byte { return attrBody(&node{data: []byte("hello")}) }
	const ga = "getattr"
	return []wrong{
		{server: "sends a byte less", under: ga, typ: tgetattr, do: answer(attr()[:len(attr())-1]), want: newConnection},
		{server: "sends a byte more", under: ga, typ: tgetattr, do: answer(attr(), []byte{0}), want: newConnection},
		{server: "sends a size of -1", under: ga, typ: tgetattr, do: answer(u64At(attr(), size, 1<<64-1)), want: newConnection},
		{server: "sends a size of 2^63", under: ga, typ: tgetattr, do: answer(u64At(attr(), size, 1<<63)), want: newConnection},
		{server: "sends seconds of 2^63-1", under: ga, typ: tgetattr, do: answer(u64At(attr(), times, 1<<63-1)), want: rightBytes},
		{server: "sends seconds of -2^63", under: ga, typ: tgetattr, do: answer(u64At(attr(), times+16, 1<<63)), want: rightBytes},
		{server: "sends 2^64-1 nanoseconds", under: ga, typ: tgetattr, do: answer(u64At(attr(), times+24, 1<<64-1)), want: rightBytes},
		{server: "says that nothing it sends is valid", under: ga, typ: tgetattr, do: answer(u64At(attr(), 0, 0)), want: rightBytes},
		{server: "says that all bits are valid", under: ga, typ: tgetattr, do: answer(u64At(attr(), 0, 1<<64-1)), want: rightBytes},
		{server: "says that the file is a socket, a directory and a link at once", under: ga, typ: tgetattr, want: rightBytes,
			do: answer(attr()[:21], le32(0xffffffff), attr()[25:])},
	}
}

// dirWrongs are about Rreaddir. The operation asks for what follows offset 7.
func dirWrongs() []wrong {
	const rd = "readdir"
	entries := func(l ...[]byte) func(p *peer, m msg) { return answer(readdirBody(l...)) }
	e8 := dirent(8, "abc")
	l := []wrong{
		{server: "does not advance", under: rd, typ: treaddir, do: entries(dirent(8, "a"), dirent(7, "b")), want: newConnection},
		{server: "repeats the cookie that was asked for", under: rd, typ: treaddir, do: entries(dirent(7, "a")), want: newConnection},
		{server: "cuts an entry in its qid", under: rd, typ: treaddir, do: entries(e8[:9]), want: newConnection},
		{server: "cuts an entry in its cookie", under: rd, typ: treaddir, do: entries(e8, e8[:17]), want: newConnection},
		{server: "cuts an entry before its name", under: rd, typ: treaddir, do: entries(e8, e8[:23]), want: newConnection},
		{server: "cuts an entry in its name", under: rd, typ: treaddir, do: entries(e8[:26]), want: newConnection},
		{server: "counts less than it sends", under: rd, typ: treaddir, do: answer(le32(3), e8), want: newConnection},
		{server: "counts 2^32-1", under: rd, typ: treaddir, do: answer(le32(1<<32-1), e8), want: newConnection},
		{server: "sends half a count", under: rd, typ: treaddir, do: answer([]byte{0, 0}), want: newConnection},
		{server: "sends more than was asked", under: rd, typ: treaddir, do: entries(dirent(8, strings.Repeat("n", 5000))), want: newConnection},
		{server: "names an entry of 65535 bytes in a frame of 8 KiB", under: rd, typ: treaddir, want: newConnection,
			do: answer(le32(24+3), qidBytes(Qid{}), make([]byte, 9), []byte{0xff, 0xff, 'x', 'y', 'z'})},
		{server: "names only . and a cookie that does not advance, which is the end", under: rd, typ: treaddir, do: entries(dirent(7, ".")), want: rightBytes},
		{server: "names the last cookie 2^64-1", under: rd, typ: treaddir, do: entries(dirent(1<<64-1, "z")), want: rightBytes},
	}
	for _, n := range []struct{ name, what string }{
		{".", "."}, {"..", ".."}, {"", "nothing"}, {"a/b", "a path"}, {"../../etc/passwd", "a path out of the tree"},
		{"/", "/"}, {"nul\x00", "a NUL"}, {"..\x00", ".. and a NUL"}, {"\xff\xfe", "what is not UTF-8"},
		{"a\nb\x1b[2J", "control characters"}, {strings.Repeat("n", 3000), "3000 bytes"},
	} {
		l = append(l, wrong{server: "names an entry " + n.what, under: rd, typ: treaddir,
			do: entries(dirent(8, "good"), dirent(9, n.name), dirent(10, "fine")), want: rightBytes})
	}
	return l
}
