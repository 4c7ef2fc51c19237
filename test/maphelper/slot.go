package main

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxSlots = 1000
	maxQueue = 1000
	maxMove  = 1 << 20 // bytes that an answer may carry
)

// slot holds an open file and a mapping; everything but queue belongs to its goroutine.
type slot struct {
	queue  chan task
	fd     int // -1: none
	mem    []byte
	memOff int64 // offset of mem in the file
	buf    []byte
}

type task struct {
	command
	args   []string
	answer func(string, time.Duration)
}

// command is a verb: how many words follow the slot, and what it does with them.
type command struct {
	min, max int
	do       func(*slot, []string) (string, error)
}

func newSlot() *slot {
	s := &slot{queue: make(chan task, maxQueue), fd: -1, buf: make([]byte, maxMove)}
	go s.run()
	return s
}

func (s *slot) run() {
	runtime.LockOSThread()
	debug.SetPanicOnFault(true)
	for t := range s.queue {
		start := time.Now()
		data, err := s.guard(t)
		took := time.Since(start)
		t.answer(format(data, err), took)
	}
}

// sigbus is a fault at that offset of the file.
type sigbus int64

func (e sigbus) Error() string { return fmt.Sprintf("SIGBUS %#x", int64(e)) }

// guard does the task and turns a fault inside the mapping into an error.
func (s *slot) guard(t task) (data string, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case interface {
			runtime.Error
			Addr() uintptr
		}:
			at := int64(r.Addr()) - int64(base(s.mem))
			if at < 0 || at >= int64(len(s.mem)) {
				panic(r)
			}
			err = sigbus(s.memOff + at)
		default:
			panic(r)
		}
	}()
	return t.do(s, t.args)
}

func format(data string, err error) string {
	var fault sigbus
	var errno syscall.Errno
	switch {
	case errors.As(err, &fault):
		return fault.Error()
	case errors.As(err, &errno):
		if name := unix.ErrnoName(errno); name != "" {
			return "err " + name
		}
		return "err " + strconv.Itoa(int(errno))
	case err != nil:
		return "bad " + err.Error()
	case data == "":
		return "ok"
	}
	return "ok " + data
}

// number parses a size or offset: not negative.
func number(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("number %q", s)
	}
	return n, nil
}

// numbers parses as many leading words as there are places.
func numbers(args []string, places ...*int64) error {
	for i, p := range places {
		n, err := number(args[i])
		if err != nil {
			return err
		}
		*p = n
	}
	return nil
}
