package fusefs_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"p9mapfs/export"
	"p9mapfs/fusefs"
	"p9mapfs/p9client"
	"p9mapfs/test/p9test"
)

// TestCloseJoinsEveryGoroutine mounts in this process, lets others use the
// mount, loses the connection once, and wants nothing left at the end.
func TestCloseJoinsEveryGoroutine(t *testing.T) {
	p9test.RequireFUSE(t)
	before := goleak.IgnoreCurrent()
	dir, mnt, sock := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "9p")
	server, err := export.New(dir, export.Options{})
	if err != nil {
		t.Fatal(err)
	}
	start := func() (stop func()) {
		l, err := export.Listen("unix", sock)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { server.Serve(ctx, l); close(done) }()
		return func() { cancel(); l.Close(); <-done }
	}
	stop := start()
	session, err := p9client.Dial(t.Context(), p9client.Address{Network: "unix", Addr: sock}, p9client.Options{Uname: "x"})
	if err != nil {
		t.Fatal(err)
	}
	fsys, err := fusefs.Mount(mnt, session, fusefs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sh := func(script string) {
		t.Helper()
		cmd := exec.Command("sh", "-ec", "cd \"$0\"; "+script, mnt)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
	sh("mkdir d; echo one > d/f; cat d/f; ls -la . d; mv d/f g; ln g h; rm g; cat .errors")
	stop()
	stop = start()
	sh("cat h; echo two >> h; sync h; rm -r d h")
	if err := fsys.Unmount(t.Context()); err != nil {
		t.Fatal(err)
	}
	fsys.Close()
	session.Close()
	stop()
	server.Close()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
