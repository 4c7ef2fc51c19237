package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"p9mapfs/p9client"
	"p9mapfs/test/p9test"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A testCase is run against every server.
type testCase struct {
	name  string
	verbs string // T-messages that it is about, for the matrix; the first is the one that is refused
	run   func(r *rig)

	needs capability // without which the server refuses
	// refused prepares and returns an attempt that a server without the capability must refuse.
	refused func(r *rig) func() error
}

var cases = slices.Concat(walkCases, openCases, ioCases, attrCases, treeCases, linkCases, renameCases,
	readdirCases, nameCases, errnoCases, largeCases, parallelCases, openFidCases, xattrCases, lockCases, reconnectCases, interruptCases)

func TestInterop(t *testing.T) {
	if !p9test.Isolated(t) {
		return
	}
	var m matrix
	t.Run("with", func(t *testing.T) {
		for i := range servers {
			t.Run(servers[i].name+"/"+servers[i].dialect, func(t *testing.T) {
				t.Parallel()
				runServer(t, &servers[i], &m)
			})
		}
	})
	if path := os.Getenv("INTEROP_MATRIX"); path != "" {
		if err := os.WriteFile(path, m.markdown(), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// runServer runs every case on one server and session.
func runServer(t *testing.T, s *server, m *matrix) {
	dir, err := os.MkdirTemp("", "interop") // not below t.TempDir, which other users than root cannot pass
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	layout(t, dir)
	p := s.start(t, dir)
	session := dial(t, p, rootUser(p))
	var asked sync.Map // which declarations the cases looked at
	ran := 0
	for _, c := range cases {
		var met []string // deviations
		ok := t.Run(c.name, func(t *testing.T) {
			ran++
			r := newRig(t, s, p, session, dir, c.name)
			r.asked = &asked
			defer func() {
				r.here.Range(func(what, _ any) bool { met = append(met, what.(string)); return true })
			}()
			if errno, lacking := s.lacks[c.needs]; lacking {
				r.expectRefusal(c.refused(r), errno)
				return
			}
			c.run(r)
		})
		m.add(s, c, ok, met)
	}
	if ran < len(cases) || t.Failed() {
		return
	}
	for what := range s.answers {
		if _, ok := asked.Load(what); !ok {
			t.Errorf("it is declared what it answers to %q, which no case looks at", what)
		}
	}
	for what := range s.deviates {
		if _, ok := asked.Load(what); !ok {
			t.Errorf("it is declared that it deviates in %q, which no case looks at", what)
		}
	}
}

// layout mounts what a server has to cross: readOnlyMount, which shows a directory of the export that can be written otherwise,
// readOnlyFS, a file system that cannot, and small, which holds a mebibyte. They are unmounted when the test ends, or with the
// namespace.
func layout(t *testing.T, dir string) {
	ro, roFS, small, behind := filepath.Join(dir, readOnlyMount), filepath.Join(dir, readOnlyFS), filepath.Join(dir, "small"), filepath.Join(dir, "behind")
	for _, path := range []string{ro, roFS, small, behind} {
		if err := os.Mkdir(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	mount(t, "interop", roFS, "tmpfs", 0, "size=1m,mode=777")
	mount(t, "interop", small, "tmpfs", 0, "size=1m,mode=777")
	mount(t, behind, ro, "", unix.MS_BIND, "")
	for _, path := range []string{roFS, behind} {
		for _, name := range []string{"file", "file 2"} {
			if err := os.WriteFile(filepath.Join(path, name), []byte("unchanging"), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(filepath.Join(path, "dir"), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for path, flags := range map[string]uintptr{ro: unix.MS_BIND, roFS: 0} {
		if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_RDONLY|flags, ""); err != nil {
			t.Fatalf("remount %s read-only: %v", path, err)
		}
	}
}

func mount(t *testing.T, source, target, fstype string, flags uintptr, data string) {
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		t.Fatalf("mount %s: %v", target, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", target, err)
		}
	})
}

// rootUser are the options of an attach as root.
func rootUser(p peer) p9client.Options {
	return p9client.Options{
		Uname: "root", Aname: p.Aname(), HoldTimeout: time.Minute, RequestTimeout: time.Minute,
		BackoffMin: 5 * time.Millisecond, BackoffMax: 100 * time.Millisecond,
	}
}

func dial(t *testing.T, p peer, o p9client.Options) *p9client.Session {
	t.Helper()
	s, err := tryDial(t, p, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryDial(t *testing.T, p peer, o p9client.Options) (*p9client.Session, error) {
	addr, err := p9client.ParseAddress(p.Address())
	if err != nil {
		t.Fatal(err)
	}
	s, err := p9client.Dial(t.Context(), addr, o)
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

func TestCasesAreWellMade(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.name] || strings.Contains(c.name, "/") {
			t.Errorf("case %q: twice, or with a slash", c.name)
		}
		seen[c.name] = true
		if c.run == nil || c.verbs == "" || (c.needs == "") != (c.refused == nil) {
			t.Errorf("case %q lacks what it has to say", c.name)
		}
		for _, v := range strings.Fields(c.verbs) {
			if !slices.Contains(matrixVerbs, v) {
				t.Errorf("case %q: %s has no row in the matrix", c.name, v)
			}
		}
	}
	for _, s := range servers {
		for c := range s.lacks {
			if !slices.ContainsFunc(cases, func(x testCase) bool { return x.needs == c }) {
				t.Errorf("%s declares to lack %q, which no case needs", s.name, c)
			}
		}
	}
	for _, v := range matrixVerbs {
		if !slices.ContainsFunc(cases, func(x testCase) bool { return slices.Contains(strings.Fields(x.verbs), v) }) {
			t.Errorf("no case is about %s", v)
		}
	}
}

func dirName(caseName string) string { return "case " + fmt.Sprintf("%.40s", caseName) }
