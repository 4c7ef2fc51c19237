package p9test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// must reports that what is missing is a failure: P9TEST_MUST=1.
func must() bool { return os.Getenv("P9TEST_MUST") == "1" }

// missing skips the test, or fails it where P9TEST_MUST=1.
func missing(t testing.TB, what string) {
	t.Helper()
	if must() {
		t.Fatalf("p9test: %s (and P9TEST_MUST=1)", what)
	}
	t.Skipf("p9test: %s (P9TEST_MUST=1 makes this a failure)", what)
}

var probe = sync.OnceValue(probeFUSE)

// RequireFUSE skips the test with a reason if this process cannot mount FUSE file systems; with P9TEST_MUST=1 it fails.
// It tries, once in a process, on an empty directory.
func RequireFUSE(t testing.TB) {
	t.Helper()
	if err := probe(); err != nil {
		missing(t, err.Error())
	}
}

func probeFUSE() error {
	dir, err := os.MkdirTemp("", "p9test-probe")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return fmt.Errorf("FUSE cannot be had: %w (in a container: --device /dev/fuse)", err)
	}
	if os.Geteuid() != 0 {
		return probeFusermount(dir)
	}
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("FUSE cannot be had: %w (in a container: --device /dev/fuse)", err)
	}
	defer dev.Close()
	opts := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", dev.Fd())
	if err := unix.Mount("p9test", dir, "fuse.p9test", unix.MS_NOSUID|unix.MS_NODEV, opts); err != nil {
		return fmt.Errorf("FUSE cannot be had: mount: %w (in a container: --cap-add SYS_ADMIN)", err)
	}
	return unix.Unmount(dir, unix.MNT_DETACH)
}

// probeFusermount mounts as the unprivileged do: fusermount3 passes the descriptor over a socket.
func probeFusermount(dir string) error {
	bin, err := exec.LookPath("fusermount3")
	if err != nil {
		return fmt.Errorf("FUSE cannot be had without root: %w (Debian package fuse3)", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	theirs := os.NewFile(uintptr(pair[1]), "fusermount")
	defer theirs.Close()
	cmd := exec.Command(bin, "-o", "rw", "--", dir)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Env = append(os.Environ(), "_FUSE_COMMFD=3")
	out, err := cmd.CombinedOutput()
	exec.Command(bin, "-u", "-z", dir).Run()
	unix.Close(pair[0])
	if err != nil {
		return fmt.Errorf("FUSE cannot be had: fusermount3: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// mountMinor finds the FUSE connection's number (the minor device number) of the mount at path, without touching
// the mount, which may hang.
func mountMinor(path string) (minor int, mounted bool, err error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return 0, false, err
	}
	minor, mounted = findMount(string(text), path)
	return minor, mounted, nil
}

// findMount looks the last mount at path up in the text of mountinfo (proc_pid_mountinfo(5)).
func findMount(mountinfo, path string) (minor int, mounted bool) {
	for line := range strings.Lines(mountinfo) {
		f := strings.Fields(line)
		if len(f) < 5 || unescape(f[4]) != path {
			continue
		}
		if _, m, ok := strings.Cut(f[2], ":"); ok {
			if n, err := strconv.Atoi(m); err == nil {
				minor, mounted = n, true
			}
		}
	}
	return minor, mounted
}

// unescape undoes mountinfo's \ooo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// abortMount makes every caller inside the mount return: through fusectl if that is mounted, else by umount -f. Then it detaches.
func abortMount(path string, minor int) error {
	ctl := filepath.Join("/sys/fs/fuse/connections", strconv.Itoa(minor), "abort")
	if err := os.WriteFile(ctl, []byte("1"), 0); err != nil {
		unix.Unmount(path, unix.MNT_FORCE) // EBUSY while it is in use, but aborted it is
	}
	return detachMount(path)
}

// detachMount is umount -l; a path that is no mount is fine.
func detachMount(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH)
	if errors.Is(err, unix.EPERM) {
		out, ferr := exec.Command("fusermount3", "-u", "-z", path).CombinedOutput()
		if ferr != nil {
			return fmt.Errorf("fusermount3 -u -z %s: %w: %s", path, ferr, out)
		}
		return nil
	}
	if errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}
