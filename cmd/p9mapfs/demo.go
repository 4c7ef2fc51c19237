package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"p9mapfs/export"
	"p9mapfs/fusefs"
	"p9mapfs/p9client"
	"p9mapfs/writeback"
)

// The demo's hold time, and what bounds it as a whole.
const (
	demoHold  = 2 * time.Second
	demoLimit = 15 * time.Second
)

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show on this machine what happens to a mapped store when the network goes down",
		Args:  exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, demoLimit)
			defer cancel()
			if err := checkFUSE(); err != nil {
				return err
			}
			err := demo(ctx)
			if ctx.Err() != nil {
				return fmt.Errorf("demo: stopped: %w", context.Cause(ctx))
			}
			return err
		},
	}
}

// A stage is what the demo plays on: a directory that is served, the mount of
// it, and a program that maps a file there.
type stage struct {
	dir     string // everything is below it
	sock    string
	server  *export.Server
	unplug  func() // cuts the connection and refuses new ones
	session *p9client.Session
	fsys    *fusefs.FS
	child   *mapper
}

func demo(ctx context.Context) (err error) {
	s := &stage{}
	defer func() { err = errors.Join(err, s.strike()) }()
	if err := s.build(ctx); err != nil {
		return err
	}
	say("A small tree is served over 9P on a unix socket, and mounted:\n")
	if err := s.show(ctx, "ls -l mnt", "ls", "-l", filepath.Join(s.dir, "mnt")); err != nil {
		return err
	}

	say("\nA program maps mnt/counter and does *mapped = 1234.")
	if err := s.store(ctx, "1234", ""); err != nil {
		return err
	}
	if err := s.serverHas("1234"); err != nil {
		return err
	}

	say("\nThe network goes down. The program does *mapped = 5678.")
	s.unplug()
	say("(This mount waits %v for a lost connection; the default is 5 minutes.)", demoHold)
	if err := s.store(ctx, "5678", "ETIMEDOUT"); err != nil {
		return err
	}
	if err := s.serverHas("1234"); err != nil {
		return err
	}
	say("\nThe store is not lost. It is held, and the mount says so:\n")
	if err := s.journal(ctx, "state=pending"); err != nil {
		return err
	}

	say("\nThe network comes back. Nobody stores again; the program only asks again.")
	if err := s.plug(); err != nil {
		return err
	}
	if err := s.connected(ctx); err != nil {
		return err
	}
	if err := s.msync(ctx, ""); err != nil {
		return err
	}
	if err := s.serverHas("5678"); err != nil {
		return err
	}
	say("\nAnd the journal has closed the matter:\n")
	if err := s.journal(ctx, "state=resolved"); err != nil {
		return err
	}
	say("\nEvery step came out as told.")
	return nil
}

func say(format string, a ...any) { fmt.Printf(format+"\n", a...) }

func (s *stage) build(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "p9mapfs-demo-"); err != nil {
		return err
	}
	for _, d := range []string{"tree", "tree/poems", "mnt"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0755); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"counter":         "0000" + strings.Repeat(" ", 4091) + "\n",
		"README":          "This tree is served over 9P.\n",
		"poems/jabber":    "'Twas brillig, and the slithy toves\nDid gyre and gimble in the wabe.\n",
		"poems/mice-tale": "Fury said to a mouse, that he met in the house ...\n",
	} {
		if err := os.WriteFile(filepath.Join(s.dir, "tree", name), []byte(text), 0644); err != nil {
			return err
		}
	}
	if s.server, err = export.New(filepath.Join(s.dir, "tree"), export.Options{}); err != nil {
		return err
	}
	s.sock = filepath.Join(s.dir, "9p")
	if err := s.plug(); err != nil {
		return err
	}
	s.session, err = p9client.Dial(ctx, p9client.Address{Network: "unix", Addr: s.sock}, p9client.Options{
		Uname: "demo", NUname: uint32(os.Getuid()), HoldTimeout: demoHold, BackoffMax: 100 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	s.fsys, err = fusefs.Mount(filepath.Join(s.dir, "mnt"), s.session, fusefs.Options{
		Source: "unix!" + s.sock, Writeback: writeback.Options{Age: 50 * time.Millisecond},
	})
	if err != nil {
		return err
	}
	s.child, err = startMapper(ctx, filepath.Join(s.dir, "mnt", "counter"))
	return err
}

// plug lets the server be reached.
func (s *stage) plug() error {
	l, err := export.Listen("unix", s.sock)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(ctx, l) }()
	s.unplug = func() {
		cancel()
		l.Close()
		<-done
		s.unplug = func() {}
	}
	return nil
}

