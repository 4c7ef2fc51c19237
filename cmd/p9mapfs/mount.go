package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"p9mapfs/fusefs"
	"p9mapfs/p9client"
	"p9mapfs/pagecache"
	"p9mapfs/rescue"
	"p9mapfs/writeback"
)

// mountFlags are what can be said to p9mapfs mount.
type mountFlags struct {
	aname, uname                               string
	uid, gid                                   uint32
	dialect                                    choice
	msize, cacheSize, writeBehind              size
	readAhead                                  readAhead
	holdTimeout, closeTimeout, writebackWait   time.Duration
	requestTimeout, retryInterval, attrTimeout time.Duration
	exitTimeout                                time.Duration
	rescueDir                                  rescueDir
	maxFids                                    int
	onDisconnect, unstable, logLevel           choice
	magicPrefix                                string
	readOnly, allowOther, intr, writeThrough   bool
	tls                                        tlsFlags
}

func mountCommand() *cobra.Command {
	f := mountFlags{
		msize: 1<<20 + 24, cacheSize: 64 << 20, writeBehind: 64 << 20,
		dialect:      choice{"auto", []string{"auto", p9client.DotL, p9client.DotU, p9client.Plain}},
		onDisconnect: choice{"hold", []string{"hold", "fail"}},
		unstable:     choice{"keep", []string{"keep", "trust"}},
		logLevel:     choice{"info", []string{"debug", "info", "warn", "error"}},
		rescueDir:    rescueDir{defaultRescueDir()},
	}
	c := &cobra.Command{
		Use:   "mount [flags] ADDRESS MOUNTPOINT",
		Short: "Mount a 9P server's tree, in the foreground until unmounted or signalled",
		Long: `Mount a 9P server's tree, in the foreground until unmounted or signalled.

ADDRESS is one of

  tcp!host!port, host, host:port    a server in the network
  tls!host!port                     one that is spoken to in TLS; see --tls-ca
  unix!/path, /path                 a unix socket
  vsock!cid!port                    from a virtual machine (vsock!host!564), or into one
  exec!command args...              a command that speaks 9P on its standard input
                                    and output, like exec!ssh host u9fs
  fd!N, fd!R,W                      an inherited socket, or two pipes to read and write

The default port is 564. Several addresses, separated by commas, are tried in
order, now and whenever the connection is lost. They must lead to the same
files. A comma that belongs to an address is written \,. The words of a command
are split like a shell's, and quotes keep commas, but nothing is expanded; it is
started anew for each connection, has no terminal to ask for passwords, and what
it says on stderr goes to the log. An inherited descriptor serves once: when it
is lost, programs are told at once.

A line on stderr says when the mount is there.

Programs may map the files. A store that the server did not take is kept, sent
again, and told: by msync, fsync and close, and in the file .errors that every
directory of the mount has. At the root there are also .events (a read waits for
what happens next), .ctl (for p9mapfs sync, retry, discard and drop) and .stats.

At the end (p9mapfs unmount, a signal, or an unmount) what the server lacks is
written to a file in --rescue-dir, and sent for at most --exit-timeout. If that
succeeds the file is removed; if not, p9mapfs rescue sends it later. If the
directory cannot be written, a mount is refused where --rescue-dir names it, and
warned of where it is the default.

Exit status: 0, 1 failure, 2 usage, 3 if something was left that the server did
not take within --exit-timeout.`,
		Example: `  p9mapfs mount --aname /srv/data fileserver /mnt
  p9mapfs mount --hold-timeout 30s unix!/run/9p.sock /mnt
  p9mapfs mount 'exec!ssh fileserver p9mapfs serve /srv/data -' /mnt
  p9mapfs mount --tls-ca ca.pem tls!a.example!564,tls!b.example!564 /mnt`,
		Args: exactly("ADDRESS", "MOUNTPOINT"),
		RunE: func(c *cobra.Command, args []string) error {
			return f.run(c.Context(), args[0], args[1], c.Flags().Changed("rescue-dir"))
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.aname, "aname", "", "tree to attach to, as the server names it")
	fl.StringVar(&f.uname, "uname", "", "user to attach as (default: who runs this)")
	fl.Var(&f.dialect, "dialect", "which 9P to speak; auto takes the first that the server knows")
	fl.Uint32Var(&f.uid, "uid", uint32(os.Getuid()), "who owns the files of users that this system does not know by name (9P2000)")
	fl.Uint32Var(&f.gid, "gid", uint32(os.Getgid()), "the same for groups")
	fl.Var(&f.msize, "msize", "largest 9P message to ask for")
	fl.Var(&f.cacheSize, "cache-size", "memory for clean pages")
	fl.Var(&f.writeBehind, "write-behind", "memory for bytes that the server has not acknowledged")
	fl.Var(&f.readAhead, "read-ahead", "how far to read ahead of a sequential reader")
	fl.IntVar(&f.maxFids, "max-fids", 16384, "fids that the server has to keep at a time (open files beyond that too), 0: any number")
	fl.BoolVar(&f.writeThrough, "write-through", false, "let each write wait until the server has taken or refused it")
	fl.Var(&f.unstable, "unstable", "keep what the server has acknowledged until it is synced, or trust it to be safe")
	fl.Var(&f.onDisconnect, "on-disconnect", "while the connection is lost, let programs wait (hold) or fail at once (fail)")
	fl.DurationVar(&f.holdTimeout, "hold-timeout", 5*time.Minute, "how long after the loss of the connection programs wait, 0: for ever")
	fl.DurationVar(&f.closeTimeout, "close-timeout", 10*time.Second, "how long close(2) may wait for the server")
	fl.DurationVar(&f.writebackWait, "writeback-wait", 10*time.Second, "how long the kernel's write-back may wait for room in --write-behind")
	fl.DurationVar(&f.requestTimeout, "request-timeout", 30*time.Second, "silence of the server, while it owes replies, that counts as a lost connection")
	fl.DurationVar(&f.retryInterval, "retry-interval", 5*time.Second, "time until what the server refused is sent again by itself")
	fl.DurationVar(&f.attrTimeout, "attr-timeout", time.Second, "how long the kernel may keep names and attributes, 0: not at all")
	fl.DurationVar(&f.exitTimeout, "exit-timeout", 20*time.Second, "how long to go on sending after an unmount or a signal")
	fl.Var(&f.rescueDir, "rescue-dir", "where to keep what the server lacks at the end")
	fl.BoolVar(&f.readOnly, "read-only", false, "refuse every change")
	fl.BoolVar(&f.allowOther, "allow-other", false, "let other users in (needs user_allow_other in /etc/fuse.conf unless root mounts)")
	fl.BoolVar(&f.intr, "intr", false, "let any signal end a waiting call, not only a fatal one")
	f.tls.add(c)
	fl.StringVar(&f.magicPrefix, "magic-prefix", ".", "what the names of the magic files errors, events, ctl and stats begin with")
	fl.Var(&f.logLevel, "log-level", "what to log on stderr")
	return c
}

func (f *mountFlags) run(ctx context.Context, address, dir string, rescueDirNamed bool) error {
	addrs, err := p9client.ParseAddresses(address)
	if err != nil {
		return usage(err)
	}
	if f.msize < 4096 || f.msize > 1<<30 {
		return usage(fmt.Errorf("--msize %v is not between 4KiB and 1GiB", &f.msize))
	}
	if f.maxFids < 16 && f.maxFids != 0 {
		return usage(fmt.Errorf("--max-fids %d is below 16; 0 means any number", f.maxFids))
	}
	if n := len(f.magicPrefix); n == 0 || n > 64 || strings.ContainsAny(f.magicPrefix, "/\x00") {
		return usage(fmt.Errorf("--magic-prefix %q is not 1 to 64 bytes without a slash", f.magicPrefix))
	}
	for name, d := range map[string]time.Duration{
		"hold-timeout": f.holdTimeout, "close-timeout": f.closeTimeout, "writeback-wait": f.writebackWait,
		"request-timeout": f.requestTimeout, "retry-interval": f.retryInterval, "attr-timeout": f.attrTimeout,
		"exit-timeout": f.exitTimeout,
	} {
		if d < 0 { // which the packages below take for never, or for their default
			return usage(fmt.Errorf("--%s %v is below 0; give it a time like 30s", name, d))
		}
	}
	tlsConfig, err := f.tls.config(addrs)
	if err != nil {
		return err
	}
	if err := checkMountPoint(dir); err != nil {
		return err
	}
	if err := checkFUSE(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	logLevel := new(slog.LevelVar)
	logLevel.Set(level(f.logLevel.value))
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: logLevel}))
	o := f.session(log)
	o.TLS, o.Fallback = tlsConfig, addrs[1:]
	session, err := p9client.Dial(ctx, addrs[0], o)
	if err != nil {
		return err
	}
	defer session.Close()
	if err := f.rescueDir.prepare(rescueDirNamed, log); err != nil {
		return err
	}
	addr := session.Link().Address
	fsys, err := fusefs.Mount(dir, session, f.fs(addr, log, logLevel))
	if err != nil {
		return err
	}
	if err := closeOnExec(); err != nil {
		log.Warn("a command that is started again may keep the mount from ending", "err", err)
	}
	e := &ending{fsys: fsys, dir: dir, mount: f.rescueMount(address, dir, o)}
	if f.rescueDir.path != "" {
		e.path = f.rescueDir.file(dir)
		if e.note, err = f.rescueDir.leaveNote(dir, f.exitTimeout); err != nil {
			log.Warn("p9mapfs unmount will not find this mount", "err", err)
		}
	}
	fmt.Fprintf(os.Stderr, "p9mapfs: mounted %v on %s\n", addr, dir)
	return e.serve(ctx, f.exitTimeout)
}

