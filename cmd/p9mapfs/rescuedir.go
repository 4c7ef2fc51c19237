package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"p9mapfs/rescue"
)

// A rescueDir is the --rescue-dir flag: where rescue files are, and a note for each
// mount (see note.go).
type rescueDir struct{ path string }

func (d *rescueDir) String() string { return d.path }
func (*rescueDir) Type() string     { return "dir" }

func (d *rescueDir) Set(v string) error {
	abs, err := filepath.Abs(v)
	if v == "" || err != nil {
		return fmt.Errorf("%q is no directory; name one on a local disk", v)
	}
	d.path = abs
	return nil
}

// defaultRescueDir is /var/lib/p9mapfs for root, and p9mapfs below XDG_STATE_HOME,
// which is ~/.local/state, for others. It is "" for those who have no home.
func defaultRescueDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/p9mapfs"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) { // the standard says to ignore others
		return filepath.Join(dir, "p9mapfs")
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return ""
	}
	return filepath.Join(home, ".local/state/p9mapfs")
}

// prepare makes sure that a rescue file can be written. Where the user has named
// the directory, it must be so; where he has not, a warning has to do, for a mount
// that nobody can make is no help either.
func (d *rescueDir) prepare(named bool, log *slog.Logger) error {
	var err error
	switch {
	case d.path == "":
		err = errors.New("there is no home directory to have one in")
	default:
		err = rescue.Prepare(d.path)
	}
	switch {
	case err == nil:
		return nil
	case named:
		return fmt.Errorf("--rescue-dir: cannot write there: %w; name a directory on a local disk that has room", err)
	}
	log.Warn("there can be no rescue file: what the server lacks at the end of this mount will be lost; name a directory with --rescue-dir", "err", err)
	d.path = ""
	return nil
}

// file is the path of a new rescue file for the mount on dir.
func (d *rescueDir) file(dir string) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\'"`, r) {
			return '_'
		}
		return r
	}, filepath.Base(dir))
	return filepath.Join(d.path, fmt.Sprintf("%.64s-%s-%d.rescue", name, time.Now().UTC().Format("20060102T150405Z"), os.Getpid()))
}

// device returns the device number of what is mounted on dir, which the kernel knows
// without asking the file system.
func device(dir string) (major, minor uint32, err error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, unix.AT_STATX_DONT_SYNC, 0, &st); err != nil {
		return 0, 0, &os.PathError{Op: "statx", Path: dir, Err: err}
	}
	return st.Dev_major, st.Dev_minor, nil
}
