package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"9fans.net/go/plan9"
	"9fans.net/go/plan9/client"
	"go.uber.org/goleak"
)

const asProgram = "LEGACY9P_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// program is this test binary as the program.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// ends waits for the program, which must end with status 0.
func ends(t *testing.T, c *exec.Cmd) {
	t.Helper()
	late := time.AfterFunc(time.Minute, func() { c.Process.Kill() })
	defer late.Stop()
	if err := c.Wait(); err != nil {
		t.Errorf("%v: %v", c.Args[1:], err)
	}
}

func TestServesUntilSIGTERM(t *testing.T) {
	for _, address := range []string{"tcp!127.0.0.1!0", "unix!" + filepath.Join(shortDir(t), "9p")} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
		c := program(t, "--msize", "4096", dir, address)
		stderr, err := c.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(stderr).ReadString('\n')
		at, ok := strings.CutPrefix(line, "legacy9p: serving "+dir+" on ")
		if err != nil || !ok {
			t.Fatalf("%q, %v", line, err)
		}
		network, addr, err := parseAddress(strings.TrimSpace(at))
		if err != nil || strings.HasSuffix(addr, ":0") {
			t.Fatal(at, err)
		}
		nc, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		readText(t, nc)
		if err := c.Process.Signal(syscall.SIGTERM); err != nil { // with a client connected
			t.Fatal(err)
		}
		if b, err := io.ReadAll(stderr); err != nil || len(b) > 0 {
			t.Errorf("it says %q, %v", b, err)
		}
		ends(t, c)
		nc.Close()
	}
}

// shortDir leaves room in the 108 bytes of a unix socket's address.
func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "l9p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// readText reads the file f, which must have a text.
func readText(t *testing.T, rw io.ReadWriteCloser) {
	t.Helper()
	c, err := client.NewConn(rw)
	if err != nil {
		t.Fatal(err)
	}
	fs, err := c.Attach(nil, "glenda", "")
	if err != nil {
		t.Fatal(err)
	}
	f, err := fs.Open("f", plan9.OREAD)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if n, err := f.ReadAt(b, 0); n != 4 || err != nil || string(b) != "text" {
		t.Errorf("%q, %d, %v", b, n, err)
	}
}

// pipes are a child's standard input and output.
type pipes struct {
	io.WriteCloser
	io.Reader
}

func TestStdioIsServedUntilItEnds(t *testing.T) {
	for how, end := range map[string]func(*exec.Cmd, pipes) error{
		"EOF":     func(_ *exec.Cmd, p pipes) error { return p.Close() },
		"SIGTERM": func(c *exec.Cmd, _ pipes) error { return c.Process.Signal(syscall.SIGTERM) },
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
		c := program(t, "--stdio", "--u", dir)
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		p := pipes{in, out}
		readText(t, p)
		if err := end(c, p); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		ends(t, c)
	}
}

func TestWrongArgumentsAreStatus2(t *testing.T) {
	for _, args := range [][]string{{}, {"/tmp"}, {"--stdio"}, {"--no-such-flag", "/tmp", "tcp!127.0.0.1!0"}, {"--stdio", "/tmp", "unix!/x"}} {
		c := program(t, args...)
		out, err := c.CombinedOutput()
		if c.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "usage: legacy9p") {
			t.Errorf("%q: %v: %s", args, err, out)
		}
	}
	c := program(t, t.TempDir(), "nowhere")
	if out, _ := c.CombinedOutput(); c.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "neither tcp!host!port nor unix!/path") {
		t.Errorf("%v: %s", c.ProcessState, out)
	}
}
