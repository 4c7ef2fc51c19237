package export

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketMode of a unix socket: its owner may connect. Whoever shall connect
// besides needs a chmod, or a directory of his own.
const socketMode = 0o600

// Listen listens on network "tcp" at host:port or "unix" at a path. A socket file
// left behind by a dead server is replaced; one that somebody listens on, or a
// file of another kind, is an error. The socket has mode 0600 from its first
// moment, and goes when the listener is closed.
func Listen(network, address string) (net.Listener, error) {
	var lc net.ListenConfig
	switch network {
	case "tcp", "tcp4", "tcp6":
	case "unix":
		if err := removeStale(address); err != nil {
			return nil, err
		}
		lc.Control = func(_, _ string, rc syscall.RawConn) error {
			var err error
			// bind(2) takes the mode of the socket's own inode for the file.
			if cerr := rc.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), socketMode) }); cerr != nil {
				return cerr
			}
			return err
		}
	default:
		return nil, fmt.Errorf("listen %s: network %q is neither tcp nor unix", address, network)
	}
	return lc.Listen(context.Background(), network, address)
}

// removeStale removes the socket at path if nobody listens on it.
func removeStale(path string) error {
	was, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if was.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("listen %s: exists and is not a socket", path)
	}
	c, err := net.DialTimeout("unix", path, 5*time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("listen %s: %w", path, syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("listen %s: is it in use? %w", path, err)
	}
	if now, err := os.Lstat(path); err != nil || !os.SameFile(was, now) {
		return fmt.Errorf("listen %s: %w", path, syscall.EADDRINUSE) // another server was faster
	}
	return os.Remove(path)
}
