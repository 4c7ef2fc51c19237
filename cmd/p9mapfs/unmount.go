package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func unmountCommand() *cobra.Command {
	dir := rescueDir{defaultRescueDir()}
	c := &cobra.Command{
		Use:   "unmount [flags] MOUNTPOINT",
		Short: "Unmount, and wait until the server has everything or it is in a rescue file",
		Long: `Unmount, and wait until the server has everything or it is in a rescue file.

The kernel hands over its dirty pages, the daemon writes a rescue file at once,
sends what the server lacks for at most its --exit-timeout, and removes the rescue
file if it could send everything. Then this command ends as the daemon does.

Nothing is unmounted while programs use the mount. SIGTERM to the daemon unmounts
all the same.

The daemon is found by a note in its --rescue-dir; say here if that is not the
default one, or if another user's.

Exit status: 0, 1 failure, 2 usage, 3 if something was left that the server did
not take: p9mapfs rescue sends it later.`,
		Example: `  p9mapfs unmount /mnt`,
		Args:    exactly("MOUNTPOINT"),
		RunE:    func(c *cobra.Command, args []string) error { return unmount(c.Context(), args[0], &dir) },
	}
	c.Flags().Var(&dir, "rescue-dir", "where the daemon keeps rescue files and its note")
	return c
}

func unmount(ctx context.Context, dir string, notes *rescueDir) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	path, major, minor, err := findMount(dir)
	if err != nil {
		return err
	}
	n, err := notes.findNote(major, minor)
	if err != nil && !errors.Is(err, errNoNote) {
		return err
	}
	if err := unmountPath(path, false); err != nil {
		if errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("%s is busy: programs have files open there, map them, or stand in it; find them with fuser -vm %s, "+
				"end them and try again (to unmount all the same, send the daemon SIGTERM)", path, path)
		}
		return fmt.Errorf("cannot unmount %s: %w", path, err)
	}
	if n == nil {
		return fmt.Errorf("%s is unmounted, but whether the server has everything is not known: there is no note of the daemon in %q; see --rescue-dir, and the daemon's log", path, notes.path)
	}
	return n.wait(ctx, path)
}

// slack is how much longer than its exit timeout a daemon may take to end.
const slack = 30 * time.Second

// wait waits for the note's daemon, and returns what it ended with.
func (n *note) wait(ctx context.Context, path string) error {
	pid, exitTimeout, _, _, _, err := n.read()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, exitTimeout+slack)
	defer cancel()
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for n.held() {
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is unmounted, but the daemon (pid %d) goes on: perhaps another mount namespace has a copy of the mount", path, pid)
		}
	}
	_, _, code, file, told, err := n.read()
	switch {
	case err != nil:
		return err
	case !told:
		return fmt.Errorf("%s is unmounted, but the daemon (pid %d) did not end as it should; see its log, and the rescue files in %s", path, pid, filepath.Dir(n.f.Name()))
	case code == exitUnsent && file == "":
		return &status{code, errors.New("the server did not take everything, and there is no rescue file: it is lost")}
	case code == exitUnsent:
		return &status{code, fmt.Errorf("the server did not take everything; send the rest later: p9mapfs rescue %s", file)}
	}
	return nil
}

// findMount returns the path and the device number of the mount on dir, without
// asking its daemon anything.
func findMount(dir string) (path string, major, minor uint32, err error) {
	path, err = filepath.Abs(dir)
	if err != nil {
		return "", 0, 0, err
	}
	if up, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(up, filepath.Base(path))
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", 0, 0, err
	}
	defer f.Close()
	typ := ""
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		_, after, ok := strings.Cut(s.Text(), " - ")
		if !ok || len(fields) < 5 || unescape(fields[4]) != path {
			continue
		}
		typ, _, _ = strings.Cut(after, " ") // the last one is on top
		if _, err := fmt.Sscanf(fields[2], "%d:%d", &major, &minor); err != nil {
			return "", 0, 0, fmt.Errorf("mountinfo: %w", err)
		}
	}
	if typ != "fuse.p9mapfs" {
		return "", 0, 0, fmt.Errorf("there is no p9mapfs mount on %s; see findmnt -t fuse.p9mapfs", path)
	}
	return path, major, minor, nil
}

var octal = regexp.MustCompile(`\\[0-7]{3}`)

// unescape undoes what the kernel does to spaces and the like in mountinfo.
func unescape(s string) string {
	return octal.ReplaceAllStringFunc(s, func(o string) string {
		n, _ := strconv.ParseUint(o[1:], 8, 8)
		return string([]byte{byte(n)})
	})
}

// unmountPath unmounts, by fusermount3 for those who may not themselves. lazy takes
// the name away though programs use the mount.
func unmountPath(path string, lazy bool) error {
	flags := unix.UMOUNT_NOFOLLOW
	if lazy {
		flags |= unix.MNT_DETACH
	}
	err := unix.Unmount(path, flags)
	if !errors.Is(err, syscall.EPERM) {
		return err
	}
	args := []string{"-u", "--", path}
	if lazy {
		args = []string{"-u", "-z", "--", path}
	}
	cmd := exec.Command("fusermount3", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return nil
	case strings.Contains(string(out), "busy"):
		return syscall.EBUSY
	}
	return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
}