// rescueMount is what a rescue file tells of this mount.
func (f *mountFlags) rescueMount(address, dir string, o p9client.Options) rescue.Mount {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return rescue.Mount{Address: address, Aname: o.Aname, Uname: o.Uname, NUname: o.NUname, Dialect: f.dialect.value, Mountpoint: dir}
}

func (f *mountFlags) session(log *slog.Logger) p9client.Options {
	o := p9client.Options{
		Msize: uint32(f.msize), Dialect: f.dialect.value, UID: f.uid, GID: f.gid, Uname: f.uname, NUname: uint32(os.Getuid()), Aname: f.aname,
		RequestTimeout: f.requestTimeout, HoldTimeout: f.holdTimeout, Log: log,
	}
	if o.MaxFids = f.maxFids; f.maxFids == 0 {
		o.MaxFids = -1
	}
	if f.onDisconnect.value == "fail" {
		o.HoldTimeout = -1
	}
	if u, err := user.Current(); f.uname == "" && err == nil {
		o.Uname = u.Username
	} else if u, err := user.Lookup(f.uname); err == nil {
		if uid, err := strconv.ParseUint(u.Uid, 10, 32); err == nil {
			o.NUname = uint32(uid)
		}
	} else if f.uname != "" {
		o.NUname = p9client.NoUID
	}
	return o
}

