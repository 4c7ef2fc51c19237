package p9client

import (
	"encoding/binary"
	"strings"
	"syscall"
	"time"
)

func allWrongs() []wrong {
	var l []wrong
	for _, part := range [][]wrong{frameWrongs(), errorWrongs(), bodyWrongs(), attrWrongs(), dirWrongs(), flowWrongs(), legacyWrongs(), legacyDirWrongs()} {
		l = append(l, part...)
	}
	return l
}

// send answers with a frame made of the request.
func send(make func(m msg) []byte) func(p *peer, m msg) {
	return func(p *peer, m msg) { p.nc.Write(make(m)) }
}

// answer answers with the right type and tag.
func answer(parts ...[]byte) func(p *peer, m msg) {
	body := bytesOf(parts...)
	return func(p *peer, m msg) { p.reply(m, body...) }
}

// answerAs answers with another type.
func answerAs(typ uint8, parts ...[]byte) func(p *peer, m msg) {
	body := bytesOf(parts...)
	return func(p *peer, m msg) { p.nc.Write(frame(typ, m.tag, body...)) }
}

func str9(s string) []byte { var e encoder; e.str(s); return e.b }

// frameWrongs are about size, type and tag.
func frameWrongs() []wrong {
	attr := attrBody(&node{data: []byte("hello")})
	sized := func(size uint32) func(p *peer, m msg) {
		return send(func(m msg) []byte { return withSize(frame(m.typ+1, m.tag), size) })
	}
	tagged := func(typ uint8, tag func(m msg) uint16) func(p *peer, m msg) {
		return send(func(m msg) []byte { return frame(typ, tag(m), attr...) })
	}
	lost := outcome{syscall.ECONNRESET, true, 2}
	const ga = "getattr"
	return []wrong{
		{server: "sends a frame of size 0", under: ga, typ: tgetattr, do: sized(0), want: newConnection},
		{server: "sends a frame of size 6", under: ga, typ: tgetattr, do: sized(6), want: newConnection},
		{server: "sends a frame of size 7 where fields must follow", under: ga, typ: tgetattr, do: sized(7), want: newConnection},
		{server: "sends a frame of msize+1", under: ga, typ: tgetattr, do: sized(hostileMsize + 1), want: newConnection},
		{server: "sends a frame of 2^31", under: ga, typ: tgetattr, do: sized(1 << 31), want: newConnection},
		{server: "sends a frame of 2^32-1", under: ga, typ: tgetattr, do: sized(1<<32 - 1), want: newConnection},
		{server: "cuts the connection in a frame's size", under: ga, typ: tgetattr, want: lost,
			do: func(p *peer, m msg) { p.nc.Write([]byte{160, 0}); p.nc.Close() }},
		{server: "cuts the connection in a frame's body", under: ga, typ: tgetattr, want: lost,
			do: func(p *peer, m msg) { p.nc.Write(frame(m.typ+1, m.tag, attr...)[:100]); p.nc.Close() }},
		{server: "says hello in HTTP", under: ga, typ: tgetattr, want: newConnection,
			do: func(p *peer, m msg) { p.nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }},
		{server: "answers with the tag of no request", under: ga, typ: tgetattr, want: newConnection,
			do: tagged(tgetattr+1, func(m msg) uint16 { return m.tag ^ 1 })},
		{server: "answers with a tag beyond those we use", under: ga, typ: tgetattr, want: newConnection,
			do: tagged(tgetattr+1, func(msg) uint16 { return maxCalls })},
		{server: "answers with NOTAG", under: ga, typ: tgetattr, want: newConnection,
			do: tagged(tgetattr+1, func(msg) uint16 { return noTag })},
		{server: "sends Rflush, but nothing was flushed", under: ga, typ: tgetattr, want: newConnection,
			do: send(func(m msg) []byte { return frame(tflush+1, m.tag|flushBit) })},
		{server: "sends Rflush of a tag that cannot be", under: ga, typ: tgetattr, want: newConnection,
			do: send(func(m msg) []byte { return frame(tflush+1, flushBit|maxCalls) })},
		{server: "answers with another type", under: ga, typ: tgetattr, do: answerAs(twalk+1, []byte{0, 0}), want: newConnection},
		{server: "sends the T-message back", under: ga, typ: tgetattr, want: newConnection,
			do: send(func(m msg) []byte { return frame(m.typ, m.tag, m.body...) })},
		{server: "answers with type 255", under: ga, typ: tgetattr, do: answerAs(255, attr), want: newConnection},
		{server: "answers with Rversion", under: ga, typ: tgetattr, want: newConnection,
			do: answerAs(tversion+1, le32(hostileMsize), str9(DotL))},
		{server: "answers an Rread's request with Rwrite", under: "read", typ: tread, do: answerAs(twrite+1, le32(5)), want: newConnection},
		{server: "asks us: sends a Tread of its own first", under: ga, typ: tgetattr, want: newConnection,
			do: func(p *peer, m msg) { p.nc.Write(frame(tread, 77, make([]byte, 16)...)); p.obey(m) }},
		{server: "sends the reply twice", under: ga, typ: tgetattr, want: outcome{0, false, 2},
			do: func(p *peer, m msg) { p.obey(m); p.obey(m) }},
		{server: "floods us with replies to nothing", under: ga, typ: tgetattr, want: newConnection, do: func(p *peer, m msg) {
			flood := bytesOf(frame(tread+1, 99), frame(tread+1, 99), frame(tread+1, 99))
			for range 64 {
				p.nc.Write(flood)
			}
		}},
		{server: "answers the watchdog 500 times unasked, then us", under: ga, typ: tgetattr, want: rightBytes, do: func(p *peer, m msg) {
			for range 500 {
				p.nc.Write(frame(tflush+1, probeTag))
			}
			p.obey(m)
		}},
	}
}

