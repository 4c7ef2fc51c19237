package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"p9mapfs/test/p9test"
)

// outsideTest is what somebody else's repository might contain.
const outsideTest = `package outside

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/test/p9test"
)

func TestOurFilesCanBeMapped(t *testing.T) {
	m := p9test.Mount(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	path := filepath.Join(m.Path, "f")
	if err := os.WriteFile(path, make([]byte, 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := p9test.StartHelper(t).Open(ctx, path, "rw")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Map(ctx, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Store(ctx, 0, []byte("from outside")); err != nil {
		t.Fatal(err)
	}
	if err := f.Msync(ctx); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(m.Dir, "f")); err != nil || !strings.HasPrefix(string(b), "from outside") {
		t.Fatalf("the server has %.12q, %v", b, err)
	}
}

func TestJournalIsReadable(t *testing.T) {
	const line = "seq=12 time=2026-11-23T15:04:05.123Z state=failed op=Twrite file=\"lib/words\" off=4096 len=8192 errno=ENOSPC msg=\"full\" tries=3\n"
	n := 0
	for e, err := range errjournal.Parse(strings.NewReader(line)) {
		if err != nil {
			t.Fatal(err)
		}
		if e.State != errjournal.Failed || !e.State.Open() || e.File != "lib/words" || e.Len != 8192 {
			t.Errorf("got %v", e)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d entries", n)
	}
}
`

func TestOutsideModuleUsesTheJournalAndTheHarness(t *testing.T) {
	p9test.RequireFUSE(t)
	bin := p9test.Binary(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	module := filepath.Dir(here)
	dir := t.TempDir()
	mod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	goLine := ""
	for line := range strings.Lines(string(mod)) {
		if strings.HasPrefix(line, "go ") {
			goLine = line
		}
	}
	for name, text := range map[string]string{
		"go.mod":          "module example.org/outside\n\n" + goLine + "\nrequire p9mapfs v0.0.0\n\nreplace p9mapfs => " + module + "\n",
		"go.sum":          string(sum),
		"outside_test.go": outsideTest,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Nothing may be downloaded: what we need must be in our own go.sum and cache.
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "./...")
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "P9TEST_MUST=1", "P9MAPFS_BIN="+bin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v in an outside module: %v\n%s", cmd, err, out)
	}
	for _, want := range []string{"--- PASS: TestOurFilesCanBeMapped", "--- PASS: TestJournalIsReadable"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it did not say %q:\n%s", want, out)
		}
	}
}
