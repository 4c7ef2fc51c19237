package p9client

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A server is a little 9P2000.L server in memory. hook sees each request first.
type server struct {
	t    testing.TB
	path string // of the socket
	l    net.Listener
	wg   sync.WaitGroup

	mu    sync.Mutex // guards what follows
	hook  func(p *peer, m msg) (done bool)
	root  *node
	paths uint64
	peers map[*peer]bool
	seen  []msg // every request, of all connections
	quick bool  // requests are counted but not kept
	sums  [256]int
	dials int
	most  int // fids that one connection had at a time
}

type node struct {
	qid  Qid
	data []byte
	kids map[string]*node
}

// A peer is a connection of the server.
type peer struct {
	s    *server
	nc   net.Conn
	fids map[uint32]*node
}

func startServer(t testing.TB) *server {
	s := &server{t: t, path: filepath.Join(t.TempDir(), "9p"), peers: map[*peer]bool{}}
	s.root = s.newNode(QTDIR)
	s.listen()
	t.Cleanup(func() { s.stop(); s.wg.Wait() })
	return s
}

func (s *server) listen() {
	l, err := net.Listen("unix", s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.l = l
	s.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			p := &peer{s: s, nc: nc, fids: map[uint32]*node{}}
			s.mu.Lock()
			s.peers[p] = true
			s.dials++
			s.mu.Unlock()
			s.wg.Go(p.serve)
		}
	})
}

// cut ends every connection; stop also takes no more.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.peers {
		p.nc.Close()
	}
}

func (s *server) stop() { s.l.Close(); s.cut() }

func (s *server) newNode(typ uint8) *node {
	s.paths++
	return &node{qid: Qid{Type: typ, Path: s.paths}, kids: map[string]*node{}}
}

// add makes a file below the root.
func (s *server) add(name string, typ uint8, data string) *node {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.newNode(typ)
	n.data = []byte(data)
	s.root.kids[name] = n
	return n
}

func (s *server) setHook(h func(p *peer, m msg) bool) {
	s.mu.Lock()
	s.hook = h
	s.mu.Unlock()
}

// count returns how many requests of a type came.
func (s *server) count(typ uint8) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sums[typ]
}

// once makes the server treat the first request of a type in another way.
func (s *server) once(typ uint8, f func(p *peer, m msg)) {
	done := false
	s.setHook(func(p *peer, m msg) bool {
		if m.typ != typ || done {
			return false
		}
		done = true
		f(p, m)
		return true
	})
}

// dial makes a session; o's short intervals are filled in.
func (s *server) dial(o Options) *Session {
	s.t.Helper()
	o.BackoffMin = time.Millisecond
	if o.BackoffMax == 0 {
		o.BackoffMax = 10 * time.Millisecond
	}
	x, err := Dial(s.t.Context(), Address{"unix", s.path}, o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { x.Close() })
	return x
}

func (p *peer) serve() {
	defer func() {
		p.nc.Close()
		p.s.mu.Lock()
		delete(p.s.peers, p)
		p.s.mu.Unlock()
	}()
	r := bufio.NewReader(p.nc)
	for {
		m, err := readMsg(r)
		if err != nil {
			return
		}
		p.s.mu.Lock()
		if p.s.sums[m.typ]++; !p.s.quick {
			p.s.seen = append(p.s.seen, m)
		}
		if p.s.hook == nil || !p.s.hook(p, m) {
			p.obey(m)
		}
		p.s.most = max(p.s.most, len(p.fids))
		p.s.mu.Unlock()
	}
}

// find returns where k is below n.
func (n *node) find(k *node) (dir *node, name string) {
	for name, x := range n.kids {
		if x == k {
			return n, name
		}
		if dir, name := x.find(k); dir != nil {
			return dir, name
		}
	}
	return nil, ""
}

func (p *peer) reply(m msg, body ...byte) { p.nc.Write(frame(m.typ+1, m.tag, body...)) }

func (p *peer) fail(m msg, errno syscall.Errno) {
	p.nc.Write(frame(rlerror, m.tag, le32(uint32(errno))...))
}

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

func qidBytes(q Qid) []byte {
	b := append([]byte{q.Type}, le32(q.Version)...)
	return binary.LittleEndian.AppendUint64(b, q.Path)
}

func attrBody(n *node) []byte {
	var e encoder
	e.u64(0x7ff)
	e.b = append(e.b, qidBytes(n.qid)...)
	e.b = append(e.b, make([]byte, 3*4+2*8)...)
	e.u64(uint64(len(n.data)))
	e.b = append(e.b, make([]byte, 12*8)...)
	return e.b
}

