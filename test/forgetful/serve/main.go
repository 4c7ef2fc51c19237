// Command serve is the program of package forgetful: a 9P2000.L server that crashes on demand. See there.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/hugelgupf/p9/linux"
	"golang.org/x/sys/unix"

	"p9mapfs/test/forgetful"
)

const usage = `usage: forgetful [flags] DIR ADDRESS
ADDRESS is tcp!host!port or unix!/path.
`

// reborn tells the next life the descriptor of the listener and the number of Tfsyncs: "FD SYNCS".
const reborn = "FORGETFUL_REBORN"

func main() {
	crash := make(chan os.Signal, 1)
	signal.Notify(crash, syscall.SIGUSR1) // before anybody is told that we listen
	err := run(crash)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "forgetful:", err)
		os.Exit(1)
	}
}

// numbers is a flag: a list of numbers with commas between them.
type numbers []int

func (l *numbers) String() string { return fmt.Sprint([]int(*l)) }

func (l *numbers) Set(s string) error {
	for word := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no number of a Tfsync", word)
		}
		*l = append(*l, n)
	}
	return nil
}

func run(crash <-chan os.Signal) error {
	var o forgetful.Options
	f := flag.NewFlagSet("forgetful", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprint(f.Output(), usage)
		f.PrintDefaults()
	}
	f.Var((*numbers)(&o.SyncFails), "sync-fails", "numbers of the Tfsyncs that lose what they were to sync")
	f.Var((*numbers)(&o.CrashInSync), "crash-in-sync", "numbers of the Tfsyncs that crash halfway")
	errno := f.String("sync-errno", "EIO", "what --sync-fails answers: EIO or ENOSPC")
	if err := f.Parse(os.Args[1:]); err != nil {
		return flag.ErrHelp // it has said what is wrong
	}
	var ok bool
	if o.SyncErrno, ok = map[string]linux.Errno{"EIO": linux.EIO, "ENOSPC": linux.ENOSPC}[*errno]; !ok || f.NArg() != 2 {
		f.Usage()
		return flag.ErrHelp
	}
	dir, address := f.Arg(0), f.Arg(1)
	l, syncs, err := listen(address)
	if err != nil {
		return err
	}
	fd, err := l.File() // a second descriptor, open across exec once crashInto says so
	if err != nil {
		return err
	}
	o.Syncs = syncs
	o.Crash = func(syncs int) { crashInto(fd, syncs) }
	s, err := forgetful.New(dir, o)
	if err != nil {
		return err
	}
	if network := l.Addr().Network(); network == "tcp" { // with the port that was chosen
		address = "tcp!" + strings.Replace(l.Addr().String(), ":", "!", 1)
	}
	fmt.Fprintf(os.Stderr, "forgetful: serving %s on %s\n", dir, address)
	go func() {
		<-crash
		s.Crash()
	}()
	return s.Serve(l)
}

// listener is a *net.TCPListener or *net.UnixListener.
type listener interface {
	net.Listener
	File() (*os.File, error)
}

// listen listens on an address, or goes on with the listener of the last life.
func listen(address string) (l listener, syncs int, err error) {
	if s := os.Getenv(reborn); s != "" {
		var fd uintptr
		if _, err := fmt.Sscan(s, &fd, &syncs); err != nil {
			return nil, 0, fmt.Errorf("$%s: %w", reborn, err)
		}
		old := os.NewFile(fd, "listener")
		defer old.Close()
		kept, err := net.FileListener(old)
		if err != nil {
			return nil, 0, err
		}
		return kept.(listener), syncs, nil
	}
	network, addr, err := parseAddress(address)
	if err != nil {
		return nil, 0, err
	}
	made, err := net.Listen(network, addr)
	if err != nil {
		return nil, 0, err
	}
	return made.(listener), 0, nil
}

func parseAddress(s string) (network, addr string, err error) {
	switch p := strings.Split(s, "!"); {
	case len(p) == 3 && p[0] == "tcp":
		return "tcp", net.JoinHostPort(p[1], p[2]), nil
	case len(p) == 2 && p[0] == "unix":
		return "unix", p[1], nil
	}
	return "", "", fmt.Errorf("address %q is neither tcp!host!port nor unix!/path", s)
}

// crashInto ends this life: the kernel closes every connection and takes all memory back. A SIGUSR1 until the next
// life asks for it is ignored, which exec keeps; by default it would end the program.
func crashInto(listener *os.File, syncs int) {
	signal.Ignore(syscall.SIGUSR1)
	fd := listener.Fd()
	_, err := unix.FcntlInt(fd, unix.F_SETFD, 0)
	if err == nil {
		os.Setenv(reborn, fmt.Sprint(fd, syncs))
		err = unix.Exec("/proc/self/exe", os.Args, os.Environ())
	}
	fmt.Fprintln(os.Stderr, "forgetful: crash:", err)
	os.Exit(1)
}
