package test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	errjournal "p9mapfs/errors"
)

// two users: root, who mounted, and this one.
const stranger = 65533

func (r *rig) asStranger(words ...string) ran {
	r.t.Helper()
	return run(r.t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}, words...)
}

func TestOtherUsersAreShownAndObeyedForTheirFilesOnly(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			r := newRig(t, kind, "--allow-other", "--retry-interval", "1h")
			r.ok(os.Mkdir(filepath.Join(r.Dir, "closed"), 0o700))
			modes := map[string]os.FileMode{"ours": 0o666, "shown": 0o644, "secret": 0o600, "closed/in": 0o666}
			var events *background
			for name, mode := range modes {
				r.put(name, make([]byte, 4096))
				r.ok(os.Chmod(filepath.Join(r.Dir, name), mode))
			}
			events = r.startAs(stranger, "cat", r.at(".events"))
			r.await("a reader", func() bool { return r.opened(events, ".events") })
			r.rules("Twrite reply=ENOSPC")
			for name := range modes {
				f := r.mapped(name)
				r.ok(f.Store(r.ctx, 0, []byte(name)))
				r.fails(f.Msync(r.ctx), syscall.ENOSPC)
			}
			files := func(text string) (l []string) {
				for e, err := range errjournal.Parse(strings.NewReader(text)) {
					r.ok(err)
					l = append(l, e.File)
				}
				return l
			}
			if l := files(r.journalText()); len(l) != 4 {
				t.Errorf("root is shown %v", l)
			}
			got := r.asStranger("cat", r.at(".errors"))
			if l := files(got.stdout); len(l) != 2 || strings.Contains(got.stdout, "secret") || strings.Contains(got.stdout, "closed") {
				t.Errorf("a stranger is shown %v: %+v", l, got)
			}
			events.says(`(?s)file="ours".*file="shown"|file="shown".*file="ours"`)
			if s := events.out.String(); strings.Contains(s, "secret") || strings.Contains(s, "closed") {
				t.Errorf("a stranger's .events: %s", s)
			}
			ctl := func(command string) ran {
				return r.asStranger("bash", "-c", `exec 3<>"$1"/.ctl; echo "$2" >&3; cat <&3`, "bash", r.Path, command)
			}
			for _, c := range []string{"retry secret", "retry shown", "retry closed/in", "discard shown", "drop secret", "sync secret"} {
				if got := ctl(c); !strings.Contains(got.stderr, "Permission denied") || !strings.HasPrefix(got.stdout, "error: ") {
					t.Errorf("%s: %+v", c, got)
				}
			}
			for _, c := range []string{"reconnect", "log debug"} {
				if got := ctl(c); !strings.Contains(got.stderr, "not permitted") {
					t.Errorf("%s: %+v", c, got)
				}
			}
			if got := r.asStranger("getfattr", "-n", "user.p9mapfs.errors", r.at("secret")); got.status == 0 || strings.Contains(got.stdout, "seq=") {
				t.Errorf("another's attribute: %+v", got)
			}
			if got := r.asStranger("getfattr", "--absolute-names", "--only-values", "-n", "user.p9mapfs.errors", r.at("shown")); !strings.Contains(got.stdout, "seq=") {
				t.Errorf("a readable file's attribute: %+v", got)
			}
			r.Proxy.Clear()
			if got := ctl("retry"); got.stdout != "ok: 1 file with refused bytes, which are sent again\n" {
				t.Errorf("retry of all that is his: %+v", got)
			}
			r.await("the stranger's retry", func() bool {
				b, err := os.ReadFile(filepath.Join(r.Dir, "ours"))
				return err == nil && bytes.HasPrefix(b, []byte("ours"))
			})
			r.serverHas("secret", 0, make([]byte, 6))
			if got := r.p9mapfs("sync", r.Path); got.status != 0 {
				t.Errorf("root's sync: %+v", got)
			}
			r.serverHas("secret", 0, []byte("secret"))
		})
	}
}

func TestWriteByAnotherUserTakesSetuidAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			r := newRig(t, kind, "--allow-other")
			for what, line := range map[string]string{
				"write":    `echo x 1<> "$1"`,
				"truncate": `truncate -s 1 "$1"`,
			} {
				r.put(what, []byte("program"))
				there := filepath.Join(r.Dir, what)
				r.ok(os.Chmod(there, 0o777|os.ModeSetuid|os.ModeSetgid))
				if got := r.asStranger("bash", "-c", line, "bash", r.at(what)); got != (ran{}) {
					t.Errorf("%s: %+v", what, got)
				}
				if st, err := os.Stat(there); err != nil || st.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
					t.Errorf("%s: %v, %v", what, st.Mode(), err)
				}
				if st, err := os.Stat(r.at(what)); err != nil || st.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
					t.Errorf("%s: the mount shows %v, %v", what, st.Mode(), err)
				}
			}
			r.put("root", []byte("program"))
			r.ok(os.Chmod(filepath.Join(r.Dir, "root"), 0o755|os.ModeSetuid))
			r.ok(os.WriteFile(r.at("root"), []byte("newer"), 0))
			if st, err := os.Stat(filepath.Join(r.Dir, "root")); err != nil || st.Mode()&os.ModeSetuid == 0 {
				t.Errorf("root's write: %v, %v", st.Mode(), err)
			}
		})
	}
}