func (f *mountFlags) fs(addr p9client.Address, log *slog.Logger, logLevel *slog.LevelVar) fusefs.Options {
	o := fusefs.Options{
		Source: addr.String(), AllowOther: f.allowOther, ReadOnly: f.readOnly, Interruptible: f.intr,
		AttrTimeout: f.attrTimeout, CloseTimeout: f.closeTimeout, WritebackWait: f.writebackWait,
		Cache: pagecache.Options{Budget: int64(f.cacheSize), ReadAhead: int64(f.readAhead)},
		Writeback: writeback.Options{
			Budget: int64(f.writeBehind), Retry: f.retryInterval, Through: f.writeThrough, Trust: f.unstable.value == "trust",
		},
		Log: log, LogLevel: logLevel, MagicPrefix: f.magicPrefix,
	}
	if f.attrTimeout == 0 {
		o.AttrTimeout = -1
	}
	return o
}

// closeOnExec keeps the commands of exec! addresses, which are started again at
// each reconnect, from inheriting what go-fuse leaves open: as long as anybody has
// /dev/fuse open, the mount of a daemon that was killed hangs instead of failing.
func closeOnExec() error {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, fd := range fds {
		if n, err := strconv.Atoi(fd.Name()); err == nil && n > 2 {
			unix.CloseOnExec(n)
		}
	}
	return nil
}

func checkMountPoint(dir string) error {
	st, err := os.Stat(dir)
	if err == nil { // which the kernel may know from before the daemon died; statfs asks the daemon
		err = unix.Statfs(dir, new(unix.Statfs_t))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("mount point %s does not exist; create it: mkdir -p %s", dir, dir)
	case errors.Is(err, syscall.ENOTCONN):
		return fmt.Errorf("mount point %s has a dead mount on it; remove it: umount -l %s", dir, dir)
	case err != nil:
		return fmt.Errorf("mount point: %w", err)
	case !st.IsDir():
		return fmt.Errorf("mount point %s is not a directory; name one", dir)
	}
	if _, err := filepath.Abs(dir); err != nil {
		return fmt.Errorf("mount point: %w", err)
	}
	return nil
}

func checkFUSE() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no /dev/fuse; load the module (modprobe fuse), or give it to the container (--device /dev/fuse)")
	case err != nil:
		return fmt.Errorf("cannot use FUSE: %w; give this user access to /dev/fuse, or run as root", err)
	}
	return f.Close()
}
