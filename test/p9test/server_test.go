package p9test

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// version sends Tversion 9P2000.L and reads an Rversion.
func version(c net.Conn) error {
	const v = "9P2000.L"
	m := []byte{0, 0, 0, 0, 100, 0xff, 0xff, 0, 0, 1, 0, byte(len(v)), 0}
	m = append(m, v...)
	binary.LittleEndian.PutUint32(m, uint32(len(m)))
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write(m); err != nil {
		return err
	}
	head := make([]byte, 7)
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	if head[4] != 101 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

func ask(s *Server) error {
	c, err := net.Dial(s.Network(), s.Addr())
	if err != nil {
		return err
	}
	defer c.Close()
	return version(c)
}

func TestDiodComesBackOnItsAddress(t *testing.T) { testServer(t, WithServer(Diod)) }

func TestEmbeddedServerComesBackOnItsAddress(t *testing.T) {
	t.Run("unix", func(t *testing.T) { testServer(t) })
	t.Run("tcp", func(t *testing.T) { testServer(t, OverTCP()) })
}

func testServer(t *testing.T, opts ...Option) {
	s := StartServer(t, t.TempDir(), opts...)
	if err := ask(s); err != nil {
		t.Fatal(err)
	}
	addr, pid := s.Addr(), s.Pid()
	s.Kill()
	if err := ask(s); err == nil {
		t.Error("a killed server answers")
	}
	s.Start()
	s.Start() // is running
	if s.Addr() != addr || s.Pid() == pid {
		t.Errorf("was %s pid %d, is %s pid %d", addr, pid, s.Addr(), s.Pid())
	}
	if err := ask(s); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	c, err := net.Dial(s.Network(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answered := make(chan error, 1)
	go func() { answered <- version(c) }()
	select {
	case err := <-answered:
		t.Errorf("a paused server answers: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	s.Continue()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestProcessThatIsNeverReadyIsAnErrorWithItsWords(t *testing.T) {
	_, err := startProcess(t, "ready", "/bin/sh", "-c", "echo no disk >&2; exit 7")
	if err == nil || !strings.Contains(err.Error(), "no disk") || !strings.Contains(err.Error(), "exit status 7") {
		t.Error(err)
	}
}

func TestReadyLineMayComeInPieces(t *testing.T) {
	p, err := startProcess(t, "p: ready ", "/bin/sh", "-c", "printf 'first\\np: re' >&2; sleep 0.05; printf 'ady now\\n' >&2; exec sleep 100")
	if err != nil {
		t.Fatal(err)
	}
	if !p.running() || !p.kill() || p.exit() != -1 {
		t.Error("it is gone, or cannot be killed")
	}
}

func TestAlarmsInStderrAreFound(t *testing.T) {
	o := newOutput("")
	for _, s := range []string{"fine\npan", "ic: oh\n", "WARNING: DATA RACE\n", strings.Repeat("x", 3*keptOutput), "\nend\n"} {
		o.Write([]byte(s))
	}
	if a := o.alarmLines(); len(a) != 2 || a[0] != "panic: oh" {
		t.Errorf("%q", a)
	}
	if s := o.String(); len(s) > 3*keptOutput || !strings.HasSuffix(s, "\nend\n") || !strings.HasPrefix(s, "(") {
		t.Errorf("%d bytes kept, ending %q", len(s), s[len(s)-10:])
	}
}

func TestMountIsFoundInMountinfo(t *testing.T) {
	const info = `23 29 0:22 / /proc rw,nosuid - proc proc rw
100 29 0:51 / /tmp/a\040b rw,nosuid - fuse.p9mapfs p9 rw
101 29 0:52 / /tmp/twice rw - fuse x rw
102 29 0:53 / /tmp/twice rw - fuse x rw
`
	for path, want := range map[string]int{"/tmp/a b": 51, "/tmp/twice": 53, "/tmp": -1} {
		minor, ok := findMount(info, path)
		if ok != (want >= 0) || ok && minor != want {
			t.Errorf("%s: %d, %v", path, minor, ok)
		}
	}
}

func TestProbeLeavesNothingMounted(t *testing.T) {
	RequireFUSE(t)
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(info), "p9test-probe") {
		t.Error("the probe is still mounted")
	}
}
