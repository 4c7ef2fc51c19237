package test

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"9fans.net/go/plan9"
	"9fans.net/go/plan9/client"
	"golang.org/x/sys/unix"

	errjournal "p9mapfs/errors"
)

// appendOnly makes a file to which the server only appends.
func (r *rig) appendOnly(name string) {
	r.t.Helper()
	nc, err := net.Dial(r.Server.Network(), r.Server.Addr())
	r.ok(err)
	c, err := client.NewConn(nc)
	r.ok(err)
	defer c.Close()
	root, err := c.Attach(nil, "root", "")
	r.ok(err)
	log, err := root.Create(name, plan9.OWRITE, plan9.DMAPPEND|0o644)
	r.ok(err)
	log.Close()
}

// What was appended is told, also if it is not all; a server that cannot sync has
// what it acknowledged; a failed read is in the journal.
func TestAppendOnlyFilesTellWhatBecameOfTheirBytes(t *testing.T) {
	r := newLegacyRig(t, []string{"--no-sync"})
	r.appendOnly("log")
	at := filepath.Join(r.Path, "log")
	f, err := os.OpenFile(at, os.O_RDWR, 0)
	r.ok(err)
	defer f.Close()
	r.rules("Twrite nth=2 reply=ENOSPC")
	data := make([]byte, 20_000) // several Twrites
	n, err := unix.Pwrite(int(f.Fd()), data, 0)
	r.ok(err)
	if st, err := os.Stat(filepath.Join(r.Dir, "log")); err != nil || n == 0 || n == len(data) || st.Size() != int64(n) {
		r.t.Errorf("%d bytes are said to be written, the server has %v, %v", n, st.Size(), err)
	}
	r.ok(f.Sync())
	r.rules("Tread reply=EIO count=1")
	_, err = unix.Pread(int(f.Fd()), make([]byte, 100), 0)
	r.fails(err, syscall.EIO)
	if l := r.journal(); len(l) != 1 || l[0].State != errjournal.Fault {
		r.t.Errorf("journal:\n%s", r.journalText())
	}
}

func TestAppendOnlyFilesAreForgotten(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make the kernel forget")
	}
	r := newLegacyRig(t, nil)
	r.appendOnly("log")
	balance := func() int {
		return r.Proxy.Count("Rwalk") - r.Proxy.Count("Tclunk") - r.Proxy.Count("Tremove")
	}
	before := balance()
	for range 10 {
		f, err := os.OpenFile(filepath.Join(r.Path, "log"), os.O_WRONLY, 0)
		r.ok(err)
		r.ok(f.Close())
	}
	r.ok(os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0))
	r.await("the fids of the closed file to be clunked", func() bool { return balance() <= before })
}
