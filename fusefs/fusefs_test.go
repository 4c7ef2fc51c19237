package fusefs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"p9mapfs/p9client"
)

type lost struct{}

func (lost) Error() string      { return "lost" }
func (lost) Disconnected() bool { return true }
func (lost) Unwrap() error      { return syscall.ETIMEDOUT }

func TestErrno(t *testing.T) {
	for _, c := range []struct {
		err        error
		want, read syscall.Errno
	}{
		{nil, 0, 0},
		{syscall.ENOSPC, syscall.ENOSPC, syscall.ENOSPC},
		{fmt.Errorf("write: %w", syscall.EDQUOT), syscall.EDQUOT, syscall.EDQUOT},
		{lost{}, syscall.ETIMEDOUT, syscall.EIO},
		{syscall.EPROTO, syscall.EIO, syscall.EIO},
		{context.Canceled, syscall.EINTR, syscall.EINTR},
		{context.DeadlineExceeded, syscall.ETIMEDOUT, syscall.ETIMEDOUT},
		{errors.New("words"), syscall.EIO, syscall.EIO},
	} {
		if got := toErrno(c.err); got != c.want {
			t.Errorf("toErrno(%v) = %v, want %v", c.err, got, c.want)
		}
		if got := readErrno(c.err); got != c.read {
			t.Errorf("readErrno(%v) = %v, want %v", c.err, got, c.read)
		}
	}
}

func TestValidity(t *testing.T) {
	now := time.Unix(1000, 5)
	base := validity{version: 7, size: 10, mtime: now, ctime: now}
	for _, c := range []struct {
		name   string
		change func(*validity)
		same   bool
	}{
		{"nothing", func(*validity) {}, true},
		{"version decides", func(v *validity) { v.version = 8 }, false},
		{"version decides alone", func(v *validity) { v.mtime = now.Add(1) }, true},
		{"version 0 is none", func(v *validity) { v.version = 0 }, true},
		{"then mtime", func(v *validity) { v.version = 0; v.mtime = now.Add(1) }, false},
		{"and ctime", func(v *validity) { v.version = 0; v.ctime = now.Add(1) }, false},
		{"and size", func(v *validity) { v.version = 0; v.size = 11 }, false},
	} {
		v := base
		c.change(&v)
		if got := base.same(v); got != c.same {
			t.Errorf("%s: same = %v", c.name, got)
		}
	}
}

func TestSetattrFields(t *testing.T) {
	in := &fuse.SetAttrIn{}
	in.Valid = fuse.FATTR_MODE | fuse.FATTR_MTIME | fuse.FATTR_MTIME_NOW | fuse.FATTR_ATIME
	in.Mode = syscall.S_IFREG | 0o4755
	in.Atime, in.Atimensec = 12, 34
	got := setAttr(in)
	want := p9client.SetAttr{
		Valid: p9client.SetMode | p9client.SetMtime | p9client.SetAtime | p9client.SetAtimeTo,
		Mode:  0o4755, Atime: time.Unix(12, 34),
	}
	if got.Valid != want.Valid || got.Mode != want.Mode || !got.Atime.Equal(want.Atime) || !got.Mtime.IsZero() {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A process is dying when a signal is pending that will end it, and not because
// of one that it ignores.
func TestDying(t *testing.T) {
	if dying(uint32(os.Getpid())) {
		t.Error("this process is not dying")
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	pid := cmd.Process.Pid
	// A stopped process keeps its signals pending.
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	await := func(what string, cond func() bool) {
		for deadline := time.Now().Add(5 * time.Second); !cond(); {
			if time.Now().After(deadline) {
				t.Fatalf("waited for: %s", what)
			}
			time.Sleep(time.Millisecond)
		}
	}
	await("SIGSTOP to stop it", func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		return strings.Contains(string(b), "State:\tT")
	})
	cmd.Process.Signal(syscall.SIGWINCH)
	if dying(uint32(pid)) {
		t.Error("SIGWINCH ends nobody")
	}
	cmd.Process.Signal(syscall.SIGTERM)
	await("SIGTERM to be seen", func() bool { return dying(uint32(pid)) })
	cmd.Process.Kill()
	await("a process that has ended to be seen", func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		return strings.Contains(string(b), "State:\tZ")
	})
	if !dying(uint32(pid)) {
		t.Error("a process that has ended is dying, though its parent has not asked for its status")
	}
	cmd.Wait()
	if !dying(uint32(pid)) {
		t.Error("a process that is gone is dying")
	}
}
