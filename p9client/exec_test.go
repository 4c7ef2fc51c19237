package p9client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A logBuffer is what was logged.
type logBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestCommandsThatDoNotServe(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, line string
		says       []string
	}{
		{"none", "p9mapfs-no-such-command x", []string{"p9mapfs-no-such-command", "not found", "PATH"}},
		{"no file", "/no/such/command", []string{"no such file"}},
		{"not executable", os.DevNull, []string{"permission denied"}},
		{"exits at once", `sh -c 'echo one >&2; echo "no such tree" >&2; exit 3'`, []string{"exit status 3", `no such tree"`}},
		{"exits silently", "true", []string{"the command ended, exit status 0"}},
		{"killed", "sh -c 'kill -9 $$'", []string{"signal: killed"}},
		{"closes its output", `sh -c 'echo bye >&2; exec <&- >&-'`, []string{"the command ended", `"bye"`}},
		{"other words", "sh -c 'echo hello, world; exec cat >/dev/null'", []string{"makes no sense"}},
		{"hangs", `sh -c 'echo "still thinking" >&2; exec sleep 1000'`, []string{"deadline", `it said "still thinking"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			timeout := patience
			if test.name == "hangs" {
				timeout = 2 * time.Second
			}
			_, err := Dial(t.Context(), Address{"exec", test.line}, Options{DialTimeout: timeout})
			if err == nil {
				t.Fatal("it connects")
			}
			mustSay(t, err, append(test.says, "^(cannot connect to )?exec!")...)
		})
	}
}

// A command whose connection is closed ends, whether it likes it or not, and
// with it what it has started.
func TestCommandEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for _, script := range []string{
		`echo $$ >%[1]s.new; mv %[1]s.new %[1]s; exec cat >&2`,                                              // ends with its input
		`echo $$ >%[1]s.new; mv %[1]s.new %[1]s; exec sleep 1000`,                                           // at SIGTERM
		`trap "" TERM HUP; echo $$ >%[1]s.new; mv %[1]s.new %[1]s; while :; do sleep 1000; done`,            // never
		`(trap "" TERM HUP; while :; do sleep 1000; done) & echo $$ >%[1]s.new; mv %[1]s.new %[1]s; exit 0`, // but its child does not
	} {
		file := filepath.Join(t.TempDir(), "pid")
		nc, err := Address{"exec", fmt.Sprintf("sh -c '"+script+"'", file)}.Dial(t.Context(), Options{})
		check(t, err)
		soon(t, "the command has started", func() bool { _, err := os.Stat(file); return err == nil })
		text, err := os.ReadFile(file)
		check(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		check(t, err)
		if sid, err := unix.Getsid(pid); err == nil && sid != pid {
			t.Errorf("it is in session %d: signals from a terminal meet it", sid)
		}
		wg.Go(func() {
			hangUp(nc)
			if err := unix.Kill(pid, 0); err != unix.ESRCH {
				t.Errorf("process %d is still there (%v): %s", pid, err, script)
			}
			for deadline := time.Now().Add(patience); unix.Kill(-pid, 0) != unix.ESRCH; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Errorf("what it started is still there: %s", script)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Close does not wait for the command: whoever notices a loss goes on.
func TestClosingACommandDoesNotWait(t *testing.T) {
	t.Parallel()
	nc, err := Address{"exec", `sh -c 'trap "" TERM; while :; do sleep 1000; done'`}.Dial(t.Context(), Options{})
	check(t, err)
	nc.Close()
	select {
	case <-nc.(*execConn).gone:
		t.Error("Close has waited for the command")
	default:
	}
	hangUp(nc)
}

// The loss of a connection is told with the command's last words, and the next
// connection starts it again.
func TestLossOfACommandIsExplained(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var log logBuffer
	relay := relayCommand(s.path).Addr
	line := "sh -c '" + `"$@" || exit; echo "tunnel collapsed" >&2; exit 7` + "' sh " + relay
	x := dialOrFail(t, Address{"exec", line}, Options{Log: log.logger(), BackoffMin: time.Millisecond, BackoffMax: 10 * time.Millisecond})
	s.stop()
	soon(t, "down", func() bool { return !x.Link().Up })
	cause := x.Link().Cause
	mustSay(t, cause, "exit status 7", `tunnel collapsed"`)
	if !errors.Is(cause, io.EOF) && !errors.Is(cause, syscall.EPIPE) {
		t.Error(cause)
	}
	soon(t, "the words are logged", func() bool { return strings.Contains(log.String(), `command=sh stderr="tunnel collapsed"`) })
	s.listen()
	soon(t, "up", func() bool { return x.Link().Up })
}

// However much a command says, the log stays readable.
func TestWhatACommandSaysIsBounded(t *testing.T) {
	t.Parallel()
	var log logBuffer
	s := &saidLog{log: log.logger(), command: "c"}
	s.Write([]byte("par"))
	s.Write([]byte("tly\r\nnext\n" + strings.Repeat("x", 5000) + "\n"))
	for range 1000 {
		s.Write([]byte("again\n"))
	}
	s.Write([]byte("unfinished"))
	s.end()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if !strings.HasSuffix(lines[0], "msg=said command=c stderr=partly") || !strings.HasSuffix(lines[1], "stderr=next") {
		t.Errorf("%q", lines[:2])
	}
	if n := strings.Count(lines[2], "x"); n != saidLine {
		t.Errorf("a line of %d", n)
	}
	if len(lines) > 3*saidLines { // 1000 in one second, or in three on a slow machine
		t.Errorf("%d lines", len(lines))
	}
	if w := s.lastWords(); len(w) > saidMemory || !strings.HasSuffix(w, "again\nunfinished") {
		t.Errorf("last words: %q", w)
	}
	log.b.Reset()
	s.second = s.second.Add(-time.Minute) // as if one had passed
	s.Write([]byte("later\n"))
	if out := log.String(); !strings.Contains(out, "stderr=later dropped=") {
		t.Error(out)
	}
}
