package p9client

import (
	"encoding/binary"
	"maps"
	"slices"
	"syscall"
)

// A spot is where a fid was walked to, which Tremove and Twstat need.
type spot struct {
	dir  *node
	name string
}

// legacy tells whether the server speaks 9P2000 or 9P2000.u.
func (s *server) legacy() bool { return s.only == Plain || s.only == DotU }

// failLegacy is Rerror, with an errno in 9P2000.u.
func (p *peer) failLegacy(m msg, errno syscall.Errno) {
	b := str9(errno.Error())
	if p.s.only == DotU {
		b = append(b, le32(uint32(errno))...)
	}
	p.nc.Write(frame(rerror, m.tag, b...))
}

// obeyLegacy does what 9P2000 has in place of 9P2000.L's verbs, with the words of
// section 5 of the manual. It reports false for what is the same in both.
func (p *peer) obeyLegacy(m msg, n *node, d decoder) bool {
	fid := (&decoder{b: m.body}).u32()
	switch m.typ {
	case topen:
		if d.u8()&otrunc != 0 {
			n.data = nil
		}
		p.reply(m, bytesOf(qidBytes(n.qid), le32(0))...)
	case tcreate:
		p.createLegacy(m, fid, n, d)
	case tread:
		if n.qid.Type&QTDIR == 0 {
			return false
		}
		p.readDirLegacy(m, n, d)
	case tstat:
		b := n.stat(p.place[fid].name, p.s.only == DotU)
		p.reply(m, bytesOf([]byte{byte(len(b)), byte(len(b) >> 8)}, b)...)
	case twstat:
		p.wstatLegacy(m, fid, n, d)
	case tremove: // clunks the fid, whatever it answers
		at := p.place[fid]
		delete(p.fids, fid)
		if at.dir == nil || at.dir.kids[at.name] != n || len(n.kids) > 0 {
			p.fail(m, syscall.ENOTEMPTY)
			break
		}
		delete(at.dir.kids, at.name)
		p.reply(m)
	default:
		return m.typ < tversion && p.failed(m, syscall.EOPNOTSUPP) // of 9P2000.L
	}
	return true
}

func (p *peer) failed(m msg, errno syscall.Errno) bool { p.fail(m, errno); return true }

// stat is a directory entry of stat(5).
func (n *node) stat(name string, unix bool) []byte {
	if name == "" {
		name = "/"
	}
	mode := n.mode & 0777
	switch n.qid.Type {
	case QTDIR:
		mode |= dmDir
	case QTSYMLINK:
		mode |= dmSymlink
	}
	b := bytesOf([]byte{0, 0}, le32(0), qidBytes(n.qid), le32(mode|n.mode&^0777), le32(1), le32(2),
		binary.LittleEndian.AppendUint64(nil, uint64(len(n.data))), str9(name), str9("glenn"), str9("sys"), str9(""))
	if unix {
		b = bytesOf(b, str9(n.target), le32(1000), le32(100), le32(NoUID))
	}
	return bytesOf([]byte{byte(len(b)), byte(len(b) >> 8)}, b)
}

func (p *peer) createLegacy(m msg, fid uint32, n *node, d decoder) {
	name, perm := d.str(), d.u32()
	if n.kids[name] != nil {
		p.fail(m, syscall.EEXIST)
		return
	}
	k := p.s.newNode(uint8(perm >> 24))
	k.mode = perm & (0777 | dmNamedPipe)
	d.u8()
	if p.s.only == DotU {
		k.target = d.str()
	}
	if perm&dmLink != 0 {
		number := uint32(0)
		for _, c := range k.target {
			number = number*10 + uint32(c-'0')
		}
		k = p.fids[number]
	}
	n.kids[name] = k
	p.fids[fid], p.place[fid] = k, spot{n, name}
	p.reply(m, bytesOf(qidBytes(k.qid), le32(0))...)
}

// readDirLegacy answers with whole entries; the offset must be where one begins.
func (p *peer) readDirLegacy(m msg, n *node, d decoder) {
	off, count := int(d.u64()), int(d.u32())
	var b []byte
	at := 0
	for _, name := range slices.Sorted(maps.Keys(n.kids)) {
		e := n.kids[name].stat(name, p.s.only == DotU)
		if at += len(e); at <= off {
			continue
		}
		if len(b)+len(e) > count {
			break
		}
		b = append(b, e...)
	}
	p.reply(m, bytesOf(le32(uint32(len(b))), b)...)
}

func (p *peer) wstatLegacy(m msg, fid uint32, n *node, d decoder) {
	d.take(2 + 2 + 2 + 4 + 13)
	mode := d.u32()
	d.u64() // times
	length, name := d.u64(), d.str()
	at := p.place[fid]
	if name != "" && (at.dir == nil || at.dir.kids[name] != nil) {
		p.fail(m, syscall.EEXIST)
		return
	}
	if mode != ^uint32(0) {
		n.mode = mode &^ (dmDir | dmSymlink)
	}
	if length != ^uint64(0) {
		n.resize(length)
	}
	if name != "" {
		delete(at.dir.kids, at.name)
		at.dir.kids[name] = n
		p.place[fid] = spot{at.dir, name}
	}
	p.reply(m)
}

// resize cuts the data, or lengthens it with zeros.
func (n *node) resize(size uint64) {
	have := uint64(len(n.data))
	n.data = append(n.data[:min(size, have)], make([]byte, max(size, have)-have)...)
}
