package p9test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
)

// forgetfulFile opens the file f of a Forgetful server over a new connection.
func forgetfulFile(t *testing.T, s *Server, flags p9.OpenFlags) p9.File {
	t.Helper()
	nc, err := net.Dial(s.Network(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(time.Minute))
	c, err := p9.NewClient(nc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	root, err := c.Attach("")
	if err != nil {
		t.Fatal(err)
	}
	_, f, err := root.Walk([]string{"f"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Open(flags); err != nil {
		t.Fatal(err)
	}
	return f
}

// forgetful starts a server on which the file f has a text.
func forgetful(t *testing.T, text string, opts ...Option) *Server {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return StartServer(t, dir, append(opts, WithServer(Forgetful))...)
}

func onDisk(t *testing.T, s *Server, want string) {
	t.Helper()
	if got, err := os.ReadFile(filepath.Join(s.Dir, "f")); string(got) != want || err != nil {
		t.Errorf("the disk has %q, %v; want %q", got, err, want)
	}
}

// served wants the server to say, over a new connection, that f has a text.
func served(t *testing.T, s *Server, want string) {
	t.Helper()
	f := forgetfulFile(t, s, p9.ReadOnly)
	b := make([]byte, 100)
	n, err := f.ReadAt(b, 0)
	if n > 0 && string(b[:n]) != want || n == 0 && want != "" {
		t.Errorf("it reads %q, %v; want %q", b[:n], err, want)
	}
	if _, _, attr, err := f.GetAttr(p9.AttrMaskAll); err != nil || attr.Size != uint64(len(want)) {
		t.Errorf("its size is %d, %v; want %d", attr.Size, err, len(want))
	}
}

func TestForgetfulServerLosesWhatNoTfsyncCovered(t *testing.T) {
	for _, opts := range [][]Option{nil, {OverTCP()}} {
		s := forgetful(t, "old text", opts...)
		addr, pid := s.Addr(), s.Pid()
		for _, change := range []func(p9.File) error{
			func(f p9.File) error { _, err := f.WriteAt([]byte("new"), 0); return err },
			func(f p9.File) error { _, err := f.WriteAt([]byte(" and more"), 8); return err },
			func(f p9.File) error { return f.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{Size: 3}) },
		} {
			f := forgetfulFile(t, s, p9.ReadWrite)
			if err := change(f); err != nil {
				t.Fatal(err)
			}
			onDisk(t, s, "old text")
			if err := s.Crash(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := f.ReadAt(make([]byte, 1), 0); err == nil {
				t.Error("a connection outlived the crash")
			}
			onDisk(t, s, "old text")
			served(t, s, "old text")
		}
		f := forgetfulFile(t, s, p9.ReadWrite|0o1000) // O_TRUNC
		onDisk(t, s, "old text")
		served(t, s, "")
		if _, err := f.WriteAt([]byte("newest"), 0); err != nil {
			t.Fatal(err)
		}
		served(t, s, "newest")
		if err := f.FSync(); err != nil {
			t.Fatal(err)
		}
		onDisk(t, s, "newest")
		if err := s.Crash(t.Context()); err != nil {
			t.Fatal(err)
		}
		served(t, s, "newest")
		if s.Addr() != addr || s.Pid() != pid || s.Lives() != 5 {
			t.Errorf("it is at %s, process %d, in life %d; was at %s, %d", s.Addr(), s.Pid(), s.Lives(), addr, pid)
		}
	}
}

func TestForgetfulServerFailsATfsyncOnceAndSaysNothingLater(t *testing.T) {
	s := forgetful(t, "old", ServeFlags("--sync-fails=2", "--sync-errno=ENOSPC"))
	f := forgetfulFile(t, s, p9.ReadWrite)
	var got []error
	for _, text := range []string{"one", "two", ""} {
		if _, err := f.WriteAt([]byte(text), 0); err != nil {
			t.Fatal(err)
		}
		got = append(got, f.FSync())
	}
	if !slices.Equal(got, []error{nil, linux.ENOSPC, nil}) {
		t.Errorf("Tfsyncs: %v", got)
	}
	onDisk(t, s, "one")
	served(t, s, "one")
}

func TestForgetfulServerCrashesHalfwayThroughATfsync(t *testing.T) {
	s := forgetful(t, "", ServeFlags("--crash-in-sync=1"))
	data := make([]byte, 8192)
	for i := range data {
		data[i] = 'x'
	}
	for life := 2; life > 0; life-- {
		f := forgetfulFile(t, s, p9.ReadWrite)
		if _, err := f.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
		if err := f.FSync(); (err == nil) != (life == 1) {
			t.Errorf("Tfsync: %v", err)
		}
		if err := s.WaitLives(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		want := append(data[:4096:4096], make([]byte, 4096)...)
		if life == 1 {
			want = data
		}
		onDisk(t, s, string(want))
	}
}
