package legacy9p

import (
	"strconv"
	"strings"
	"sync"

	"9fans.net/go/plan9"
)

// smuggle is the room, bytes, for what plain messages carry between this file and the verbs: a path and a link's target, at most.
const smuggle = 16 << 10

// dialectU translates between 9P2000.u on the wire and the plain 9P2000 that srv9p speaks, after the draft "9P2000.u: Unix
// extensions to 9P". What plain messages have no place for travels in a string of theirs, behind a NUL, which the
// strings on the wire must not have:
//
//	Tcreate  name NUL extension (of a hard link: the path of the file)
//	Twstat   uid NUL n_uid NUL n_gid NUL extension
//	Rstat    muid NUL n_uid NUL n_gid NUL extension NUL path
//
// Tattach and Tauth lose their n_uname, as users do not count here. Directories are read in the right form already (dir.go).
type dialectU struct {
	msize uint32
	link  *hardLink // for the reader only

	mu      sync.Mutex // guards waiting
	waiting *hardLink
}

// hardLink is a Tcreate that names a fid by its number. Srv9p does not tell which fid has which number; so a Tstat of that fid goes
// first, with the tag of the Tcreate, and no message is read until it has been answered. Nobody else sees it.
type hardLink struct {
	create *plan9.Fcall
	path   chan string // of the file; "" when the client has been told an error
}

func newDialectU(msize uint32) *dialectU { return &dialectU{msize: msize} }

const maxString = 1<<16 - 1 // bytes

const malformed = plan9.ProtocolError("malformed 9P2000.u message")

// request translates a T-message.
func (d *dialectU) request(m []byte) ([]byte, error) {
	switch m[4] {
	case plan9.Tauth, plan9.Tattach:
		if len(m) < headerSize+4 {
			return nil, malformed
		}
		m = m[:len(m)-4]
		le.PutUint32(m, uint32(len(m)))
	case plan9.Tread:
		if at := headerSize + 4 + 8; len(m) == at+4 { // srv9p thinks of a larger msize
			le.PutUint32(m[at:], min(le.Uint32(m[at:]), d.msize-ioHeader))
		}
	case plan9.Tcreate:
		return d.createRequest(m)
	case plan9.Twstat:
		return wstatRequest(m)
	}
	return m, nil
}

func (d *dialectU) createRequest(m []byte) ([]byte, error) {
	r := reader{b: m[headerSize:]}
	f := &plan9.Fcall{Type: plan9.Tcreate, Tag: le.Uint16(m[5:])}
	f.Fid, f.Name, f.Perm, f.Mode = r.u32(), r.str(), plan9.Perm(r.u32()), r.u8()
	extension := r.str()
	if r.failed || len(r.b) > 0 || strings.Contains(f.Name+extension, "\x00") {
		return nil, malformed
	}
	if f.Perm&dmLink == 0 {
		f.Name += "\x00" + extension
		return request(f, f.Name)
	}
	fid, err := strconv.ParseUint(strings.TrimSpace(extension), 10, 32)
	if err != nil {
		fid = plan9.NOFID // "unknown fid"
	}
	d.link = &hardLink{create: f, path: make(chan string, 1)}
	d.mu.Lock()
	d.waiting = d.link
	d.mu.Unlock()
	return (&plan9.Fcall{Type: plan9.Tstat, Tag: f.Tag, Fid: uint32(fid)}).Bytes()
}

// resumed returns the Tcreate of a hard link, once its Tstat has been answered. It is nil if there is none.
func (d *dialectU) resumed() ([]byte, error) {
	l := d.link
	if l == nil {
		return nil, nil
	}
	d.link = nil
	path := <-l.path
	if path == "" {
		return nil, nil
	}
	l.create.Name += "\x00" + path
	return request(l.create, l.create.Name)
}

// request encodes f. Its longest string may have grown too long, of which the codec would panic.
func request(f *plan9.Fcall, longest string) ([]byte, error) {
	if len(longest) > maxString {
		return nil, malformed
	}
	return f.Bytes()
}

// answer gives the reply with this tag to the hard link that waits for it, if one does.
func (d *dialectU) answer(m []byte, path string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.waiting
	if l == nil || l.create.Tag != le.Uint16(m[5:]) {
		return false
	}
	d.waiting = nil
	l.path <- path
	return true
}

