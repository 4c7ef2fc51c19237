package legacy9p_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"9fans.net/go/plan9"
	"9fans.net/go/plan9/client"
)

// patience is how long a reply may take; it only matters when the test fails.
const patience = time.Minute

// peer speaks 9P by hand.
type peer struct {
	t testing.TB
	c net.Conn
}

func dial(t testing.TB, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &peer{t, c}
}

// attached is a peer whose fid 0 is the root, on plain 9P2000.
func attached(t testing.TB, addr string, msize uint32) *peer {
	t.Helper()
	p := dial(t, addr)
	p.ok(&plan9.Fcall{Type: plan9.Tversion, Tag: plan9.NOTAG, Msize: msize, Version: "9P2000"})
	p.ok(&plan9.Fcall{Type: plan9.Tattach, Afid: plan9.NOFID, Uname: "glenda"})
	return p
}

func (p *peer) send(f *plan9.Fcall) {
	p.t.Helper()
	if err := plan9.WriteFcall(p.c, f); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) receive() *plan9.Fcall {
	p.t.Helper()
	f, err := plan9.ReadFcall(p.c)
	if err != nil {
		p.t.Fatal(err)
	}
	return f
}

func (p *peer) rpc(f *plan9.Fcall) *plan9.Fcall {
	p.t.Helper()
	p.send(f)
	r := p.receive()
	if r.Tag != f.Tag || r.Type != f.Type+1 && r.Type != plan9.Rerror {
		p.t.Fatalf("%v was answered with %v", f, r)
	}
	return r
}

func (p *peer) ok(f *plan9.Fcall) *plan9.Fcall {
	p.t.Helper()
	r := p.rpc(f)
	if r.Type == plan9.Rerror {
		p.t.Fatalf("%v: %s", f, r.Ename)
	}
	return r
}

// refused wants an Rerror with these words.
func (p *peer) refused(f *plan9.Fcall, ename string) {
	p.t.Helper()
	if r := p.rpc(f); r.Type != plan9.Rerror || r.Ename != ename {
		p.t.Errorf("%v: %v, want %q", f, r, ename)
	}
}

// walk walks fid 0 to names as newfid.
func (p *peer) walk(newfid uint32, names ...string) *plan9.Fcall {
	p.t.Helper()
	r := p.ok(&plan9.Fcall{Type: plan9.Twalk, Newfid: newfid, Wname: names})
	if len(r.Wqid) != len(names) {
		p.t.Fatalf("walk to %q: %v", names, r)
	}
	return r
}

// open walks newfid to names and opens it.
func (p *peer) open(newfid uint32, mode uint8, names ...string) *plan9.Fcall {
	p.t.Helper()
	p.walk(newfid, names...)
	return p.ok(&plan9.Fcall{Type: plan9.Topen, Fid: newfid, Mode: mode})
}

func (p *peer) stat(fid uint32) *plan9.Dir {
	p.t.Helper()
	d, err := plan9.UnmarshalDir(p.ok(&plan9.Fcall{Type: plan9.Tstat, Fid: fid}).Stat)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// wstat is a Twstat that touches what change sets.
func wstat(t testing.TB, fid uint32, change func(*plan9.Dir)) *plan9.Fcall {
	t.Helper()
	var d plan9.Dir
	d.Null()
	change(&d)
	b, err := d.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return &plan9.Fcall{Type: plan9.Twstat, Fid: fid, Stat: b}
}

func tclunk(fid uint32) *plan9.Fcall { return &plan9.Fcall{Type: plan9.Tclunk, Fid: fid} }

func tread(fid uint32, offset uint64, count uint32) *plan9.Fcall {
	return &plan9.Fcall{Type: plan9.Tread, Fid: fid, Offset: offset, Count: count}
}

func twrite(fid uint32, offset uint64, data string) *plan9.Fcall {
	return &plan9.Fcall{Type: plan9.Twrite, Fid: fid, Offset: offset, Data: []byte(data)}
}

// fsys attaches with 9fans' client.
func fsys(t testing.TB, addr string) *client.Fsys {
	t.Helper()
	c, err := client.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	f, err := c.Attach(nil, "glenda", "")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// put makes a file in dir; the parts of its path, then its text.
func put(t testing.TB, dir, name, text string) {
	t.Helper()
	check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func text(t testing.TB, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	check(t, err)
	return string(b)
}
