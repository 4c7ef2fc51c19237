package test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/test/p9test"
)

// ran is how a run of the program ended.
type ran struct {
	status         int
	stdout, stderr string
}

// run runs a program to its end, at most 30 s.
func run(t *testing.T, attr *syscall.SysProcAttr, words ...string) ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr, cmd.WaitDelay = &out, &said, attr, 2*time.Second
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, said.String())
	}
	return ran{cmd.ProcessState.ExitCode(), out.String(), said.String()}
}

// mountsBelow lists the mounts at or below dir.
func mountsBelow(t *testing.T, dir string) (l []string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 && (f[4] == dir || strings.HasPrefix(f[4], dir+"/")) {
			l = append(l, f[4])
		}
	}
	return l
}

// answering listens at 127.0.0.1 and lets answer talk to whoever comes.
func answering(t *testing.T, answer func(c net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			all.Go(func() {
				defer c.Close()
				answer(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return "tcp!" + strings.Replace(l.Addr().String(), ":", "!", 1)
}

// rversion answers the first message with an Rversion of these words.
func rversion(msize uint32, version string) func(net.Conn) {
	return func(c net.Conn) {
		h := make([]byte, 7)
		for {
			if _, err := io.ReadFull(c, h); err != nil {
				return
			}
			if _, err := io.CopyN(io.Discard, c, int64(binary.LittleEndian.Uint32(h))-7); err != nil {
				return
			}
			m := binary.LittleEndian.AppendUint32(nil, uint32(13+len(version)))
			m = append(m, 101, 0xff, 0xff)
			m = binary.LittleEndian.AppendUint32(m, msize)
			m = binary.LittleEndian.AppendUint16(m, uint16(len(version)))
			if _, err := c.Write(append(m, version...)); err != nil {
				return
			}
		}
	}
}

// A refusal is a command line that must fail, and what its one line must say:
// says names the thing, remedy what to do about it; both are regular expressions.
type refusal struct {
	name         string
	words        []string
	status       int
	says, remedy string
}

// refused runs them side by side: they mostly wait.
func refused(t *testing.T, dir string, rows []refusal) {
	bin := p9test.Binary(t)
	line := regexp.MustCompile(`^p9mapfs: [^\n]+\n$`)
	t.Run("refused", func(t *testing.T) {
		for _, r := range rows {
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				got := run(t, nil, append([]string{bin}, r.words...)...)
				if got.status != r.status {
					t.Errorf("exit status %d, want %d", got.status, r.status)
				}
				if !line.MatchString(got.stderr) {
					t.Errorf("stderr is not one line beginning with p9mapfs:")
				}
				if got.stdout != "" {
					t.Errorf("stdout: %s", got.stdout)
				}
				for _, want := range []string{r.says, r.remedy} {
					if !regexp.MustCompile(want).MatchString(got.stderr) {
						t.Errorf("stderr does not say %q", want)
					}
				}
				if t.Failed() {
					t.Logf("p9mapfs %q said:\n%s", r.words, got.stderr)
				}
			})
		}
	})
	if l := mountsBelow(t, dir); len(l) > 0 {
		t.Errorf("left mounted: %v", l)
	}
}

func TestBadInputUsage(t *testing.T) {
	dir := t.TempDir()
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	none := "unix!" + filepath.Join(dir, "none")
	const forms = `use tcp!host!port, unix!/path, host, host:port or /path`
	mount := func(words ...string) []string { return append([]string{"mount"}, words...) }
	refused(t, dir, []refusal{
		{"nothing", nil, 2, "what shall it do", "--help"},
		{"unknown command", []string{"mnt"}, 2, `"mnt"`, "--help"},
		{"unknown flag", mount("--frob", none, mnt), 2, "--frob", "mount --help"},
		{"unknown short flag", mount("-z", none, mnt), 2, "-z", "mount --help"},
		{"no arguments", mount(), 2, "ADDRESS MOUNTPOINT.*got 0", "mount --help"},
		{"one argument", mount(none), 2, "ADDRESS MOUNTPOINT.*got 1", "mount --help"},
		{"three arguments", mount(none, mnt, mnt), 2, "got 3", "mount --help"},
		{"unknown network", mount("udp!host!564", mnt), 2, `"udp"`, forms},
		{"relative path", mount("a/b", mnt), 2, `"a/b"`, forms},
		{"empty address", mount("", mnt), 2, `""`, forms},
		{"no host", mount("tcp!!564", mnt), 2, "no host", forms},
		{"no path", mount("unix!", mnt), 2, "no path", forms},
		{"bad port", mount("tcp!127.0.0.1!70000", mnt), 2, `"70000"`, "0 to 65535"},
		{"port by name", mount("127.0.0.1:ninep", mnt), 2, `"ninep"`, "0 to 65535"},
		{"size", mount("--cache-size=lots", none, mnt), 2, `"lots".*--cache-size`, "64MiB"},
		{"negative size", mount("--write-behind=-1", none, mnt), 2, `"-1".*--write-behind`, "64MiB"},
		{"read-ahead", mount("--read-ahead=some", none, mnt), 2, `"some".*--read-ahead`, "auto.*off.*16MiB"},
		{"small msize", mount("--msize=100", none, mnt), 2, "--msize", "between 4KiB and 1GiB"},
		{"large msize", mount("--msize=8GiB", none, mnt), 2, "--msize", "between 4KiB and 1GiB"},
		{"duration", mount("--hold-timeout=5", none, mnt), 2, `"5".*--hold-timeout.*unit`, "--help"},
		{"negative duration", mount("--hold-timeout=-5s", none, mnt), 2, `--hold-timeout -5s`, "time like 30s"},
		{"choice", mount("--on-disconnect=wait", none, mnt), 2, `"wait".*--on-disconnect`, "hold, fail"},
		{"log level", mount("--log-level=loud", none, mnt), 2, `"loud".*--log-level`, "debug, info, warn, error"},
		{"boolean", mount("--read-only=perhaps", none, mnt), 2, `"perhaps".*--read-only`, "--help"},
		{"serve without address", []string{"serve", dir}, 2, "DIR ADDRESS.*got 1", "serve --help"},
		{"serve at a bad address", []string{"serve", dir, "udp!x!1"}, 2, `"udp"`, forms},
		{"errors of nothing", []string{"errors"}, 2, "errors", "PATH on a mount"},
		{"demo of something", []string{"demo", "x"}, 2, "demo.*got 1", "demo --help"},
		{"version of something", []string{"version", "x"}, 2, "version.*got 1", "version --help"},
	})
}

func TestBadInputPlacesAndServers(t *testing.T) {
	p9test.RequireFUSE(t)
	dir := t.TempDir()
	mnt, file := filepath.Join(dir, "mnt"), filepath.Join(dir, "file")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("a file"), 0o644); err != nil {
		t.Fatal(err)
	}
	none := "unix!" + filepath.Join(dir, "none")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := closed.Addr().String()
	closed.Close()
	html := answering(t, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request")
		io.Copy(io.Discard, c)
	})
	closing := answering(t, func(net.Conn) {})
	silent := answering(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	old := answering(t, rversion(8192, "9P2000"))
	unknown := answering(t, rversion(8192, "unknown"))
	mute := answering(t, func(c net.Conn) {
		a, b := net.Pipe()
		go rversion(8192, "unknown")(b)
		first := make([]byte, 256)
		n, _ := c.Read(first)
		a.Write(first[:n])
		n, _ = a.Read(first)
		a.Close()
		c.Write(first[:n])
		io.Copy(io.Discard, c)
	})
	greedy := answering(t, rversion(1<<31, "9P2000.L"))
	tiny := answering(t, rversion(20, "9P2000.L"))
	escape := answering(t, rversion(8192, "9P2000\n\x1b[31mowned"))
	diod := p9test.StartServer(t, t.TempDir(), p9test.WithServer(p9test.Diod))
	served := p9test.StartServer(t, t.TempDir())
	inUse := p9test.StartServer(t, t.TempDir(), p9test.OverTCP())
	mount := func(words ...string) []string { return append([]string{"mount"}, words...) }
	const not9P = "check host and port"
	refused(t, dir, []refusal{
		{"nobody listens", mount(refusing, mnt), 1, "refused", "is a 9P server listening there"},
		{"no socket", mount(none, mnt), 1, "/none", "is a 9P server listening there"},
		{"no such host", mount("tcp!p9mapfs.invalid!564", mnt), 1, `p9mapfs\.invalid`, "is a 9P server listening there"},
		{"HTTP", mount(html, mnt), 1, "does not speak 9P", not9P},
		{"hangs up", mount(closing, mnt), 1, "Tversion", not9P},
		{"silent", mount(silent, mnt), 1, "Tversion", not9P},
		{"another dialect than wanted", mount("--dialect=9P2000.L", old, mnt), 1, `no common dialect.*"9P2000" to 9P2000\.L`, `--dialect`},
		{"unknown dialect", mount(unknown, mnt), 1, `no common dialect.*"unknown" to 9P2000\.L.*to 9P2000\.u.*to 9P2000;`, `--dialect`},
		{"terminal escapes", mount(escape, mnt), 1, `no common dialect.*\\x1b`, `--dialect`},
		{"silent after the first word", mount(mute, mnt), 1, `no answer to Tversion.*"unknown" to 9P2000\.L`, not9P},
		{"msize too large", mount(greedy, mnt), 1, "2147483648", "asked"},
		{"msize too small", mount(tiny, mnt), 1, " 20 ", "too few"},
		{"no aname", mount(diod.Address(), mnt), 1, "attach", "--aname"},
		{"unknown aname", mount("--aname=/nowhere", diod.Address(), mnt), 1, "attach.*/nowhere", "--aname"},
		{"no mount point", mount(served.Address(), mnt+"/x"), 1, "/mnt/x does not exist", "mkdir -p"},
		{"mount point is a file", mount(served.Address(), file), 1, "/file is not a directory", "name one"},
		{"mount point below a file", mount(served.Address(), file+"/x"), 1, "/file/x", "directory"},
		{"serve nothing", []string{"serve", dir + "/x", none}, 1, dir + "/x.*no such file", "name a directory"},
		{"serve a file", []string{"serve", file, none}, 1, "/file.*not a directory", "name a directory"},
		{"serve at an address in use", []string{"serve", dir, inUse.Address()}, 1, "address already in use", "choose another address"},
		{"serve at a socket in use", []string{"serve", dir, served.Address()}, 1, "address already in use", "choose another address"},
		{"serve at a file", []string{"serve", dir, "unix!" + file}, 1, "/file.*not a socket", "choose another address"},
		{"errors elsewhere", []string{"errors", dir}, 1, dir + " is not on a p9mapfs mount", "name a mount point"},
		{"errors of a file elsewhere", []string{"errors", file}, 1, "/file is not on a p9mapfs mount", "name a mount point"},
		{"errors of nothing", []string{"errors", dir + "/x"}, 1, dir + "/x.*no such file", ""},
	})
}

func TestBadInputDeadMountPoint(t *testing.T) {
	m := p9test.Mount(t, t.TempDir(), p9test.AllowExit(0, -1))
	m.Signal(syscall.SIGKILL)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := m.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	got := run(t, nil, p9test.Binary(t), "mount", m.Server.Address(), m.Path)
	if got.status != 1 || !regexp.MustCompile(`^p9mapfs: mount point `+m.Path+` has a dead mount[^\n]*umount -l[^\n]*\n$`).MatchString(got.stderr) {
		t.Errorf("exit status %d:\n%s", got.status, got.stderr)
	}
	if err := syscall.Unmount(m.Path, syscall.MNT_DETACH); err != nil {
		t.Error(err)
	}
}

func TestBadInputWithoutPermission(t *testing.T) {
	p9test.RequireFUSE(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody who may not")
	}
	if st, err := os.Stat("/dev/fuse"); err != nil || st.Mode().Perm()&0o006 != 0 {
		t.Skipf("everybody may use /dev/fuse here (%v)", err)
	}
	s := p9test.StartServer(t, t.TempDir(), p9test.OverTCP())
	// Where nobody may come: not below root's cache, nor in a directory of mode 0700.
	dir, err := os.MkdirTemp("", "p9mapfs-nobody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	bin, mnt := filepath.Join(dir, "p9mapfs"), filepath.Join(dir, "mnt")
	text, err := os.ReadFile(p9test.Binary(t))
	if err == nil {
		err = errors.Join(os.WriteFile(bin, text, 0o755), os.Mkdir(mnt, 0o755), os.Chown(mnt, 65534, 65534), os.Chmod(dir, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	for _, words := range [][]string{{bin, "mount", s.Address(), mnt}, {bin, "demo"}} {
		got := run(t, nobody, words...)
		if got.status != 1 || !regexp.MustCompile(`^p9mapfs: cannot use FUSE[^\n]*/dev/fuse[^\n]*permission denied; give this user access[^\n]*\n$`).MatchString(got.stderr) {
			t.Errorf("%q: exit status %d:\n%s", words[1:], got.status, got.stderr)
		}
	}
	if l := mountsBelow(t, dir); len(l) > 0 {
		t.Errorf("left mounted: %v", l)
	}
}

func TestErrorsCommandTellsWhatIsOpen(t *testing.T) {
	r := newRig(t, p9test.Embedded, "--retry-interval", "1h")
	bin := p9test.Binary(t)
	r.ok(os.Mkdir(filepath.Join(r.Dir, "d"), 0o755))
	r.put("d/bad", make([]byte, 8192))
	r.put("good", make([]byte, 8192))
	at := func(name string) string { return filepath.Join(r.Path, name) }
	if got := run(t, nil, bin, "errors", r.Path, at("d"), at("good")); got != (ran{}) {
		t.Errorf("without any: %+v", got)
	}
	f := r.mapped("d/bad")
	r.rules("Twrite reply=ENOSPC")
	r.ok(f.Store(r.ctx, 4096, []byte("kept")))
	r.fails(f.Msync(r.ctx), syscall.ENOSPC)
	for _, c := range []struct {
		path string
		open bool
	}{{"", true}, {"d", true}, {"d/bad", true}, {"good", false}} {
		got := run(t, nil, bin, "errors", "--json", at(c.path))
		states := statesOf(t, got.stdout)
		if c.open && (got.status != 1 || !slices.Equal(states, []errjournal.State{errjournal.Failed})) || !c.open && got != (ran{}) {
			t.Errorf("errors of %q: %+v", c.path, got)
		}
		if c.open && !regexp.MustCompile(`^p9mapfs: [^\n]+\n$`).MatchString(got.stderr) {
			t.Errorf("stderr is not one line: %q", got.stderr)
		}
	}
	r.Proxy.Clear()
	r.ok(f.Msync(r.ctx))
	got := run(t, nil, bin, "errors", "--json", r.Path)
	if got.status != 0 || got.stderr != "" || !slices.Equal(statesOf(t, got.stdout), []errjournal.State{errjournal.Resolved}) {
		t.Errorf("resolved: %+v", got)
	}
}

func statesOf(t *testing.T, text string) (l []errjournal.State) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(text)); d.More(); {
		var e struct{ State string }
		if err := d.Decode(&e); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		s, err := errjournal.ParseState(e.State)
		if err != nil {
			t.Error(err)
		}
		l = append(l, s)
	}
	return l
}

func TestVersionAndHelpPrint(t *testing.T) {
	bin := p9test.Binary(t)
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"version"}, `^p9mapfs \S+ go1\.\S+ linux/\w+\n(?s:.*)github\.com/hanwen/go-fuse/v2 v`},
		{[]string{"--help"}, `(?s)demo .*errors .*mount .*serve .*version `},
		{[]string{"mount", "--help"}, `(?s)ADDRESS.*Exit status.*--hold-timeout`},
	} {
		got := run(t, nil, append([]string{bin}, c.words...)...)
		if got.status != 0 || got.stderr != "" || !regexp.MustCompile(strings.TrimSpace(c.want)).MatchString(got.stdout) {
			t.Errorf("%q: %+v", c.words, got)
		}
	}
	if got := run(t, nil, bin, "--help"); strings.Contains(got.stdout, "demo-child") {
		t.Error("the demo's child is shown to people")
	}
}
