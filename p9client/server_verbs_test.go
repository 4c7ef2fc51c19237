package p9client

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"syscall"
)

// agree answers a Tversion.
func (p *peer) agree(m msg) {
	d := decoder{b: m.body}
	msize, offer := d.u32(), d.str()
	if answer := p.s.only; answer != offer && (answer != "" || !strings.HasPrefix(offer, DotL)) {
		offer = "unknown"
	}
	p.reply(m, bytesOf(le32(msize), str9(offer))...)
}

// obeyRest does what obey does not: the verbs that few tests need.
func (p *peer) obeyRest(m msg, n *node, d decoder) {
	switch m.typ {
	case tsetattr:
		p.setAttr(m, n, d)
	case treaddir:
		off, count := d.u64(), d.u32()
		p.reply(m, n.entries(off, int(count))...)
	case tsymlink:
		name, target := d.str(), d.str()
		k := p.s.newNode(QTSYMLINK)
		k.target = target
		p.make(m, n, name, k)
	case tmknod:
		name, mode := d.str(), d.u32()
		k := p.s.newNode(0)
		k.mode = mode
		p.make(m, n, name, k)
	case treadlink:
		if n.qid.Type != QTSYMLINK {
			p.fail(m, syscall.EINVAL)
			return
		}
		p.reply(m, str9(n.target)...)
	case tstatfs:
		var e encoder
		e.u32(0x01021997)
		e.u32(4096)
		for i := range uint64(6) {
			e.u64(1000 + i)
		}
		e.u32(255)
		p.reply(m, e.b...)
	default:
		p.fail(m, syscall.ENOSYS)
	}
}

// make puts k below n.
func (p *peer) make(m msg, n *node, name string, k *node) {
	if n.kids[name] != nil {
		p.fail(m, syscall.EEXIST)
		return
	}
	n.kids[name] = k
	p.reply(m, qidBytes(k.qid)...)
}

func (p *peer) setAttr(m msg, n *node, d decoder) {
	valid, mode := d.u32(), d.u32()
	d.u64() // uid, gid
	size := d.u64()
	if valid&SetSize != 0 && size > 1<<20 {
		p.fail(m, syscall.EFBIG)
		return
	}
	if valid&SetMode != 0 {
		n.mode = mode
	}
	if valid&SetSize != 0 {
		n.resize(size)
	}
	p.reply(m)
}

// entries is the body of an Rreaddir. A cookie is the place in the sorted names.
func (n *node) entries(off uint64, count int) []byte {
	b := le32(0)
	for i, name := range slices.Sorted(maps.Keys(n.kids)) {
		if uint64(i) < off {
			continue
		}
		k := n.kids[name]
		e := bytesOf(qidBytes(k.qid), binary.LittleEndian.AppendUint64(nil, uint64(i+1)), []byte{0}, str9(name))
		if len(b)+len(e) > count+4 {
			break
		}
		b = append(b, e...)
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-4))
	return b
}
