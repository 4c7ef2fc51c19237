package p9client_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"p9mapfs/p9client"
)

// diod serves a connection on its standard input and output. When it is killed,
// the next connection starts another one.
func TestDiodAsACommand(t *testing.T) {
	bin, err := exec.LookPath("diod")
	if err != nil {
		t.Fatalf("diod is not installed (apt-get install diod): %v", err)
	}
	dir, pidFile := t.TempDir(), filepath.Join(t.TempDir(), "pid")
	line := fmt.Sprintf(`sh -c 'echo $$ >%s; cd %s; exec %s -f -n -r 0 -w 1 -e %s -L stderr'`, pidFile, t.TempDir(), bin, dir)
	a, err := p9client.ParseAddress("exec!" + line)
	check(t, err)
	s, err := p9client.Dial(t.Context(), a, p9client.Options{
		Aname: dir, Uname: "root", BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond, DialTimeout: 20 * time.Second,
	})
	check(t, err)
	defer s.Close()
	f, err := s.Root().Create(t.Context(), "f", syscall.O_RDWR, 0600, 0)
	check(t, err)
	defer f.Clunk()
	data := bytes.Repeat([]byte("diod"), 1<<18)
	_, err = f.WriteAt(t.Context(), data, 0)
	check(t, err)
	check(t, f.Sync(t.Context(), false))
	if b, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || !bytes.Equal(b, data) {
		t.Fatal("the server has other bytes", err)
	}
	text, err := os.ReadFile(pidFile)
	check(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	check(t, err)
	check(t, syscall.Kill(pid, syscall.SIGKILL))
	b := make([]byte, len(data))
	if n, err := f.ReadAt(t.Context(), b, 0); n != len(b) || err != nil || !bytes.Equal(b, data) {
		t.Fatal(n, err)
	}
	if l := s.Link(); l.Generation < 2 || l.Address != a {
		t.Fatalf("%+v", l)
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("a zombie is left: %v", err)
	}
}
