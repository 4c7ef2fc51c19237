package p9client

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dialFD makes a connection of inherited descriptors, N or R,W, and takes them:
// they are closed, or stand for /dev/null if they are standard ones.
func dialFD(addr string) (net.Conn, error) {
	rs, ws, two := strings.Cut(addr, ",")
	r, err := strconv.Atoi(rs)
	if err != nil {
		return nil, err
	}
	if !two {
		if err := checkFD(r, unix.O_RDWR); err != nil {
			return nil, err
		}
		return takeSocket(r)
	}
	w, err := strconv.Atoi(ws)
	if err != nil {
		return nil, err
	}
	if err := checkFD(r, unix.O_RDONLY); err != nil {
		return nil, err
	}
	if err := checkFD(w, unix.O_WRONLY); err != nil {
		return nil, err
	}
	rf, err := takeFD(r)
	if err != nil {
		return nil, err
	}
	wf, err := takeFD(w)
	if err != nil {
		rf.Close()
		return nil, err
	}
	return &fileConn{r: rf, w: wf}, nil
}

// checkFD returns why a descriptor cannot be used in a mode.
func checkFD(fd, mode int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return fmt.Errorf("descriptor %d is not open (%w)", fd, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("descriptor %d: %w", fd, err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		if typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || typ != unix.SOCK_STREAM {
			return fmt.Errorf("descriptor %d is not a stream socket", fd)
		}
	case unix.S_IFIFO:
		if mode == unix.O_RDWR {
			return fmt.Errorf("descriptor %d is a pipe; name one to read and one to write, fd!R,W", fd)
		}
	default:
		return fmt.Errorf("descriptor %d is neither a stream socket nor a pipe", fd)
	}
	if have := flags & unix.O_ACCMODE; have != unix.O_RDWR && have != mode {
		return fmt.Errorf("descriptor %d has the wrong direction; the one to read comes first in fd!R,W", fd)
	}
	return nil
}

// takeFD moves a descriptor to where nobody else knows it.
func takeFD(fd int) (*os.File, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	if err := unix.SetNonblock(n, true); err != nil { // so that it can be waited for with a deadline
		unix.Close(n)
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	if err := giveBack(fd); err != nil {
		unix.Close(n)
		return nil, err
	}
	return os.NewFile(uintptr(n), fmt.Sprintf("fd!%d", fd)), nil
}

// giveBack ends the use of a descriptor under its old number. The numbers of the
// standard ones stay in use, lest something else be opened there.
func giveBack(fd int) error {
	if fd > 2 {
		return unix.Close(fd)
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", os.DevNull, err)
	}
	defer unix.Close(null)
	return unix.Dup3(null, fd, 0)
}

func takeSocket(fd int) (net.Conn, error) {
	f, err := takeFD(fd)
	if err != nil {
		return nil, err
	}
	nc, err := net.FileConn(f)
	if err != nil { // a family that package net does not know
		return &fileConn{r: f, w: f}, nil
	}
	f.Close()
	return nc, nil
}

// A fileConn is a connection made of open files.
type fileConn struct{ r, w *os.File }

func (c *fileConn) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c *fileConn) Write(p []byte) (int, error) { return c.w.Write(p) }
func (c *fileConn) LocalAddr() net.Addr         { return fdName(c.r.Name()) }
func (c *fileConn) RemoteAddr() net.Addr        { return fdName(c.w.Name()) }

func (c *fileConn) Close() error {
	if c.r == c.w {
		return c.r.Close()
	}
	return errors.Join(c.r.Close(), c.w.Close())
}

func (c *fileConn) SetReadDeadline(t time.Time) error  { return c.r.SetReadDeadline(t) }
func (c *fileConn) SetWriteDeadline(t time.Time) error { return c.w.SetWriteDeadline(t) }
func (c *fileConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SyscallConn is of the one descriptor that there is; see rawConn.
func (c *fileConn) SyscallConn() (syscall.RawConn, error) { return c.w.SyscallConn() }

type fdName string

func (n fdName) Network() string { return "fd" }
func (n fdName) String() string  { return string(n) }
