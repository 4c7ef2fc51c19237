package raw

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// conn is a connected socket in blocking mode: one system call a read, and no trip through the poller.
type conn struct {
	f  *os.File
	fd int
}

func dial(ctx context.Context, network, addr string) (*conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	fc, ok := c.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("a %s connection has no descriptor", network)
	}
	f, err := fc.File()
	if err != nil {
		return nil, err
	}
	return &conn{f: f, fd: int(f.Fd())}, nil // Fd makes it blocking
}

func (c *conn) Read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(c.fd, b)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (c *conn) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, err := syscall.Write(c.fd, b[done:])
		if err != nil && err != syscall.EINTR {
			return done, os.NewSyscallError("write", err)
		}
		done += max(n, 0)
	}
	return done, nil
}

// shut makes reads and writes under way return.
func (c *conn) shut() { syscall.Shutdown(c.fd, syscall.SHUT_RDWR) }

// call sends one T-message and reads its reply, at most limit bytes long.
func (c *conn) call(m message, limit int) ([]byte, error) {
	if _, err := c.Write(m.end()); err != nil {
		return nil, err
	}
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	size := int(le.Uint32(head))
	if size < headerSize || size > limit {
		return nil, fmt.Errorf("a reply of %d bytes", size)
	}
	r := append(head, make([]byte, size-headerSize)...)
	if _, err := io.ReadFull(c, r[headerSize:]); err != nil {
		return nil, err
	}
	if err := replyError(r); err != nil {
		return nil, err
	}
	if r[4] != m[4]+1 || le.Uint16(r[5:]) != le.Uint16(m[5:]) {
		return nil, fmt.Errorf("reply of type %d tag %d to type %d tag %d", r[4], le.Uint16(r[5:]), m[4], le.Uint16(m[5:]))
	}
	return r, nil
}

// ParseAddress takes tcp!host!port, unix!/path, host:port and /path, as p9mapfs does, to what net.Dial takes.
func ParseAddress(s string) (network, addr string, err error) {
	switch parts := strings.Split(s, "!"); {
	case strings.HasPrefix(s, "/"):
		return "unix", s, nil
	case strings.HasPrefix(s, "unix!/"):
		return "unix", s[len("unix!"):], nil
	case len(parts) == 3 && parts[0] == "tcp":
		return "tcp", net.JoinHostPort(parts[1], parts[2]), nil
	case len(parts) == 1:
		if _, _, err := net.SplitHostPort(s); err == nil {
			return "tcp", s, nil
		}
	}
	return "", "", fmt.Errorf("address %q: tcp!host!port, unix!/path, host:port or /path", s)
}
