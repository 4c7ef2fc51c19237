package p9client_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"p9mapfs/p9client"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(memoryEnv); path != "" {
		serveMemory(path)
	}
	goleak.VerifyTestMain(m)
}

// startDiod serves a new directory and returns it, with a session on it and a
// function that kills and starts the server again.
func startDiod(t testing.TB, o p9client.Options) (string, *p9client.Session, func()) {
	t.Helper()
	bin, err := exec.LookPath("diod")
	if err != nil {
		t.Fatalf("diod is not installed (apt-get install diod): %v", err)
	}
	dir := t.TempDir()
	for try := range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		l.Close()
		start := func() *exec.Cmd {
			cmd := exec.Command(bin, "-f", "-n", "-l", addr, "-e", dir, "-L", "stderr")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			return cmd
		}
		cmd := start()
		kill := func() { cmd.Process.Kill(); cmd.Wait() }
		o.Aname, o.Uname = dir, "root"
		for range 200 {
			s, err := p9client.Dial(t.Context(), p9client.Address{Network: "tcp", Addr: addr}, o)
			if err == nil {
				t.Cleanup(func() { s.Close(); kill() })
				return dir, s, func() { kill(); cmd = start() }
			}
			time.Sleep(10 * time.Millisecond)
		}
		kill()
		t.Logf("try %d: diod does not answer on %s", try, addr)
	}
	t.Fatal("diod does not start")
	return "", nil, nil
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

func TestDiodVerbs(t *testing.T) {
	dir, s, restart := startDiod(t, p9client.Options{BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond})
	ctx := t.Context()
	root := s.Root()
	data := make([]byte, 300_000)
	rand.Read(data)

	f, err := root.Create(ctx, "f", syscall.O_RDWR, 0644, 0)
	check(t, err)
	_, err = f.WriteAt(ctx, data, 0)
	check(t, err)
	check(t, f.Sync(ctx, false))
	if b, _ := os.ReadFile(filepath.Join(dir, "f")); !bytes.Equal(b, data) {
		t.Fatal("the server has other bytes")
	}
	got := make([]byte, len(data)+100)
	if n, err := f.ReadAt(ctx, got, 0); n != len(data) || err != io.EOF || !bytes.Equal(got[:n], data) {
		t.Fatal(n, err)
	}
	_, err = root.Mkdir(ctx, "d", 0755, 0)
	check(t, err)
	_, err = root.Mkdir(ctx, "d", 0755, 0)
	want(t, err, syscall.EEXIST)
	d, err := root.Walk(ctx, "d")
	check(t, err)
	check(t, root.Rename(ctx, "f", d, "g"))
	if f.Path() != "d/g" {
		t.Fatal(f.Path())
	}
	check(t, root.Rename(ctx, "d", root, "e"))
	restart()
	if n, err := f.ReadAt(ctx, got, 1000); n != len(data)-1000 || err != io.EOF {
		t.Fatal(n, err, f.Path())
	}
	if g := s.Link().Generation; g != 2 {
		t.Fatal("generation", g)
	}
	_, err = f.WriteAt(ctx, data[:10], 5)
	check(t, err)
	_, err = f.WriteAt(p9client.AtGeneration(ctx, 1), data[:10], 5)
	var e *p9client.Error
	if !errors.As(err, &e) || !e.Disconnected() {
		t.Fatal(err)
	}
	check(t, f.SetAttr(ctx, p9client.SetAttr{Valid: p9client.SetMode | p9client.SetSize, Mode: 0600, Size: 10}))
	if a, err := f.GetAttr(ctx); err != nil || a.Size != 10 || a.Mode != syscall.S_IFREG|0600 {
		t.Fatal(a, err)
	}
	_, err = root.Symlink(ctx, "s", "e/g", 0)
	check(t, err)
	l, err := root.Walk(ctx, "s")
	check(t, err)
	if to, err := l.Readlink(ctx); to != "e/g" || err != nil {
		t.Fatal(to, err)
	}
	check(t, root.Link(ctx, f, "h"))
	for i := range 300 {
		x, err := d.Create(ctx, fmt.Sprint("name", i), syscall.O_WRONLY|syscall.O_EXCL, 0600, 0)
		check(t, err)
		x.Clunk()
	}
	dd, err := d.Walk(ctx)
	check(t, err)
	check(t, dd.Open(ctx, syscall.O_RDONLY|syscall.O_DIRECTORY))
	seen := 0
	for off := uint64(0); ; {
		l, next, err := dd.ReadDir(ctx, off, 4096)
		check(t, err)
		if seen += len(l); next == off {
			break
		}
		off = next
	}
	if seen != 301 {
		t.Fatal("names:", seen)
	}
	check(t, d.Unlink(ctx, "g", 0))
	want(t, root.Unlink(ctx, "e", 0x200), syscall.ENOTEMPTY)
	_, err = root.Walk(ctx, "nothing")
	want(t, err, syscall.ENOENT)
	_, err = root.Walk(ctx, "..")
	want(t, err, syscall.EINVAL)
	if st, err := root.StatFS(ctx); err != nil || st.BlockSize == 0 {
		t.Fatal(st, err)
	}
	for _, f := range []*p9client.Fid{f, d, l, dd} {
		f.Clunk()
	}
	cctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := root.GetAttr(cctx); err != nil {
		want(t, err, syscall.EINTR)
	}
}
