package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"p9mapfs/test/p9test"
)

// Where the server can be told who owns what is made, a local user owns what he
// makes on the mount of another.
func TestOwnerOfWhatAnotherUserMakes(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be two users")
	}
	const nobody = 65534
	r := newRig(t, p9test.Embedded, "--allow-other")
	for _, dir := range []string{r.Dir, r.Path} { // p9test's directories are their maker's
		r.ok(os.Chmod(dir, 0o777))
	}
	cmd := exec.Command("sh", "-ec", "echo his > file; mkdir dir; ln -s file link; mkfifo fifo; echo more >> file")
	cmd.Dir = r.Path
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.ok(os.WriteFile(filepath.Join(r.Path, "mine"), nil, 0o644))
	for name, uid := range map[string]uint32{"file": nobody, "dir": nobody, "link": nobody, "fifo": nobody, "mine": 0} {
		st, err := os.Lstat(filepath.Join(r.Dir, name))
		r.ok(err)
		if got := st.Sys().(*syscall.Stat_t).Uid; got != uid {
			t.Errorf("%s belongs to %d, want %d", name, got, uid)
		}
	}
}