// connected waits until the mount has found the server again, and what it held is
// there: until then msync may still be told of the loss.
func (s *stage) connected(ctx context.Context) error {
	journal := s.fsys.Journal()
	for {
		news, changed := s.session.LinkChanged(), journal.Changed()
		held, _, _ := s.fsys.Held()
		if s.session.Link().Up && held == 0 {
			return nil
		}
		select {
		case <-news:
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// strike takes everything down, in the reverse order.
func (s *stage) strike() error {
	var errs []error
	if s.child != nil {
		s.child.stop()
	}
	if s.fsys != nil {
		ctx, cancel := context.WithTimeout(context.Background(), demoHold)
		defer cancel()
		s.fsys.Sync(ctx, false)
		ctx, cancel = context.WithTimeout(context.Background(), demoHold)
		defer cancel()
		err := s.fsys.Unmount(ctx)
		switch {
		case err == nil:
			s.fsys.Close()
		case !errors.Is(err, context.DeadlineExceeded): // else a copy in another mount namespace ends with us
			errs = append(errs, fmt.Errorf("cannot unmount %s/mnt: %w; try fusermount3 -uz", s.dir, err))
		}
	}
	if s.session != nil {
		s.session.Close()
	}
	if s.unplug != nil {
		s.unplug()
	}
	if s.server != nil {
		s.server.Close()
	}
	if s.dir != "" && len(errs) == 0 {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// show runs a command that looks at the mount, and prints what it prints.
func (s *stage) show(ctx context.Context, as string, words ...string) error {
	out, err := s.run(ctx, as, words...)
	fmt.Print(indent(out))
	return err
}

func (s *stage) run(ctx context.Context, as string, words ...string) (string, error) {
	say("    $ %s", as)
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w", as, err)
	}
	return string(out), err
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("    " + line)
	}
	return b.String()
}

// store has the program store a number and ask whether it is safe.
func (s *stage) store(ctx context.Context, digits, want string) error {
	if _, err := s.child.ask(ctx, "store "+digits); err != nil {
		return err
	}
	return s.msync(ctx, want)
}

func (s *stage) msync(ctx context.Context, want string) error {
	began := time.Now()
	got, err := s.child.ask(ctx, "msync")
	if err != nil {
		return err
	}
	answer := "0: the store is safe on the server"
	if got != "" {
		answer = "-1 " + got
	}
	say("    msync(mapped, 4096, MS_SYNC) = %s   (%v)", answer, time.Since(began).Round(time.Millisecond))
	if got != want {
		return fmt.Errorf("msync was to say %q and said %q", want, got)
	}
	return nil
}

func (s *stage) serverHas(want string) error {
	b, err := os.ReadFile(filepath.Join(s.dir, "tree", "counter"))
	if err != nil {
		return err
	}
	say("    the server's file begins with %q", b[:min(4, len(b))])
	if !bytes.HasPrefix(b, []byte(want)) {
		return fmt.Errorf("the server's file was to begin with %q", want)
	}
	return nil
}

// journal prints .errors until it has a line with want, or gives up.
func (s *stage) journal(ctx context.Context, want string) error {
	path := filepath.Join(s.dir, "mnt", ".errors")
	for deadline := time.Now().Add(demoHold); ; {
		out, err := exec.CommandContext(ctx, "cat", path).Output()
		if err != nil {
			return fmt.Errorf("cat .errors: %w", err)
		}
		if strings.Contains(string(out), want) {
			say("    $ cat mnt/.errors")
			fmt.Print(indent(string(out)))
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf(".errors was to have a line with %s:\n%s", want, out)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// A mapper is the program that maps: a process of its own, because this one
// serves the mount and must not wait for itself in a page fault.
type mapper struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out chan string
}

func startMapper(ctx context.Context, path string) (*mapper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	m := &mapper{cmd: exec.CommandContext(ctx, self, "demo-child", path), out: make(chan string)}
	m.cmd.Stderr = os.Stderr
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us
	if m.in, err = m.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(m.out)
		for r := bufio.NewScanner(out); r.Scan(); {
			m.out <- r.Text()
		}
	}()
	if _, err := m.ask(ctx, ""); err != nil {
		m.stop()
		return nil, err
	}
	return m, nil
}

// ask has the child do something and returns its answer: "" or an errno's name.
func (m *mapper) ask(ctx context.Context, what string) (string, error) {
	if what != "" {
		if _, err := fmt.Fprintln(m.in, what); err != nil {
			return "", fmt.Errorf("the demo's child: %w", err)
		}
	}
	select {
	case answer, ok := <-m.out:
		if !ok || strings.HasPrefix(answer, "!") {
			return "", fmt.Errorf("the demo's child failed: %s", strings.TrimPrefix(answer, "!"))
		}
		return answer, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func (m *mapper) stop() {
	m.in.Close()
	m.cmd.Process.Kill()
	for range m.out {
	}
	m.cmd.Wait()
}
