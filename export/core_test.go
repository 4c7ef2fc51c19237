package export

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"github.com/hugelgupf/p9/linux"
)

// TestEndsOfConnectionsDoNotRace: what was served in the last moment leaves nobody
// to enter the core's WaitGroup while Handle waits for it. Under -race one such
// entry is enough to be seen; without, it takes a panic.
func TestEndsOfConnectionsDoNotRace(t *testing.T) {
	s, err := New(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	said := frame(tversion, noTag, appendString(u32s(8192), "9P2000.L"))
	var says [][]byte
	for tag := range uint16(9) {
		says = append(says, said)
		said = append(said[:len(said):len(said)], frame(tstatfs, tag, u32s(7))...)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 400 {
				if err := s.ServeConn(context.Background(), &script{r: bytes.NewReader(says[i%len(says)])}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestGoroutinesOfTheCoreServeOneRequest: after it each ends, so that who has been
// told the end of input is the last. What stays is the reader, and the first.
func TestGoroutinesOfTheCoreServeOneRequest(t *testing.T) {
	s, sock := serve(t, t.TempDir(), Options{})
	p := attached(t, sock, 8192)
	const n = 60
	s.root.mu.Lock() // holds every Tgetattr
	for tag := range uint16(n) {
		p.send(tgetattr, tag, append(u32s(0), make([]byte, 8)...))
	}
	waitFor(t, "the requests to be served", func() bool { return coreGoroutines(t) == n+2 })
	s.root.mu.Unlock()
	for range n {
		if h, _ := p.recv(); h.typ != tgetattr+1 {
			t.Errorf("reply %+v", h)
		}
	}
	waitFor(t, "the goroutines to end", func() bool { return coreGoroutines(t) == 2 })
}

// coreGoroutines counts the goroutines of all cores.
func coreGoroutines(t *testing.T) int {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 2); err != nil {
		t.Fatal(err)
	}
	n := 0
	for stack := range bytes.SplitSeq(b.Bytes(), []byte("\n\n")) {
		if bytes.Contains(stack, []byte("p9.(*connState).handleRequests(")) {
			n++
		}
	}
	return n
}

// TestSessionCutAnywhereEnds: in a header, a body or a Twrite's data; what came
// whole before is served.
func TestSessionCutAnywhereEnds(t *testing.T) {
	s, err := New(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	session := join(frame(tversion, noTag, appendString(u32s(8192), "9P2000.L")), frame(tattach, 1, attachBody(0, "", noFid)),
		frame(twalk, 2, walkBody(0, 1, "none")), frame(twrite, 3, append(append(le.AppendUint64(u32s(0), 0), u32s(30)...), make([]byte, 30)...)),
		frame(tfsync, 4, u32s(0, 0)), frame(tflush, 5, []byte{4, 0}))
	for n := range len(session) + 1 {
		err := s.ServeConn(t.Context(), &script{r: bytes.NewReader(session[:n])})
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

// TestStuckRequestDoesNotKeepItsConnection: it is left behind, ServeConn and Close
// come back, and when the host lets go of it nothing breaks.
func TestStuckRequestDoesNotKeepItsConnection(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "f"), "x")
	s, err := New(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.linger = 50 * time.Millisecond
	ours, theirs := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- s.ServeConn(context.Background(), theirs) }()
	ours.SetDeadline(time.Now().Add(patience))
	p := &peer{t, ours}
	p.call(tversion, noTag, appendString(u32s(8192), "9P2000.L"))
	p.ok(tattach, attachBody(0, "", noFid))
	p.ok(twalk, walkBody(0, 1, "f"))
	p.fails(tread, append(le.AppendUint64(u32s(1), 0), u32s(1)...), linux.EBADF) // not open
	s.paths.mu.Lock()
	f := s.paths.order.Front().Value.(*node)
	s.paths.mu.Unlock()

	f.mu.Lock() // stands for a disk that does not answer
	p.send(tgetattr, 1, append(u32s(1), make([]byte, 8)...))
	waitFor(t, "the request to be served", func() bool { return coreGoroutines(t) == 3 })
	ours.Close()
	if err := <-served; !errors.Is(err, errLinger) {
		t.Errorf("ServeConn: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := s.users.Load(); n != 1 {
		t.Errorf("%d cores left behind", n)
	}
	f.mu.Unlock()
	waitFor(t, "the last core to end", func() bool { return s.users.Load() == 0 && coreGoroutines(t) == 0 })
	if n := fdsIn(t, dir); n != 0 {
		t.Errorf("%d descriptors stay", n)
	}
}
