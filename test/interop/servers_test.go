package interop

import (
	"maps"
	"syscall"
	"testing"

	"p9mapfs/test/p9test"
)

// A capability is something that not every server has, because of its dialect or its author.
type capability string

const (
	symlinks     capability = "symbolic links"
	readlink     capability = "readlink"
	shownLinks   capability = "symbolic links that are not followed"
	hardLinks    capability = "hard links"
	specialFiles capability = "fifos and sockets"
	devices      capability = "devices"
	statfs       capability = "statfs"
	chmod        capability = "change of mode"
	specialBits  capability = "setuid, setgid and sticky bits"
	chown        capability = "change of owner"
	setTimes     capability = "change of times"
	setAtime     capability = "change of the time of access alone"
	removal      capability = "removal of names"
	renameAcross capability = "rename to another directory"
	renameOver   capability = "rename over what is there"
	anames       capability = "refusal of an unknown aname"
	xattrs       capability = "extended attributes"
	locks        capability = "locks"
	rangeLocks   capability = "locks of ranges"
	owners       capability = "files that belong to the attached user"
	users        capability = "judgement by the attached user"
	afterRename  capability = "use of open fids after their file's renaming"
	afterUnlink  capability = "use of open fids after their file's removal"
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

// Directories of every export.
const (
	readOnlyMount = "ro"
	readOnlyFS    = "ro fs"
)

// A server is a kind of server and what is declared about it.
type server struct {
	name, dialect string
	start         func(t testing.TB, dir string) peer
	lacks         map[capability]syscall.Errno // and what p9client answers instead
	answers       map[string]syscall.Errno     // to a situation, where Linux has another errno; 0 is success
	deviates      map[string]string            // in what Linux does otherwise, and how
	instead       map[string]string            // by T-message: what p9client sends or does to have its effect
}

// Situations that a case looks at and a server may declare in deviates.
const (
	accessModes  = "access mode of an open fid"
	unopened     = "I/O on a fid that is not open"
	truncation   = "O_TRUNC"
	exclusion    = "O_EXCL"
	removalKinds = "removal of the other kind"
	linkOver     = "symlink of what exists"
	createModes  = "mode of what is created"
	entryTypes   = "types in Rreaddir"
	blockCounts  = "blocks in Rgetattr"
	linkCounts   = "nlink in Rgetattr"
	seconds      = "times in Rgetattr"
	fidsByPath   = "what an open fid stands for"
	dirBytes     = "bytes of a directory"
	notADir      = "readdir of what is no open directory"
	deviceQids   = "qid in Rmknod"
	deviceTypes  = "rdev in Rgetattr"
	mountPoints  = "mount points of the server"
	xattrFlags   = "XATTR_CREATE and XATTR_REPLACE"
	lockEnds     = "end of locks"
	lockTold     = "Tgetlock"
	passingNames = "names that go while they are listed"
	bindMounts   = "bind mounts of the server"
)

func kind(k p9test.Kind, flags ...string) func(testing.TB, string) peer {
	return func(t testing.TB, dir string) peer {
		return p9test.StartServer(t, dir, p9test.WithServer(k), p9test.ServeFlags(flags...))
	}
}

var servers = []server{
	{
		name: "embedded", dialect: "9P2000.L", start: kind(p9test.Embedded),
		lacks: map[capability]syscall.Errno{users: notJudged},
		answers: map[string]syscall.Errno{
			"create in a file": syscall.EINVAL, "mkdir in a file": syscall.EINVAL, "unlink in a file": syscall.EINVAL,
		},
	},
	{
		name: "diod", dialect: "9P2000.L", start: kind(p9test.Diod),
		lacks: map[capability]syscall.Errno{rangeLocks: syscall.EAGAIN},
		answers: map[string]syscall.Errno{
			"attach to an unknown aname": syscall.EPERM, "readdir of a file": syscall.EINVAL,
			"getattr of a removed file": syscall.ENOENT, "truncate of a removed file": syscall.ENOENT,
		},
		instead: map[string]string{"Tunlinkat": "Tremove, when Twalk has told which kind it is"},
		deviates: map[string]string{
			mountPoints: "what is below another file system's root is ENOENT for Twalk, though Tlcreate makes files there",
		},
	},
	{name: "legacy", dialect: "9P2000", start: kind(p9test.Legacy), lacks: plainLacks, answers: plainAnswers, deviates: plainDeviates, instead: plainInstead},
	{name: "legacy128", dialect: "9P2000", start: kind(p9test.Legacy128), lacks: plainLacks, answers: plainAnswers, deviates: plainDeviates, instead: plainInstead},
	{name: "legacyU", dialect: "9P2000.u", start: kind(p9test.LegacyU), lacks: unixLacks, answers: unixAnswers, deviates: unixDeviates, instead: unixInstead},
	{name: "legacy by path", dialect: "9P2000", start: kind(p9test.Legacy, "--path-based"), lacks: pathLacks, answers: plainAnswers, deviates: pathDeviates, instead: plainInstead},
	{
		name: "ganesha", dialect: "9P2000.L", start: kind(p9test.Ganesha),
		lacks: map[capability]syscall.Errno{devices: syscall.EINVAL},
		answers: map[string]syscall.Errno{
			"attach to an unknown aname": syscall.EACCES, "open after removal": syscall.ESTALE,
			"create in a file": syscall.EINVAL, "create in a removed directory": syscall.ESTALE,
			"write at 4 EiB": syscall.EIO, "truncate to 4 EiB": syscall.EIO, "truncate of a directory": syscall.EINVAL,
			"link of a directory": syscall.EINVAL, "rename to another file system": syscall.EIO, "link to another file system": syscall.EIO,
			"readdir of a file": syscall.EINVAL, "open of a directory for writing": 0, "readdir of a fid that is not open": 0,
		},
		deviates: map[string]string{
			accessModes:  "a fid open for reading takes Twrite, one open for writing Tread",
			unopened:     "Tread and Twrite need no Tlopen",
			truncation:   "Tlopen and Tlcreate leave the content",
			exclusion:    "Tlcreate opens what exists",
			removalKinds: "Tunlinkat removes a directory without AT_REMOVEDIR and a file with it",
			linkOver:     "Tsymlink succeeds and changes nothing",
			blockCounts:  "blocks of a file are 0",
			deviceQids:   "Rmknod has the qid type 4 and path 0",
			lockTold:     "what is asked for comes back, whether or not it is in the way",
			lockEnds:     "a Tclunk does not end them",
			passingNames: "Treaddir may fail with ENOENT or EAGAIN",
			bindMounts:   "a read-only bind mount within the file system can be written",
			deviceTypes:  "rdev is 0x29a of whatever is no device",
		},
	},
}

// What plain 9P2000 cannot say, as test/legacy9p speaks it.
var plainLacks = map[capability]syscall.Errno{
	symlinks: syscall.EPERM, readlink: syscall.EOPNOTSUPP, shownLinks: syscall.ENOENT, hardLinks: syscall.EPERM, specialFiles: syscall.EPERM, devices: syscall.EPERM,
	statfs: syscall.EOPNOTSUPP, xattrs: syscall.EOPNOTSUPP, locks: syscall.EOPNOTSUPP, rangeLocks: syscall.EOPNOTSUPP,
	specialBits: syscall.EPERM, chown: syscall.EPERM, setAtime: syscall.EPERM,
	renameAcross: syscall.EXDEV, users: notJudged, owners: notJudged, anames: notJudged,
}

var plainAnswers = map[string]syscall.Errno{
	"truncate of a directory": 0,
}

var plainDeviates = map[string]string{
	dirBytes:    "a read gives the stat entries of the wire",
	blockCounts: "blocks are reckoned from the size", linkCounts: "1", seconds: "whole seconds; ctime is mtime",
	entryTypes: "a fifo is a file",
}

var plainInstead = map[string]string{
	"Tlopen": "Topen", "Tlcreate": "Tcreate, when Twalk has told that the name is free", "Tmkdir": "Tcreate", "Tgetattr": "Tstat",
	"Tsetattr": "Twstat", "Tfsync": "a Twstat that changes nothing", "Treaddir": "Tread of stat entries; an offset gone back to is read up to from the start",
	"Tunlinkat": "Tremove, when Twalk has told which kind it is", "Trenameat": "Twstat of the name; what has the new name is set aside first",
}

// What is lacking besides where every request goes by path, also on open fids.
var pathLacks = func() map[capability]syscall.Errno {
	m := maps.Clone(plainLacks)
	m[afterUnlink] = syscall.ENOENT
	return m
}()

var pathDeviates = func() map[string]string {
	m := maps.Clone(plainDeviates)
	m[fidsByPath] = "an open fid becomes one of the file that takes its name"
	return m
}()

// What 9P2000.u cannot say.
var unixLacks = map[capability]syscall.Errno{
	statfs: syscall.EOPNOTSUPP, xattrs: syscall.EOPNOTSUPP, locks: syscall.EOPNOTSUPP, rangeLocks: syscall.EOPNOTSUPP,
	renameAcross: syscall.EXDEV, users: notJudged, owners: notJudged, anames: notJudged,
}

var unixAnswers = map[string]syscall.Errno{"truncate of a directory": 0, "link of a directory": syscall.EACCES}

var unixDeviates = map[string]string{
	dirBytes:    "a read gives the stat entries of the wire",
	blockCounts: "blocks are reckoned from the size", linkCounts: "1", seconds: "whole seconds; ctime is mtime",
}

var unixInstead = func() map[string]string {
	m := maps.Clone(plainInstead)
	maps.Copy(m, map[string]string{
		"Tsymlink": "Tcreate with an extension", "Tlink": "Tcreate with an extension", "Tmknod": "Tcreate with an extension", "Treadlink": "Tstat",
	})
	return m
}()
