package test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"p9mapfs/test/p9test"
)

// A play is the demo, running with a temporary directory and a process group of its own.
type play struct {
	cmd    *exec.Cmd
	tmp    string
	lines  chan string // of stdout; closed at its end
	stderr bytes.Buffer
}

func startDemo(t *testing.T) *play {
	t.Helper()
	p9test.RequireFUSE(t)
	tmp, err := os.MkdirTemp("", "p9d") // short: there will be a socket in it
	if err != nil {
		t.Fatal(err)
	}
	d := &play{cmd: exec.Command(p9test.Binary(t), "demo"), tmp: tmp, lines: make(chan string, 1000)}
	d.cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "GORACE=atexit_sleep_ms=0")
	d.cmd.Stderr, d.cmd.WaitDelay = &d.stderr, 5*time.Second
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	out, err := d.cmd.StdoutPipe()
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			d.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		d.cmd.Process.Kill()
		for _, m := range mountsBelow(t, tmp) {
			syscall.Unmount(m, syscall.MNT_DETACH)
		}
		if len(mountsBelow(t, tmp)) == 0 {
			os.RemoveAll(tmp)
		}
	})
	return d
}

// until reads lines up to one that contains words, at most 15 s; "" reads all.
func (d *play) until(t *testing.T, words string) (said []string) {
	t.Helper()
	timer := time.NewTimer(15 * time.Second)
	defer timer.Stop()
	for {
		select {
		case line, ok := <-d.lines:
			if !ok && words == "" {
				return said
			} else if !ok {
				t.Fatalf("it ended before it said %q:\n%s\n%s", words, strings.Join(said, "\n"), d.stderr.String())
			}
			if said = append(said, line); words != "" && strings.Contains(line, words) {
				return said
			}
		case <-timer.C:
			t.Fatalf("15 s without %q:\n%s", words, strings.Join(said, "\n"))
		}
	}
}

// nothingIsLeft wants no mount, no file and no process of the demo, which has ended.
func (d *play) nothingIsLeft(t *testing.T) {
	t.Helper()
	if l := mountsBelow(t, d.tmp); len(l) > 0 {
		t.Errorf("left mounted: %v", l)
	}
	if l, err := os.ReadDir(d.tmp); err != nil || len(l) > 0 {
		t.Errorf("left in its temporary directory: %v %v", l, err)
	}
	if l := mentioning(t, d.tmp); len(l) > 0 {
		t.Errorf("processes left: %v", l)
	}
}

// mentioning lists the processes that have words in their command line or environment.
func mentioning(t *testing.T, words string) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range all {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if pid == os.Getpid() {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline")) // it may have ended meanwhile
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if bytes.Contains(line, []byte(words)) || bytes.Contains(env, []byte(words)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestDemoTellsItsStory(t *testing.T) {
	d := startDemo(t)
	began := time.Now()
	said := strings.Join(d.until(t, ""), "\n")
	err := d.cmd.Wait()
	if took := time.Since(began); err != nil || took > 15*time.Second {
		t.Errorf("%v after %v: %s", err, took, d.stderr.String())
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("it took %v, and says that msync waited 2s", took)
	}
	if d.stderr.Len() > 0 {
		t.Errorf("stderr: %s", d.stderr.String())
	}
	rest := said
	for _, sentence := range []string{
		"A small tree is served over 9P",
		"$ ls -l mnt", " README", " counter", " poems",
		"maps mnt/counter and does *mapped = 1234",
		"msync(mapped, 4096, MS_SYNC) = 0:",
		`the server's file begins with "1234"`,
		"The network goes down. The program does *mapped = 5678",
		"(This mount waits 2s",
		"msync(mapped, 4096, MS_SYNC) = -1 ETIMEDOUT",
		`the server's file begins with "1234"`,
		"The store is not lost",
		"$ cat mnt/.errors", "state=pending", `file="counter" off=0 len=4096 errno=ETIMEDOUT`,
		"The network comes back",
		"msync(mapped, 4096, MS_SYNC) = 0:",
		`the server's file begins with "5678"`,
		"the journal has closed the matter",
		"$ cat mnt/.errors", "state=resolved", `file="counter" off=0 len=4096`,
		"Every step came out as told.",
	} {
		_, after, found := strings.Cut(rest, sentence)
		if !found {
			t.Fatalf("it does not say %q in its place:\n%s", sentence, said)
		}
		rest = after
	}
	d.nothingIsLeft(t)
}

func TestDemoInterruptedLeavesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		when string
		sig  syscall.Signal
	}{
		"while it shows the tree":   {"A small tree is served", syscall.SIGINT},
		"while msync waits":         {"(This mount waits", syscall.SIGINT},
		"while the matter is open":  {"state=pending", syscall.SIGTERM},
		"while the network is back": {"The network comes back", syscall.SIGINT},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startDemo(t)
			d.until(t, c.when)
			// As Ctrl-C does it: to the whole foreground group.
			if err := syscall.Kill(-d.cmd.Process.Pid, c.sig); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			rest := d.until(t, "")
			err := d.cmd.Wait()
			if err == nil && !strings.Contains(strings.Join(rest, "\n"), "Every step") {
				t.Error("it exits 0 though it did not come to its end")
			} else if err != nil && d.cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("%v: %s", err, d.stderr.String())
			}
			if took := time.Since(began); took > 6*time.Second {
				t.Errorf("it took %v to end", took)
			}
			if err != nil && (strings.Count(d.stderr.String(), "\n") != 1 || !strings.HasPrefix(d.stderr.String(), "p9mapfs: demo: stopped")) {
				t.Errorf("stderr is not one line: %s", d.stderr.String())
			}
			d.nothingIsLeft(t)
		})
	}
}
