package p9test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

const modulePath = "p9mapfs"

var (
	p9mapfsBinary   = program{env: "P9MAPFS_BIN", pkg: "./cmd/p9mapfs", name: "p9mapfs", race: raceEnabled}
	maphelperBinary = program{env: "P9MAPHELPER_BIN", pkg: "./test/maphelper", name: "maphelper"}
	legacy9pBinary  = program{env: "LEGACY9P_BIN", pkg: "./test/legacy9p/serve", name: "legacy9p"} // a peer, as fast as diod is
	forgetfulBinary = program{env: "FORGETFUL_BIN", pkg: "./test/forgetful/serve", name: "forgetful", race: raceEnabled}
)

// program is a command of this module, built once in a process.
type program struct {
	env, pkg, name string
	race           bool

	once sync.Once
	path string
	err  error
}

// Binary returns the path of the p9mapfs program, built if need be. The test fails if that fails.
func Binary(t testing.TB) string { return p9mapfsBinary.get(t) }

func (p *program) get(t testing.TB) string {
	t.Helper()
	p.once.Do(func() {
		if p.path = os.Getenv(p.env); p.path == "" {
			p.path, p.err = p.build()
		}
	})
	if p.err != nil {
		t.Fatalf("p9test: %v", p.err)
	}
	return p.path
}

// build runs go build in the module's own directory, where its go.sum is, whoever imports us. The target stays in the
// cache directory, so that a build without changes does not even link.
func (p *program) build() (string, error) {
	module, err := moduleDir()
	if err != nil {
		return "", err
	}
	dir, err := binDir(module)
	if err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	target := filepath.Join(dir, p.name)
	args := []string{"build", "-o", target}
	if p.race {
		target += "-race"
		args = []string{"build", "-race", "-o", target}
	}
	cmd := exec.Command("go", append(args, p.pkg)...)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s in %s: %w\n%s", cmd, module, err, out)
	}
	return target, nil
}

// moduleDir finds our source, from the importer's module first, else from where this file was compiled.
func moduleDir() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", modulePath).Output()
	if dir := strings.TrimSpace(string(out)); err == nil && dir != "" {
		return dir, nil
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		return filepath.Dir(filepath.Dir(filepath.Dir(file))), nil
	}
	return "", fmt.Errorf("cannot find the source of module %s (set P9MAPFS_BIN, P9MAPHELPER_BIN, LEGACY9P_BIN and FORGETFUL_BIN): %v", modulePath, err)
}

func binDir(module string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return os.MkdirTemp("", "p9test-bin")
	}
	dir := filepath.Join(cache, "p9mapfs-p9test", fmt.Sprintf("%x", sha256.Sum256([]byte(module)))[:16])
	return dir, os.MkdirAll(dir, 0o700)
}
