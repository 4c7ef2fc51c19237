package p9client

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"

	"github.com/kballard/go-shellquote"
)

// DefaultPort is 9P's.
const DefaultPort = "564"

// An Address tells how to reach a server.
type Address struct {
	Network string // "tcp", "tls", "unix", "vsock", "fd" or "exec"
	Addr    string // host:port, host:port, path, cid:port, N or R,W, command line
}

const forms = "use tcp!host!port, unix!/path, host, host:port or /path (or tls!host!port, vsock!cid!port, fd!N, fd!R,W, exec!command)"

// ParseAddress reads one address; the comma has no meaning but in fd!R,W:
//
//	tcp!host!port   tcp!host   host   host:port   [v6]:port
//	tls!host!port   tls!host
//	unix!/path   /path   ./path   ../path
//	vsock!cid!port   vsock!cid
//	fd!N   fd!R,W
//	exec!command args...
//
// The default port is 564. A cid is a number, or host (2), hypervisor (0) or
// local (1), see vsock(7). N is an inherited descriptor of a stream socket; R and
// W are one to read and one to write. The command's words are split as a shell
// does, with quotes and backslashes, but nothing is expanded.
func ParseAddress(s string) (Address, error) {
	network, rest, dialString := strings.Cut(s, "!")
	why := ""
	switch {
	case s == "":
		why = "is empty"
	case strings.ContainsRune(s, 0):
		why = "has a NUL byte"
	case dialString:
		return dialStringAddress(s, network, rest)
	case strings.HasPrefix(s, "/"), strings.HasPrefix(s, "./"), strings.HasPrefix(s, "../"):
		return Address{"unix", s}, nil
	case strings.Contains(s, "/"):
		why = "is neither a host nor an absolute path"
	default:
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			host, port = strings.Trim(s, "[]"), DefaultPort
		}
		return hostAddress(s, "tcp", host, port)
	}
	return Address{}, fmt.Errorf("address %q %s; %s", s, why, forms)
}

// dialStringAddress is ParseAddress of network!rest.
func dialStringAddress(s, network, rest string) (Address, error) {
	first, port, ok := strings.Cut(rest, "!")
	if !ok {
		port = DefaultPort
	}
	switch network {
	case "tcp", "net":
		return hostAddress(s, "tcp", first, port)
	case "tls":
		return hostAddress(s, "tls", first, port)
	case "unix":
		if rest == "" {
			return Address{}, fmt.Errorf("address %q has no path; %s", s, forms)
		}
		return Address{"unix", rest}, nil
	case "vsock":
		return vsockAddress(s, first, port)
	case "fd":
		return fdAddress(s, rest)
	case "exec":
		words, err := shellquote.Split(rest)
		if err != nil {
			return Address{}, fmt.Errorf("address %q: %w; quote the command's words as for a shell", s, err)
		}
		if len(words) == 0 || words[0] == "" {
			return Address{}, fmt.Errorf("address %q has no command; write one like exec!ssh host u9fs", s)
		}
		return Address{"exec", rest}, nil
	}
	return Address{}, fmt.Errorf("address %q names an unknown network %q; %s", s, network, forms)
}

func hostAddress(s, network, host, port string) (Address, error) {
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
	return Address{network, net.JoinHostPort(host, strconv.FormatUint(n, 10))}, nil
}

// cids are the words for context ids of vsock(7).
var cids = map[string]string{"hypervisor": "0", "local": "1", "host": "2"}

func vsockAddress(s, cid, port string) (Address, error) {
	if n, ok := cids[cid]; ok {
		cid = n
	}
	c, err := strconv.ParseUint(cid, 10, 32)
	if err != nil || c == math.MaxUint32 { // which is VMADDR_CID_ANY
		return Address{}, fmt.Errorf("address %q: cid %q is not a number below 4294967295; give that, or host, hypervisor or local, as in vsock!host!564", s, cid)
	}
	p, err := strconv.ParseUint(port, 10, 32)
	if err != nil || p == math.MaxUint32 { // VMADDR_PORT_ANY
		return Address{}, fmt.Errorf("address %q: port %q is not a number below 4294967295; write it like vsock!host!564", s, port)
	}
	return Address{"vsock", fmt.Sprintf("%d:%d", c, p)}, nil
}

func fdAddress(s, rest string) (Address, error) {
	r, w, two := strings.Cut(rest, ",")
	if !two {
		w = r
	}
	rn, rerr := strconv.ParseUint(r, 10, 31)
	wn, werr := strconv.ParseUint(w, 10, 31)
	switch {
	case rerr != nil || werr != nil:
		return Address{}, fmt.Errorf("address %q: %q is not the number of a descriptor, nor two with a comma; write it like fd!3 or fd!0,1", s, rest)
	case rn == wn:
		return Address{"fd", fmt.Sprint(rn)}, nil
	}
	return Address{"fd", fmt.Sprintf("%d,%d", rn, wn)}, nil
}

// ParseAddresses reads addresses separated by commas, as for Dial and
// Options.Fallback. A comma that belongs to an address is written with a
// backslash before it; in the command of exec!, quotes keep it too. A number
// behind fd!N belongs to that: fd!0,1,host is fd!0,1 and host.
func ParseAddresses(s string) ([]Address, error) {
	var l []Address
	for _, part := range splitList(s) {
		a, err := ParseAddress(part)
		if err != nil && part != s {
			err = fmt.Errorf("%w (in the list %q, where a comma that does not end an address is written \\,)", err, s)
		}
		if err != nil {
			return nil, err
		}
		l = append(l, a)
	}
	return l, nil
}

// splitList splits s at the commas that end an address.
func splitList(s string) (parts []string) {
	for first := true; ; first = false {
		if !first {
			s = strings.TrimLeft(s, " ")
		}
		part, rest, more := cutAddress(s)
		parts = append(parts, part)
		if !more {
			return parts
		}
		s = rest
	}
}

// cutAddress cuts the first address off a list, without its backslashes before
// commas; those in a command are left to the splitting of its words.
func cutAddress(s string) (part, rest string, more bool) {
	command := strings.HasPrefix(s, "exec!")
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case command && c == quote:
			quote = 0
		case command && quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case c == '\\' && i+1 < len(s) && command && quote != '\'':
			b.WriteByte(c)
			i++
			c = s[i]
		case c == '\\' && i+1 < len(s) && !command && s[i+1] == ',':
			i++
			c = ','
		case c == ',' && quote == 0 && !secondDescriptor(b.String(), s[i+1:]):
			return b.String(), s[i+1:], true
		}
		b.WriteByte(c)
	}
	return b.String(), "", false
}

// secondDescriptor tells whether a comma stands between the numbers of fd!R,W.
func secondDescriptor(part, rest string) bool {
	r, isFD := strings.CutPrefix(part, "fd!")
	w, _, _ := strings.Cut(rest, ",")
	return isFD && isNumber(r) && isNumber(w)
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// String returns the dial string, which ParseAddress reads back.
func (a Address) String() string {
	switch a.Network {
	case "tcp", "tls", "vsock":
		if host, port, err := net.SplitHostPort(a.Addr); err == nil {
			return a.Network + "!" + host + "!" + port
		}
	}
	return a.Network + "!" + a.Addr
}
