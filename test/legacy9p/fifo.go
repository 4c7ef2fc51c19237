package legacy9p

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fifo is an open FIFO. Its requests wait for the other end, one at a time, until their Tflush.
type fifo struct {
	*os.File
	turn chan struct{} // holds one token; whoever has it may set the deadline
}

func newFIFO(fd int) *fifo {
	f := &fifo{File: os.NewFile(uintptr(fd), "fifo"), turn: make(chan struct{}, 1)}
	f.turn <- struct{}{}
	return f
}

var errInterrupted = errors.New("interrupted")

func (f *fifo) read(ctx, session context.Context, b []byte) (int, error) {
	return f.do(ctx, session, func() (int, error) {
		n, err := f.Read(b)
		if err == io.EOF {
			err = nil
		}
		return n, err
	})
}

func (f *fifo) write(ctx, session context.Context, b []byte) (int, error) {
	return f.do(ctx, session, func() (int, error) { return f.Write(b) })
}

// do ends when one of the contexts does, with what had been transferred.
func (f *fifo) do(ctx, session context.Context, transfer func() (int, error)) (int, error) {
	select {
	case <-f.turn:
	case <-ctx.Done():
		return 0, errInterrupted
	case <-session.Done():
		return 0, errInterrupted
	}
	defer func() { f.turn <- struct{}{} }()
	f.SetDeadline(time.Time{})
	for _, c := range []context.Context{ctx, session} {
		expired := make(chan struct{})
		stop := context.AfterFunc(c, func() {
			f.SetDeadline(time.Unix(1, 0))
			close(expired)
		})
		defer func() {
			if !stop() {
				<-expired // before the next one sets the deadline
			}
		}()
	}
	n, err := transfer()
	switch {
	case n > 0:
		return n, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, errInterrupted
	case errors.Is(err, unix.EPIPE):
		return 0, unix.EPIPE
	}
	return n, err
}
