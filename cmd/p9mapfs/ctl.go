package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// ctlCommands are the commands that a mount's .ctl obeys.
func ctlCommands() []*cobra.Command {
	return []*cobra.Command{
		ctlCommand("sync", "Make what was stored below the paths durable on the server",
			`Have the kernel hand over the dirty pages of every file at or below the paths,
send them, and have the server make them durable. This is what sync(1) cannot do.

Exit status 1 if the server did not take everything, or cannot be reached.`),
		ctlCommand("retry", "Send again what the server refused below the paths",
			`Send again, now, what the server refused of files at or below the paths. It does
not wait for the answers: p9mapfs errors shows them.`),
		ctlCommand("discard", "Drop what the server has not made durable below the paths",
			`Drop the bytes that the server has not made durable, of every file at or below
the paths. Programs see the server's bytes afterwards. Each dropped run leaves a
line with its checksum in .errors, and who has the file open is told once.

The bytes are gone: there is no way back.`),
		ctlCommand("drop", "Forget the clean pages of files below the paths",
			`Forget the clean pages of files at or below the paths, in the daemon and in the
kernel, so that the next read asks the server. No byte is lost by it.`),
	}
}

func ctlCommand(name, short, long string) *cobra.Command {
	return &cobra.Command{
		Use:   name + " PATH...",
		Short: short,
		Long:  long,
		Args:  atLeastOnePath(name),
		RunE: func(c *cobra.Command, args []string) error {
			var errs []error
			for _, p := range args {
				answer, err := tellCtl(name, p)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", p, answer)
			}
			return oneLine(errs)
		},
	}
}

func atLeastOnePath(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(fmt.Errorf("%s wants at least one PATH on a mount", name))
		}
		return nil
	}
}

// oneLine makes one line of several errors.
func oneLine(errs []error) error {
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	words := make([]string, len(errs))
	for i, err := range errs {
		words[i] = err.Error()
	}
	return errors.New(strings.Join(words, "; "))
}

// tellCtl gives the mount that p is on a command about p, and returns the answer.
func tellCtl(name, p string) (string, error) {
	m, err := mountOf(p)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(m.magic("ctl"), os.O_RDWR, 0)
	if err != nil {
		return "", notOurs(p, err)
	}
	defer f.Close()
	_, failed := f.WriteString(name + " " + strconv.Quote(m.path) + "\n")
	answer, err := io.ReadAll(f)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, p, err)
	}
	words := strings.Split(strings.TrimSpace(string(answer)), "\n")
	if failed == nil {
		return strings.TrimPrefix(strings.Join(words, "; "), "ok: "), nil
	}
	said := make([]string, 0, len(words))
	for _, w := range words {
		if w = strings.TrimPrefix(w, "error: "); w != "" {
			said = append(said, w)
		}
	}
	if errno := errors.Unwrap(failed); errno != nil { // without .ctl's path
		failed = errno
	}
	return "", fmt.Errorf("%s %s: %w: %s", name, p, failed, strings.Join(said, "; "))
}

// notOurs says that a magic file cannot be opened.
func notOurs(p string, err error) error {
	return fmt.Errorf("%s is not on a p9mapfs mount, or its root cannot be seen: %w; name a mount point or what is below it", p, err)
}

// A place is a file or directory of a mount.
type place struct {
	root   string // of the mount, as far as it can be seen
	path   string // below root; "" is the root
	isDir  bool
	prefix string // of the names of the magic files
}

// mountOf finds the mount that p is on: as far up as the device is the same.
func mountOf(p string) (m place, err error) {
	var st, up unix.Stat_t
	if err := unix.Stat(p, &st); err != nil {
		return m, &os.PathError{Op: "stat", Path: p, Err: err}
	}
	m.prefix = magicPrefix(p)
	m.isDir = st.Mode&unix.S_IFMT == unix.S_IFDIR
	at, err := filepath.Abs(p)
	if err != nil {
		return m, err
	}
	if at, err = filepath.EvalSymlinks(at); err != nil {
		return m, err
	}
	if m.root = at; !m.isDir {
		m.root = filepath.Dir(at)
	}
	for m.root != "/" {
		if err := unix.Stat(filepath.Dir(m.root), &up); err != nil {
			return m, &os.PathError{Op: "stat", Path: filepath.Dir(m.root), Err: err}
		}
		if up.Dev != st.Dev {
			break
		}
		m.root = filepath.Dir(m.root)
	}
	if m.path, err = filepath.Rel(m.root, at); m.path == "." {
		m.path = ""
	}
	return m, err
}

// magicPrefix asks the mount how its magic files are called; "." if it does not
// say.
func magicPrefix(p string) string {
	b := make([]byte, 256)
	n, err := unix.Getxattr(p, "user.p9mapfs.prefix", b)
	if err != nil || n == 0 {
		return "."
	}
	return string(b[:n])
}

// magic is the path of a magic file at the mount's root.
func (m place) magic(name string) string { return filepath.Join(m.root, m.prefix+name) }
