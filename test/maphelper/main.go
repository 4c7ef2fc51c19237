package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	noPreemption = "asyncpreemptoff=1"
	// A goroutine in a page fault keeps its processor, as far as the scheduler knows.
	processors = 64
	memory     = 2 << 30
)

func main() {
	if err := quiet(); err != nil {
		fmt.Fprintln(os.Stderr, "maphelper:", err)
		os.Exit(1)
	}
	h := &helper{out: os.Stdout, slots: make(map[int]*slot)}
	if err := h.serve(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "maphelper:", err)
		os.Exit(1)
	}
}

// quiet stops everything in the runtime that would signal or wait for a faulting thread.
// The preemption switch is read once, at the start of the process: so the process starts again.
func quiet() error {
	if old := os.Getenv("GODEBUG"); !strings.Contains(old, noPreemption) {
		if err := os.Setenv("GODEBUG", strings.TrimPrefix(old+","+noPreemption, ",")); err != nil {
			return err
		}
		return fmt.Errorf("start again: %w", syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
	}
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memory)
	runtime.GOMAXPROCS(processors)
	return nil
}

// helper reads commands and writes answers.
type helper struct {
	slots map[int]*slot // used by serve alone
	mu    sync.Mutex    // one answer at a time goes to out
	out   io.Writer
}

// serve does commands until in ends.
func (h *helper) serve(in io.Reader) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		line, err := r.ReadString('\n')
		if line = strings.TrimSpace(line); line != "" {
			h.do(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// do starts one command and waits for it, unless the line has an &ID.
func (h *helper) do(line string) {
	prefix := ""
	if line[0] == '&' {
		var id string
		id, line, _ = strings.Cut(line, " ")
		prefix = id + " "
	}
	line = strings.TrimSpace(line)
	rest, timed := strings.CutPrefix(line, "time ")
	done := make(chan struct{})
	answer := func(a string, took time.Duration) {
		if timed {
			a += fmt.Sprintf(" us=%d", took.Microseconds())
		}
		h.mu.Lock()
		fmt.Fprintf(h.out, "%s%s\n", prefix, a)
		h.mu.Unlock()
		close(done)
	}
	h.start(rest, answer)
	if prefix == "" {
		<-done
	}
}

func (h *helper) start(line string, answer func(string, time.Duration)) {
	args, err := words(line)
	switch {
	case err != nil:
		answer("bad "+err.Error(), 0)
		return
	case len(args) > 0 && args[0] == "exit":
		code := 0
		if len(args) > 1 {
			code, _ = strconv.Atoi(args[1])
		}
		os.Exit(code)
	case len(args) < 2:
		answer(fmt.Sprintf("bad %q: COMMAND SLOT ... or exit", line), 0)
		return
	}
	n, err := strconv.Atoi(args[1])
	if err != nil || n < 0 || n >= maxSlots {
		answer(fmt.Sprintf("bad slot %q", args[1]), 0)
		return
	}
	c, ok := commands[args[0]]
	if args = args[2:]; !ok || len(args) < c.min || len(args) > c.max {
		answer(fmt.Sprintf("bad %q: unknown, or has too few or too many words", line), 0)
		return
	}
	s := h.slots[n]
	if s == nil {
		s = newSlot()
		h.slots[n] = s
	}
	select {
	case s.queue <- task{c, args, answer}:
	default:
		answer("bad: too many commands wait for the slot", 0)
	}
}

// words splits at spaces; a word that begins with a quote is a Go string.
func words(line string) ([]string, error) {
	var out []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] != '"' {
			var w string
			w, line, _ = strings.Cut(line, " ")
			out = append(out, w)
			continue
		}
		q, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, fmt.Errorf("a quote is not closed in %s", line)
		}
		w, err := strconv.Unquote(q)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
		line = line[len(q):]
	}
	return out, nil
}
