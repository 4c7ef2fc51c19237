package p9client

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// DefaultPort is 9P's.
const DefaultPort = "564"

// An Address tells where a server listens.
type Address struct {
	Network string // "tcp" or "unix"
	Addr    string // host:port or path
}

const forms = "use tcp!host!port, unix!/path, host, host:port or /path"

// ParseAddress reads an address: tcp!host!port, tcp!host, unix!/path, or the
// plain forms host, host:port, [v6]:port, /path and ./path.
func ParseAddress(s string) (Address, error) {
	network, rest, dialString := strings.Cut(s, "!")
	why := ""
	switch {
	case s == "":
		why = "is empty"
	case strings.ContainsRune(s, 0):
		why = "has a NUL byte"
	case dialString && network == "unix" && rest != "":
		return Address{"unix", rest}, nil
	case dialString && network == "unix":
		why = "has no path"
	case dialString && (network == "tcp" || network == "net"):
		host, port, ok := strings.Cut(rest, "!")
		if !ok {
			port = DefaultPort
		}
		return tcpAddress(s, host, port)
	case dialString:
		why = fmt.Sprintf("names an unknown network %q", network)
	case strings.HasPrefix(s, "/"), strings.HasPrefix(s, "./"), strings.HasPrefix(s, "../"):
		return Address{"unix", s}, nil
	case strings.Contains(s, "/"):
		why = "is neither a host nor an absolute path"
	default:
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			host, port = strings.Trim(s, "[]"), DefaultPort
		}
		return tcpAddress(s, host, port)
	}
	return Address{}, fmt.Errorf("address %q %s; %s", s, why, forms)
}

func tcpAddress(s, host, port string) (Address, error) {
	if port == "9fs" || port == "9pfs" {
		port = DefaultPort
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case host == "":
		return Address{}, fmt.Errorf("address %q has no host; %s", s, forms)
	case err != nil:
		return Address{}, fmt.Errorf("address %q: port %q is not a number from 0 to 65535; %s", s, port, forms)
	case strings.Contains(host, ":") && net.ParseIP(strings.SplitN(host, "%", 2)[0]) == nil:
		return Address{}, fmt.Errorf("address %q: host %q is not a name or an IP address; %s", s, host, forms)
	}
	return Address{"tcp", net.JoinHostPort(host, strconv.FormatUint(n, 10))}, nil
}

// String returns the dial string, which ParseAddress reads back.
func (a Address) String() string {
	if a.Network == "tcp" {
		if host, port, err := net.SplitHostPort(a.Addr); err == nil {
			return "tcp!" + host + "!" + port
		}
	}
	return a.Network + "!" + a.Addr
}

func (a Address) dial(ctx context.Context, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	return d.DialContext(ctx, a.Network, a.Addr)
}
