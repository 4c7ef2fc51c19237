package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A note is a file in the rescue directory by which p9mapfs unmount finds the daemon
// of a mount, and learns how it ended. Its name has the device number of the mount
// and the daemon's pid. The daemon has it locked (flock) as long as it lives, and
// removes it as soon as the mount is gone, when the kernel may use the number again;
// who has it open by then can read the end:
//
//	pid=PID exit-timeout=DURATION
//	status=N rescue="FILE, or nothing"
type note struct{ f *os.File }

func noteName(dir string, major, minor uint32, pid string) string {
	return filepath.Join(dir, fmt.Sprintf("mount-%d-%d-%s", major, minor, pid))
}

// leaveNote writes the note of this daemon, whose mount is on dir.
func (d *rescueDir) leaveNote(dir string, exitTimeout time.Duration) (*note, error) {
	major, minor, err := device(dir)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(noteName(d.path, major, minor, fmt.Sprint(os.Getpid())), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		_, err = fmt.Fprintf(f, "pid=%d exit-timeout=%v\n", os.Getpid(), exitTimeout)
	}
	if err != nil {
		os.Remove(f.Name())
		f.Close()
		return nil, err
	}
	return &note{f}, nil
}

// unlist removes the note's name.
func (n *note) unlist() {
	if n != nil {
		os.Remove(n.f.Name())
	}
}

// end tells the exit status. The lock stays until the process is gone.
func (n *note) end(status int, rescueFile string) {
	if n != nil {
		fmt.Fprintf(n.f, "status=%d rescue=%q\n", status, rescueFile)
	}
}

var errNoNote = errors.New("no daemon has left a note about it")

// findNote opens the note of the daemon whose mount has that device number.
func (d *rescueDir) findNote(major, minor uint32) (*note, error) {
	names, err := filepath.Glob(noteName(d.path, major, minor, "*"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		if n := (&note{f}); n.held() {
			return n, nil
		}
		f.Close() // its daemon was killed
	}
	return nil, errNoNote
}

// held reports whether the note's daemon lives.
func (n *note) held() bool {
	err := unix.Flock(int(n.f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		unix.Flock(int(n.f.Fd()), unix.LOCK_UN)
	}
	return errors.Is(err, unix.EWOULDBLOCK)
}

// read returns what the note says; told is false as long as the end is missing.
func (n *note) read() (pid int, exitTimeout time.Duration, status int, rescueFile string, told bool, err error) {
	if _, err := n.f.Seek(0, io.SeekStart); err != nil {
		return 0, 0, 0, "", false, err
	}
	r := bufio.NewReader(n.f)
	var d string
	if _, err := fmt.Fscanf(r, "pid=%d exit-timeout=%s\n", &pid, &d); err != nil {
		return 0, 0, 0, "", false, fmt.Errorf("%s: %w", n.f.Name(), err)
	}
	if exitTimeout, err = time.ParseDuration(d); err != nil {
		return 0, 0, 0, "", false, fmt.Errorf("%s: %w", n.f.Name(), err)
	}
	_, err = fmt.Fscanf(r, "status=%d rescue=%q\n", &status, &rescueFile)
	return pid, exitTimeout, status, rescueFile, err == nil, nil
}