// errorWrongs are about error replies.
func errorWrongs() []wrong {
	lerror := func(n uint32) func(p *peer, m msg) { return answerAs(rlerror, le32(n)) }
	ename := func(s string) func(p *peer, m msg) { return answerAs(rerror, str9(s)) }
	const ga = "getattr"
	return []wrong{
		{server: "sends Rlerror 0, a failure that is none", under: ga, typ: tgetattr, do: lerror(0), want: refused(syscall.EIO)},
		{server: "sends Rlerror 5000", under: ga, typ: tgetattr, do: lerror(5000), want: refused(syscall.EIO)},
		{server: "sends Rlerror 2^32-1", under: ga, typ: tgetattr, do: lerror(1<<32 - 1), want: refused(syscall.EIO)},
		{server: "sends Rlerror 2^32-2, the kernel's -ENOENT", under: ga, typ: tgetattr, do: lerror(1<<32 - 2), want: refused(syscall.EIO)},
		{server: "sends Rlerror ERESTARTSYS, which is the kernel's own", under: ga, typ: tgetattr, do: lerror(512), want: refused(syscall.EIO)},
		{server: "sends Rlerror of 3 bytes", under: ga, typ: tgetattr, do: answerAs(rlerror, []byte{1, 0, 0}), want: newConnection},
		{server: "sends Rlerror without a body", under: ga, typ: tgetattr, do: answerAs(rlerror), want: newConnection},
		{server: "sends Rlerror of 8 bytes", under: ga, typ: tgetattr, do: answerAs(rlerror, le32(5), le32(5)), want: newConnection},
		{server: "sends Rerror with a bare errno, as ganesha does", under: ga, typ: tgetattr, do: answerAs(rerror, le32(13)), want: refused(syscall.EACCES)},
		{server: "sends Rerror with a text", under: ga, typ: tgetattr, do: ename("permission denied"), want: refused(syscall.EACCES)},
		{server: "sends Rerror with an empty text", under: ga, typ: tgetattr, do: ename(""), want: refused(syscall.EIO)},
		{server: "sends Rerror that is not UTF-8", under: ga, typ: tgetattr, do: ename("\xff\xfe\x80"), want: refused(syscall.EIO)},
		{server: "sends Rerror with a NUL in its text", under: ga, typ: tgetattr, do: ename("no\x00such file"), want: newConnection},
		{server: "sends Rerror with a text and an errno, as in 9P2000.u", under: ga, typ: tgetattr, do: answerAs(rerror, str9("nope"), le32(13)), want: refused(syscall.EACCES)},
		{server: "sends Rerror of 8000 bytes", under: ga, typ: tgetattr, do: ename(strings.Repeat("no ", 2666)), want: refused(syscall.EIO)},
		{server: "sends Rerror whose text ends before its length", under: ga, typ: tgetattr, do: answerAs(rerror, []byte{9, 0, 'x'}), want: newConnection},
		{server: "sends Rerror with bytes after its text", under: ga, typ: tgetattr, do: answerAs(rerror, str9("no such file"), []byte{0}), want: newConnection},
		{server: "answers a read with Rlerror EIO for ever", under: "read to the end", typ: tread, do: lerror(5), want: refused(syscall.EIO), ever: true},
		{server: "answers a write with Rlerror 0", under: "write", typ: twrite, do: lerror(0), want: refused(syscall.EIO)},
		{server: "answers an fsync with Rlerror 0", under: "fsync", typ: tfsync, do: lerror(0), want: refused(syscall.EIO)},
		{server: "lacks the verb, but has the older one", under: "unlink", typ: tunlinkat, do: lerror(38), want: rightBytes},
		{server: "lacks the verb, but has the older one", under: "rename", typ: trenameat, do: lerror(95), want: rightBytes},
		{server: "lacks the verb, and the older one too", under: "unlink", typ: tunlinkat, do: lacks(tremove), want: refused(syscall.ENOSYS)},
		{server: "lacks the verb, and the older one too", under: "rename", typ: trenameat, do: lacks(trename), want: refused(syscall.ENOSYS)},
	}
}

