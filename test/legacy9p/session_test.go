package legacy9p

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = time.Minute

func testSession(t *testing.T) (*session, string) {
	t.Helper()
	dir := t.TempDir()
	tree, err := openTree(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.close() })
	return newSession(t.Context(), &conn{tree: tree}, DefaultMsize, false), dir
}

func TestEndOfASessionReleasesWhatFidsHold(t *testing.T) {
	s, dir := testSession(t)
	fd, err := unix.Open(filepath.Join(dir, "f"), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	f := &file{s: s, path: "f"}
	if err := f.set("f", &opened{fd: fd, inode: inodeOf(&st), remove: true}); err != nil {
		t.Fatal(err)
	}
	s.end()
	if _, err := os.Stat(filepath.Join(dir, "f")); !os.IsNotExist(err) {
		t.Error("ORCLOSE:", err)
	}
}

func TestEndOfASessionWaitsForItsRequests(t *testing.T) {
	s, _ := testSession(t)
	if err := s.enter(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { s.end(); close(ended) }()
	for late := time.Now().Add(patience); s.enter() == nil; s.leave() {
		if time.Now().After(late) {
			t.Fatal("requests may enter for ever")
		}
		time.Sleep(time.Millisecond)
	}
	select {
	case <-ended:
		t.Error("it did not wait")
	case <-time.After(20 * time.Millisecond):
	}
	s.leave()
	<-ended
}

func TestCloseEndsTheConnections(t *testing.T) {
	s, err := New(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	served := make(chan error, 1)
	go func() { served <- s.ServeConn(context.Background(), theirs) }()
	ours.SetDeadline(time.Now().Add(patience))
	if _, err := ours.Write([]byte{1}); err != nil { // is being served
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	default:
		s.mu.Lock()
		if len(s.ends) > 0 {
			t.Error("Close did not wait")
		}
		s.mu.Unlock()
		<-served
	}
	again, _ := net.Pipe()
	if err := s.ServeConn(context.Background(), again); err != net.ErrClosed {
		t.Error("after Close:", err)
	}
}
