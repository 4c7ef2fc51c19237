package p9test

import "time"

// Kind says which 9P server exports the directory.
type Kind int

const (
	Embedded  Kind = iota // p9mapfs serve
	Diod                  // Debian's diod, at 127.0.0.1
	Legacy                // 9P2000 (package legacy9p), msize 8216
	Legacy128             // 9P2000, msize 131096
	LegacyU               // 9P2000.u, msize 8216
	Ganesha               // Debian's nfs-ganesha, in tests that call Isolated only
	Forgetful             // 9P2000.L (package forgetful): what no Tfsync covered is lost by Crash
)

func (k Kind) String() string {
	return [...]string{"embedded", "diod", "legacy", "legacy128", "legacyU", "ganesha", "forgetful"}[k]
}

// legacyFlags are what legacy9p is given for a kind, and whether it is the server of that kind.
func (k Kind) legacyFlags() (flags []string, ok bool) {
	switch k {
	case Legacy:
		return nil, true
	case Legacy128:
		return []string{"--msize", "131096"}, true
	case LegacyU:
		return []string{"--u"}, true
	}
	return nil, false
}

// Option changes what Mount and StartServer do.
type Option func(*config)

type config struct {
	kind       Kind
	tcp        bool
	serveFlags []string
	server     *Server
	mountFlags []string
	proxied    bool
	rules      []string
	exits      []int
	exitTime   time.Duration
	bin        string // p9mapfs; empty: Binary. For our own tests
	at         string // address to mount; empty: the server's
}

func newConfig(opts []Option) *config {
	c := &config{exits: []int{0}, exitTime: 45 * time.Second}
	for _, o := range opts {
		o(c)
	}
	return c
}

// WithServer chooses the server; without it, it is Embedded.
func WithServer(k Kind) Option { return func(c *config) { c.kind = k } }

// OverTCP makes an Embedded, Forgetful or legacy server listen on 127.0.0.1 instead of a unix socket.
func OverTCP() Option { return func(c *config) { c.tcp = true } }

// ServeFlags are given to `p9mapfs serve`, or to legacy9p (test/legacy9p) or forgetful (test/forgetful).
func ServeFlags(flags ...string) Option {
	return func(c *config) { c.serveFlags = append(c.serveFlags, flags...) }
}

// On mounts from a server that StartServer started; the directory of Mount is then ignored.
func On(s *Server) Option { return func(c *config) { c.server = s } }

// At mounts this address, or list of addresses, instead of the server's own.
func At(address string) Option { return func(c *config) { c.at = address } }

// Flags are given to `p9mapfs mount`.
func Flags(flags ...string) Option {
	return func(c *config) { c.mountFlags = append(c.mountFlags, flags...) }
}

// Through puts a fault proxy with these rules (package faultproxy) between mount and server.
func Through(rules ...string) Option {
	return func(c *config) { c.proxied, c.rules = true, append(c.rules, rules...) }
}

// AllowExit says with which statuses the daemon may end; without it, only 0.
func AllowExit(statuses ...int) Option { return func(c *config) { c.exits = statuses } }

// ExitTime bounds how long the daemon may take to unmount; without it, 45 s.
func ExitTime(d time.Duration) Option { return func(c *config) { c.exitTime = d } }
