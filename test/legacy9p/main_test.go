package legacy9p_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"p9mapfs/test/legacy9p"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves a new directory until the test ends.
func start(t testing.TB, o legacy9p.Options) (dir, addr string) {
	t.Helper()
	dir = t.TempDir()
	addr, stop := serve(t, dir, o)
	t.Cleanup(stop)
	return dir, addr
}

// serve serves dir at 127.0.0.1 until stop.
func serve(t testing.TB, dir string, o legacy9p.Options) (addr string, stop func()) {
	t.Helper()
	s, err := legacy9p.New(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	return l.Addr().String(), func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

// The server would hide a mistake of the client if they shared code.
func TestNoCodeIsSharedWithTheClientOrTheEmbeddedServer(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "p9mapfs/test/legacy9p/serve").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(pkg, "p9mapfs/") && !strings.HasPrefix(pkg, "p9mapfs/test/legacy9p") {
			t.Errorf("legacy9p depends on %s", pkg)
		}
	}
}

func TestOptionsThatCannotBeAreRefused(t *testing.T) {
	for _, msize := range []uint32{1, 255, 1 << 30} {
		if _, err := legacy9p.New(t.TempDir(), legacy9p.Options{Msize: msize}); err == nil {
			t.Errorf("msize %d is taken", msize)
		}
	}
	if _, err := legacy9p.New(filepath.Join(t.TempDir(), "none"), legacy9p.Options{}); !os.IsNotExist(err) {
		t.Errorf("a directory that is not there: %v", err)
	}
}
