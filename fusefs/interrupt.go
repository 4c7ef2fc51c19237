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
	return fsys.until(ctx, dying)
}

// stoppable is interruptible for requests that also end when the caller was asked
// to stop, by a signal that it catches: a Go program catches all, and the thread
// that waits for us may be the one that was to handle it.
func (fsys *FS) stoppable(ctx context.Context) (context.Context, func()) {
	return fsys.until(ctx, func(tid uint32) bool { return dying(tid) || pending(tid)&stops != 0 })
}

func (fsys *FS) until(ctx context.Context, over func(tid uint32) bool) (context.Context, func()) {
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
		for !fsys.o.Interruptible && pid != 0 && !over(pid) {
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
	m, err := signals(tid)
	return err != nil || (m["SigPnd"]|m["ShdPnd"])&^(m["SigBlk"]|m["SigIgn"]|m["SigCgt"]|notDeadly) != 0
}

// pending are the signals that wait to be handled by a thread.
func pending(tid uint32) uint64 {
	m, _ := signals(tid)
	return (m["SigPnd"] | m["ShdPnd"]) &^ (m["SigBlk"] | m["SigIgn"])
}

// signals are a thread's masks, as proc(5) names them.
func signals(tid uint32) (map[string]uint64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	masks := make(map[string]uint64)
	for s := bufio.NewScanner(f); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), ":")
		if state := strings.TrimSpace(value); key == "State" && (strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")) {
			return nil, syscall.ESRCH // it waits for its parent only
		}
		if strings.HasPrefix(key, "Sig") || key == "ShdPnd" {
			masks[key], _ = strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	return masks, nil
}

// stops are the signals by which people end programs.
var stops = maskOf(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)

// notDeadly are the signals whose default action does not end a process.
var notDeadly = maskOf(
	syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH,
	syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU,
)

func maskOf(l ...syscall.Signal) (m uint64) {
	for _, s := range l {
		m |= 1 << (s - 1)
	}
	return m
}
