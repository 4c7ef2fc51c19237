package p9test

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// fakeMode makes this test binary a p9mapfs that misbehaves as the value says: what the harness does with a bad daemon must
// not depend on our having one.
const fakeMode = "P9TEST_FAKE"

// fake serves, or mounts the directory whose name the server's socket's directory holds in a file.
func fake(mode string, args []string) {
	args = slices.DeleteFunc(args, func(s string) bool { return strings.HasPrefix(s, "--") })
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	if args[0] == "serve" {
		ln, err := net.Listen("unix", strings.TrimPrefix(args[2], "unix!"))
		if err != nil {
			panic(err)
		}
		if err := os.WriteFile(ln.Addr().String()+".dir", []byte(args[1]), 0o600); err != nil {
			panic(err)
		}
		fmt.Fprintf(os.Stderr, "p9mapfs: serving %s on %s\n", args[1], args[2])
		<-signals
		os.Exit(0)
	}
	dir, err := os.ReadFile(strings.TrimPrefix(args[1], "unix!") + ".dir")
	if err != nil {
		panic(err)
	}
	root, err := fs.NewLoopbackRoot(string(dir))
	if err != nil {
		panic(err)
	}
	if mode == "refuse" {
		fmt.Fprintln(os.Stderr, "p9mapfs: cannot attach to that")
		os.Exit(1)
	}
	server, err := fs.Mount(args[2], root, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true, FsName: "fake"}})
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, "p9mapfs: mounted", args[2])
	<-signals
	switch mode {
	case "stuck":
		select {}
	case "leave":
		os.Exit(0)
	case "race":
		fmt.Fprintln(os.Stderr, "WARNING: DATA RACE")
	}
	if err := server.Unmount(); err != nil {
		panic(err)
	}
	if mode == "three" {
		os.Exit(3)
	}
	os.Exit(0)
}

// fakeBinary is an option that makes p9mapfs a script which is fake in that mode.
func fakeBinary(t *testing.T, mode string) Option {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "p9mapfs")
	script := fmt.Sprintf("#!/bin/sh\n%s=%s exec %s \"$@\"\n", fakeMode, mode, self)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return func(c *config) { c.bin = path }
}

// judged is a test that records what a harness does to it.
type judged struct {
	testing.TB
	mu       sync.Mutex
	errors   []string
	logs     []string
	cleanups []func()
}

func (j *judged) Helper()          {}
func (j *judged) Cleanup(f func()) { j.cleanups = append(j.cleanups, f) }
func (j *judged) Errorf(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.errors = append(j.errors, fmt.Sprintf(format, args...))
}
func (j *judged) Logf(format string, args ...any) {
	j.logs = append(j.logs, fmt.Sprintf(format, args...))
}
func (j *judged) Failed() bool { return len(j.errors) > 0 }
func (j *judged) Fatalf(format string, args ...any) {
	j.TB.Fatalf(format, args...)
}

func (j *judged) finish() {
	for i := len(j.cleanups) - 1; i >= 0; i-- {
		j.cleanups[i]()
	}
}

func TestHarnessTellsWhatADaemonDidWrong(t *testing.T) {
	RequireFUSE(t)
	for _, test := range []struct {
		mode string
		opts []Option
		want []string // one for each error
	}{
		{"good", nil, nil},
		{"three", nil, []string{"exit status 3"}},
		{"three", []Option{AllowExit(0, 3)}, nil},
		{"race", nil, []string{"DATA RACE"}},
		{"stuck", []Option{ExitTime(100 * time.Millisecond)}, []string{"did not end within 100ms"}},
		{"leave", nil, []string{"left"}},
	} {
		t.Run(test.mode, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "hello"), []byte("world"), 0o644); err != nil {
				t.Fatal(err)
			}
			j := &judged{TB: t}
			opts := append(test.opts, fakeBinary(t, test.mode))
			m := Mount(j, dir, opts...)
			if b, err := os.ReadFile(filepath.Join(m.Path, "hello")); err != nil || string(b) != "world" {
				t.Errorf("%q, %v", b, err)
			}
			j.finish()
			if len(j.errors) != len(test.want) {
				t.Fatalf("errors %q, want %q", j.errors, test.want)
			}
			for i, want := range test.want {
				if !strings.Contains(j.errors[i], want) {
					t.Errorf("error %q does not say %q", j.errors[i], want)
				}
			}
			if test.mode == "stuck" && !strings.Contains(strings.Join(j.logs, ""), "goroutine ") {
				t.Error("no goroutines in the log")
			}
			if _, mounted, _ := mountMinor(m.Path); mounted || m.proc.running() {
				t.Error("it is still there")
			}
			if _, err := os.Lstat(m.Path); !os.IsNotExist(err) {
				t.Errorf("the mount point: %v", err)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "hello")); err != nil || string(b) != "world" {
				t.Errorf("the exported file: %q, %v", b, err)
			}
		})
	}
}

func TestMountThatDoesNotComeUpIsAnErrorWithItsWords(t *testing.T) {
	RequireFUSE(t)
	j := &judged{TB: t}
	m, err := TryMount(j, t.TempDir(), fakeBinary(t, "refuse"), AllowExit(1))
	if err == nil || !strings.Contains(err.Error(), "cannot attach to that") || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("%v, %v", m, err)
	}
	j.finish()
	if len(j.errors) > 0 {
		t.Error(j.errors)
	}
}