// obey does what a server does, with the words of the manual.
func (p *peer) obey(m msg) {
	d := decoder{b: m.body}
	fid := d.u32()
	if m.typ == tversion {
		p.reply(m, m.body...)
		return
	}
	if m.typ == tattach {
		p.fids[fid] = p.s.root
		p.reply(m, qidBytes(p.s.root.qid)...)
		return
	}
	if m.typ == tflush {
		p.reply(m)
		return
	}
	n := p.fids[fid]
	if n == nil {
		p.s.t.Errorf("request of type %d on fid %d, which is not there", m.typ, fid)
		p.fail(m, syscall.EBADF)
		return
	}
	made := func(name string, k *node) {
		if n.kids[name] != nil {
			p.fail(m, syscall.EEXIST)
			return
		}
		n.kids[name] = k
		p.reply(m, qidBytes(k.qid)...)
	}
	switch m.typ {
	case twalk:
		newfid, names := d.u32(), int(d.u16())
		var e encoder
		for range names {
			if n = n.kids[d.str()]; n == nil {
				p.fail(m, syscall.ENOENT)
				return
			}
			e.b = append(e.b, qidBytes(n.qid)...)
		}
		if p.fids[newfid] != nil && newfid != fid {
			p.s.t.Errorf("fid %d is used twice", newfid)
		}
		p.fids[newfid] = n
		p.reply(m, append([]byte{byte(names), 0}, e.b...)...)
	case tclunk:
		delete(p.fids, fid)
		p.reply(m)
	case tlopen:
		p.reply(m, append(qidBytes(n.qid), 0, 0, 0, 0)...)
	case tlcreate:
		name := d.str()
		if flags := d.u32(); n.kids[name] != nil && flags&syscall.O_EXCL != 0 {
			p.fail(m, syscall.EEXIST)
			return
		}
		if n.kids[name] == nil {
			n.kids[name] = p.s.newNode(0)
		}
		p.fids[fid] = n.kids[name]
		p.reply(m, append(qidBytes(n.kids[name].qid), 0, 0, 0, 0)...)
	case tread:
		off, count := d.u64(), uint64(d.u32())
		off = min(off, uint64(len(n.data)))
		b := n.data[off:min(off+count, uint64(len(n.data)))]
		p.reply(m, append(le32(uint32(len(b))), b...)...)
	case twrite:
		off, count := d.u64(), d.u32()
		if need := int(off) + int(count); need > len(n.data) {
			n.data = append(n.data, make([]byte, need-len(n.data))...)
		}
		copy(n.data[off:], d.b)
		p.reply(m, le32(count)...)
	case tgetattr:
		p.reply(m, attrBody(n)...)
	case tmkdir:
		made(d.str(), p.s.newNode(QTDIR))
	case tsymlink:
		made(d.str(), p.s.newNode(QTSYMLINK))
	case tmknod:
		made(d.str(), p.s.newNode(0))
	case tremove:
		delete(p.fids, fid)
		dir, name := p.s.root.find(n)
		if dir == nil {
			p.fail(m, syscall.ENOENT)
			return
		}
		delete(dir.kids, name)
		p.reply(m)
	case trename:
		to, newName := p.fids[d.u32()], d.str()
		dir, name := p.s.root.find(n)
		if dir == nil {
			p.fail(m, syscall.ENOENT)
			return
		}
		delete(dir.kids, name)
		to.kids[newName] = n
		p.reply(m)
	case tlink:
		target := p.fids[d.u32()]
		name := d.str()
		if n.kids[name] != nil {
			p.fail(m, syscall.EEXIST)
			return
		}
		n.kids[name] = target
		p.reply(m)
	case tunlinkat:
		name := d.str()
		if n.kids[name] == nil {
			p.fail(m, syscall.ENOENT)
			return
		}
		delete(n.kids, name)
		p.reply(m)
	case trenameat:
		name, to, newName := d.str(), p.fids[d.u32()], d.str()
		if n.kids[name] == nil {
			p.fail(m, syscall.ENOENT)
			return
		}
		to.kids[newName] = n.kids[name]
		delete(n.kids, name)
		p.reply(m)
	case tfsync:
		p.reply(m)
	default:
		p.fail(m, syscall.ENOSYS)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err error, errno syscall.Errno) {
	t.Helper()
	if !errors.Is(err, errno) {
		t.Fatalf("error is %v, want %v", err, errno)
	}
}

// open walks to a file and opens it.
func open(t *testing.T, x *Session, flags uint32, names ...string) *Fid {
	t.Helper()
	f, err := x.Root().Walk(t.Context(), names...)
	check(t, err)
	check(t, f.Open(t.Context(), flags))
	t.Cleanup(f.Clunk)
	return f
}

func disconnected(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Disconnected()
}

// deaf is a connection that nothing is sent on.
type deaf struct{ net.Conn }

func (deaf) Write(p []byte) (int, error) { return len(p), nil }
