package fusefs

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// fatalPoll is how often a caller that was interrupted is looked at: the kernel
// tells of its first signal only.
const fatalPoll = 50 * time.Millisecond

// interruptible returns a context for a request that ends when the caller is
// about to die, or, if the mount was asked for that, at any signal.
func (fsys *FS) interruptible(ctx context.Context) (context.Context, func()) {
	out, cancel := context.WithCancel(fsys.ctx)
	interrupted := ctx.Done()
	if interrupted == nil {
		return out, cancel
	}
	pid := uint32(0)
	if c, ok := fuse.FromContext(ctx); ok {
		pid = c.Pid
	}
	finished := make(chan struct{})
	go func() {
		select {
		case <-finished:
			return
		case <-interrupted:
		}
		for !fsys.o.Interruptible && pid != 0 && !dying(pid) {
			select {
			case <-finished:
				return
			case <-time.After(fatalPoll):
			}
		}
		cancel()
	}()
	return out, func() { close(finished); cancel() }
}

// dying reports whether a thread has SIGKILL pending, or any signal that it
// neither catches nor ignores and whose default is to end it. A thread that has
// ended, or is gone, is dying too.
func dying(tid uint32) bool {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return true
	}
	defer f.Close()
	var pending, harmless uint64
	for s := bufio.NewScanner(f); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), ":")
		if state := strings.TrimSpace(value); key == "State" && (strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")) {
			return true // waits for its parent only
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		switch {
		case key == "SigPnd" || key == "ShdPnd":
			pending |= mask
		case err == nil && (key == "SigBlk" || key == "SigIgn" || key == "SigCgt"):
			harmless |= mask
		}
	}
	return pending&^(harmless|notDeadly) != 0
}

// notDeadly are the signals whose default action does not end a process.
var notDeadly = func() (m uint64) {
	for _, s := range []syscall.Signal{
		syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH,
		syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU,
	} {
		m |= 1 << (s - 1)
	}
	return m
}()