func wstatRequest(m []byte) ([]byte, error) {
	r := reader{b: m[headerSize:]}
	f := &plan9.Fcall{Type: plan9.Twstat, Tag: le.Uint16(m[5:]), Fid: r.u32()}
	if n := r.u16(); int(n) != len(r.b) {
		return nil, malformed
	}
	if n := r.u16(); int(n) != len(r.b) {
		return nil, malformed
	}
	var s plan9.Dir
	s.Type, s.Dev = r.u16(), r.u32()
	s.Qid.Type, s.Qid.Vers, s.Qid.Path = r.u8(), r.u32(), r.u64()
	s.Mode, s.Atime, s.Mtime, s.Length = plan9.Perm(r.u32()), r.u32(), r.u32(), r.u64()
	s.Name, s.Uid, s.Gid, s.Muid = r.str(), r.str(), r.str(), r.str()
	extension, uid, gid := r.str(), r.u32(), r.u32()
	r.u32() // n_muid: nobody may change it
	if r.failed || len(r.b) > 0 || strings.Contains(s.Name+s.Uid+s.Gid+extension, "\x00") {
		return nil, malformed
	}
	if extension != "" || uid != keep32 || gid != keep32 { // else it may be a null Twstat; if too long, srv9p ends the connection
		s.Uid += "\x00" + number(uid) + "\x00" + number(gid) + "\x00" + extension
	}
	var err error
	if f.Stat, err = s.Bytes(); err != nil {
		return nil, err
	}
	return f.Bytes()
}

// reply translates an R-message. It is nil if it is not for the client.
func (d *dialectU) reply(m []byte) []byte {
	switch m[4] {
	case plan9.Rerror:
		d.answer(m, "")
		ename := string(m[headerSize+2:])
		return finish(le.AppendUint32(m, uint32(errnoOf(ename))))
	case plan9.Rstat:
		s, err := plan9.UnmarshalDir(m[headerSize+2:])
		if err != nil {
			return m
		}
		e, path := unsmuggleStat(s)
		if d.answer(m, path) {
			return nil
		}
		plain, err := e.Dir.Bytes()
		if err != nil {
			return m
		}
		stat := appendStatU(plain, e)
		return finish(append(le.AppendUint16(m[:headerSize:headerSize], uint16(len(stat))), stat...))
	}
	return m
}

// finish sets a message's size.
func finish(m []byte) []byte {
	le.PutUint32(m, uint32(len(m)))
	return m
}

// appendStatU makes a plain stat one of 9P2000.u: extension[s] n_uid[4] n_gid[4] n_muid[4]. Muid is the owner here.
func appendStatU(plain []byte, e *entry) []byte {
	b := le.AppendUint16(plain, uint16(len(e.extension)))
	b = append(b, e.extension...)
	b = le.AppendUint32(b, e.uid)
	b = le.AppendUint32(b, e.gid)
	b = le.AppendUint32(b, e.uid)
	le.PutUint16(b, uint16(len(b)-2))
	return b
}

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// smuggleStat is the muid that carries e's other parts, and the path, to reply.
func (d *dialectU) smuggleStat(e *entry, path string) string {
	return strings.Join([]string{e.Muid, number(e.uid), number(e.gid), e.extension, path}, "\x00")
}

func unsmuggleStat(s *plan9.Dir) (e *entry, path string) {
	e = &entry{Dir: *s}
	if p := strings.SplitN(s.Muid, "\x00", 5); len(p) == 5 {
		e.Muid, e.uid, e.gid, e.extension, path = p[0], parse(p[1]), parse(p[2]), p[3], p[4]
	}
	return e, path
}

func unsmuggleCreate(s string) (name, extension string) {
	name, extension, _ = strings.Cut(s, "\x00")
	return name, extension
}

// unsmuggleOwner returns -1 for ids that stay.
func unsmuggleOwner(s string) (name string, uid, gid int, extension string) {
	if p := strings.SplitN(s, "\x00", 4); len(p) == 4 {
		return p[0], int(int32(parse(p[1]))), int(int32(parse(p[2]))), p[3]
	}
	return s, -1, -1, ""
}

func parse(s string) uint32 {
	n, _ := strconv.ParseUint(s, 10, 32) // number made it
	return uint32(n)
}
