package interop

import (
	"syscall"
	"testing"

	"p9mapfs/test/p9test"
)

// A capability is something that not every server has, because of its dialect or its author.
type capability string

const (
	symlinks     capability = "symbolic links"
	hardLinks    capability = "hard links"
	specialFiles capability = "fifos, sockets and devices"
	statfs       capability = "statfs"
	chmod        capability = "change of mode"
	chown        capability = "change of owner"
	setTimes     capability = "change of times"
	removal      capability = "removal of names"
	renameAcross capability = "rename to another directory"
	renameOver   capability = "rename over what is there"
	anames       capability = "refusal of an unknown aname"
	users        capability = "judgement by the attached user"
	afterUnlink  capability = "use of open fids after their file's removal"
	mountPoints  capability = "crossing mount points of the server"
)

// A peer is a server in the course of a test.
type peer interface {
	Address() string // as p9client.ParseAddress takes it
	Aname() string
	Kill()     // as a crash
	Start()    // again, on the same address
	Pause()    // stop answering, with all connections open
	Continue() // end Pause
}

// notJudged is the errno of a capability whose lack is that the server lets things pass.
const notJudged = syscall.Errno(0)

// A server is a kind of server and what is declared about it.
type server struct {
	name, dialect string
	start         func(t testing.TB, dir string) peer
	lacks         map[capability]syscall.Errno // and what p9client answers instead
	answers       map[string]syscall.Errno     // to a situation, where Linux has another errno
	notes         map[string]string            // by verb: what p9client does about the server
}

func kind(k p9test.Kind) func(testing.TB, string) peer {
	return func(t testing.TB, dir string) peer { return p9test.StartServer(t, dir, p9test.WithServer(k)) }
}

var servers = []server{
	{name: "embedded", dialect: "9P2000.L", start: kind(p9test.Embedded)},
	{name: "diod", dialect: "9P2000.L", start: kind(p9test.Diod)},
	{name: "ganesha", dialect: "9P2000.L", start: kind(p9test.Ganesha)},
}