// lacks refuses a request, and then those of another type.
func lacks(typ uint8) func(p *peer, m msg) {
	return func(p *peer, m msg) {
		p.fail(m, syscall.ENOSYS)
		p.s.hook = func(p *peer, m msg) bool {
			if m.typ == typ {
				if typ == tremove { // clunks the fid all the same
					delete(p.fids, (&decoder{b: m.body}).u32())
				}
				p.fail(m, syscall.ENOSYS)
			}
			return m.typ == typ
		}
	}
}

// flowWrongs are about when, how often, and how slowly.
func flowWrongs() []wrong {
	silent := outcome{syscall.ETIMEDOUT, true, 2}
	watched := Options{RequestTimeout: 100 * time.Millisecond}
	const ga, gives = "getattr", "getattr by a caller who gives up"
	interrupted := refused(syscall.EINTR)
	return []wrong{
		{server: "never answers, nor the watchdog", under: ga, typ: tgetattr, do: mute, want: silent, o: watched},
		{server: "never answers and flushes at once", under: gives, typ: tgetattr, do: func(*peer, msg) {}, want: interrupted},
		{server: "never reads its socket again", under: "write of more than a socket holds", typ: twrite, want: silent,
			o: Options{Msize: 8 << 20, RequestTimeout: watched.RequestTimeout}, do: func(p *peer, m msg) { p.deafen() }},
		{server: "sends a reply byte by byte", under: "read", typ: tread, want: rightBytes, do: func(p *peer, m msg) {
			for _, b := range frame(tread+1, m.tag, 5, 0, 0, 0, 'h', 'e', 'l', 'l', 'o') {
				p.nc.Write([]byte{b})
			}
		}},
		{server: "stops in the middle of a reply to a caller who gives up", under: "read by a caller who gives up", typ: tread,
			want: outcome{syscall.EINTR, false, 2}, o: Options{RequestTimeout: 1500 * time.Millisecond},
			do: func(p *peer, m msg) {
				p.nc.Write(frame(tread+1, m.tag, 5, 0, 0, 0, 'h', 'e', 'l', 'l', 'o')[:13])
				mute(p, m)
			}},
		{server: "closes at a request for ever", under: ga, typ: tgetattr, want: outcome{syscall.ECONNRESET, true, 2}, ever: true,
			do: func(p *peer, m msg) { p.nc.Close() }},
		{server: "sends the reply after its Rflush", under: gives, typ: tgetattr, want: outcome{syscall.EINTR, false, 2},
			do: func(p *peer, m msg) { p.late(m, func() { p.obey(m) }) }},
		{server: "sends the reply of another type after its Rflush", under: gives, typ: tgetattr, want: outcome{syscall.EINTR, false, 2},
			do: func(p *peer, m msg) { p.late(m, func() { p.nc.Write(frame(twalk+1, m.tag)) }) }},
		{server: "sends two Rflush for one Tflush", under: gives, typ: tgetattr, want: outcome{syscall.EINTR, false, 2},
			do: func(p *peer, m msg) { p.late(m, func() { p.nc.Write(frame(tflush+1, m.tag|flushBit)) }) }},
		{server: "sends Rflush before the Tflush", under: ga, typ: tgetattr, want: newConnection,
			do: func(p *peer, m msg) { p.nc.Write(frame(tflush+1, m.tag|flushBit)); p.obey(m) }},
		{server: "answers a Tflush with another type", under: gives, typ: tgetattr, want: outcome{syscall.EPROTO, true, 2},
			do: func(p *peer, m msg) { p.atFlush(func(f msg) { p.nc.Write(frame(tgetattr+1, f.tag)) }) }},
		{server: "answers a Tflush with an error and then the request", under: gives, typ: tgetattr, want: rightBytes,
			do: func(p *peer, m msg) { p.atFlush(func(f msg) { p.fail(f, syscall.EIO); p.obey(m) }) }},
		{server: "answers after the Tflush, before its Rflush", under: gives, typ: tgetattr, want: rightBytes,
			do: func(p *peer, m msg) { p.atFlush(func(f msg) { p.obey(m); p.obey(f) }) }},
	}
}

// mute makes the server answer nothing on this connection.
func mute(p *peer, _ msg) {
	p.s.hook = func(q *peer, _ msg) bool { return q == p }
}

// deafen makes the server read nothing more on this connection, until it is cut
// by the client.
func (p *peer) deafen() { p.stuck = make(chan struct{}) }

// late answers the Tflush of m, and does something after that.
func (p *peer) late(m msg, f func()) {
	p.atFlush(func(fl msg) { p.obey(fl); f() })
}

// atFlush makes the server do something at the next Tflush, instead of Rflush.
func (p *peer) atFlush(f func(m msg)) {
	done := false
	p.s.hook = func(q *peer, m msg) bool {
		if q != p || m.typ != tflush || done {
			return false
		}
		done = true
		f(m)
		return true
	}
}

// u64At overwrites a number of eight bytes.
func u64At(b []byte, at int, v uint64) []byte {
	binary.LittleEndian.PutUint64(b[at:], v)
	return b
}
