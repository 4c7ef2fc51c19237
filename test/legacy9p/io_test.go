package legacy9p_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"9fans.net/go/plan9"
	"9fans.net/go/plan9/client"
	"golang.org/x/sys/unix"

	"p9mapfs/test/legacy9p"
)

// random makes a file of n bytes.
func random(t testing.TB, path string, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	check(t, os.WriteFile(path, b, 0o644))
	return b
}

func Test64TreadsInFlightGiveTheRightBytes(t *testing.T) {
	for _, o := range []legacy9p.Options{{}, {Msize: 131096}, {U: true}, {PathBased: true}} {
		dir, addr := start(t, o)
		want := random(t, filepath.Join(dir, "f"), 4<<20+13)
		msize := max(o.Msize, legacy9p.DefaultMsize)
		p := attached(t, addr, msize)
		p.open(1, plan9.OREAD, "f")
		got := make([]byte, len(want))
		p.pipelined(1, len(want), int(msize-24), 64, func(off int, b []byte) { copy(got[off:], b) })
		if !bytes.Equal(got, want) {
			t.Errorf("%+v: wrong bytes", o)
		}
	}
}

// pipelined reads size bytes of fid by Treads of count bytes, window of them in flight.
func (p *peer) pipelined(fid uint32, size, count, window int, take func(off int, b []byte)) {
	p.t.Helper()
	offs := make([]int, window)
	next := 0
	ask := func(tag int) bool {
		if next >= size {
			return false
		}
		f := tread(fid, uint64(next), uint32(count))
		f.Tag, offs[tag] = uint16(tag), next
		next += count
		p.send(f)
		return true
	}
	flying := 0
	for tag := range window {
		if ask(tag) {
			flying++
		}
	}
	for ; flying > 0; flying-- {
		r := p.receive()
		off := offs[r.Tag]
		if r.Type != plan9.Rread || len(r.Data) != min(count, size-off) {
			p.t.Fatalf("Tread at %d: %v", off, r)
		}
		take(off, r.Data)
		if ask(int(r.Tag)) {
			flying++
		}
	}
}

func Test64ClientsWriteAtOnce(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{Msize: 131096})
	want := random(t, filepath.Join(t.TempDir(), "model"), 64*20000)
	put(t, dir, "f", "")
	shared := fsys(t, addr)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			fs := shared
			if i%8 == 0 {
				c, err := client.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				if fs, err = c.Attach(nil, "glenda", ""); err != nil {
					t.Error(err)
					return
				}
			}
			f, err := fs.Open("f", plan9.OWRITE)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if n, err := f.WriteAt(want[i*20000:(i+1)*20000], int64(i*20000)); n != 20000 || err != nil {
				t.Error(n, err)
			}
		})
	}
	all.Wait()
	if text(t, dir, "f") != string(want) {
		t.Error("wrong bytes")
	}
}

// blocked has a Tread with tag 1 that waits for a FIFO's other end, which it returns.
func blocked(t *testing.T, o legacy9p.Options) (p *peer, writer *os.File) {
	t.Helper()
	dir, addr := start(t, o)
	path := filepath.Join(dir, "fifo")
	check(t, unix.Mkfifo(path, 0o644))
	writer, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	t.Cleanup(func() { writer.Close() })
	p = attached(t, addr, 8216)
	p.open(1, plan9.OREAD, "fifo")
	r := tread(1, 0, 100)
	r.Tag = 1
	p.send(r)
	return p, writer
}

func TestTflushEndsAReadThatWaits(t *testing.T) {
	p, writer := blocked(t, legacy9p.Options{})
	second := tread(1, 0, 100)
	second.Tag = 2
	p.send(second)
	p.stat(0) // is answered although two Treads wait
	for old := uint16(2); old >= 1; old-- {
		p.send(&plan9.Fcall{Type: plan9.Tflush, Tag: 9, Oldtag: old})
		if r := p.receive(); r.Type != plan9.Rerror || r.Tag != old || r.Ename != "interrupted" {
			t.Errorf("the flushed Tread: %v", r)
		}
		if r := p.receive(); r.Type != plan9.Rflush || r.Tag != 9 {
			t.Errorf("Tflush: %v", r)
		}
	}
	third := tread(1, 0, 100)
	third.Tag = 1 // the tag is free
	p.send(third)
	_, err := writer.WriteString("text")
	check(t, err)
	if r := p.receive(); string(r.Data) != "text" {
		t.Errorf("after Tflush: %v", r)
	}
	p.ok(&plan9.Fcall{Type: plan9.Tflush, Oldtag: 77}) // there is no such request
}

func TestWaitingReadDoesNotOutliveItsConnection(t *testing.T) {
	p, writer := blocked(t, legacy9p.Options{})
	p.c.Close() // the server's end is waited for when the test ends, and goleak looks
	_, err := writer.WriteString("x")
	check(t, err)
}

func TestServeReturnsWhenItsConnectionsHaveEnded(t *testing.T) {
	dir := t.TempDir()
	s, err := legacy9p.New(dir, legacy9p.Options{})
	check(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	p := attached(t, l.Addr().String(), 8216)
	for fid := range uint32(20) {
		name := fmt.Sprint("fifo", fid)
		check(t, unix.Mkfifo(filepath.Join(dir, name), 0o644))
		writer, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
		check(t, err)
		defer writer.Close()
		p.open(fid+1, plan9.OREAD|plan9.ORCLOSE, name)
		r := tread(fid+1, 0, 100)
		r.Tag = uint16(fid + 1)
		p.send(r)
	}
	p.stat(0)
	cancel()
	check(t, <-ended)
	if l, err := os.ReadDir(dir); len(l) > 0 || err != nil {
		t.Error("files of ORCLOSE are still there:", l, err)
	}
	check(t, s.Close())
}

func TestVersionInterruptsAReadThatWaits(t *testing.T) {
	p, _ := blocked(t, legacy9p.Options{})
	p.stat(0) // the Tread is being served
	r := p.rpc(&plan9.Fcall{Type: plan9.Tversion, Tag: plan9.NOTAG, Msize: 8216, Version: "9P2000"})
	if r.Type != plan9.Rversion {
		t.Error(r)
	}
}
