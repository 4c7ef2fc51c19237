package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	errjournal "p9mapfs/errors"
)

func errorsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "errors PATH...",
		Short: "Show what the server did not take of files below the paths",
		Long: `Show the error journal of files and directories on a p9mapfs mount.

Exit status 1 if anything is pending, failed or in conflict: bytes are held that
the server does not have. 0 if not.`,
		Example: `  p9mapfs errors /mnt
  p9mapfs errors /mnt/db/main.sqlite || echo "not everything is safe"`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(errors.New("errors wants at least one PATH on a mount"))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			open := 0
			for _, p := range args {
				n, err := showErrors(p)
				if err != nil {
					return err
				}
				open += n
			}
			if open > 0 {
				return &status{exitFailure, fmt.Errorf("%d matters are open: bytes are held that the server does not have", open)}
			}
			return nil
		},
	}
}

// showErrors prints the journal of p and returns how many of its lines are open.
func showErrors(p string) (open int, err error) {
	st, err := os.Stat(p)
	if err != nil {
		return 0, err
	}
	dir, only := p, ""
	if !st.IsDir() {
		dir = filepath.Dir(p)
		if only, err = pathOnMount(p); err != nil {
			return 0, err
		}
	}
	f, err := os.Open(filepath.Join(dir, ".errors"))
	if err != nil {
		return 0, fmt.Errorf("%s is not on a p9mapfs mount: %w; name a mount point or what is below it", p, err)
	}
	defer f.Close()
	for e, err := range errjournal.Parse(f) {
		if err != nil {
			return open, fmt.Errorf("%s: %w", p, err)
		}
		if only != "" && e.File != only {
			continue
		}
		if e.State.Open() {
			open++
		}
		fmt.Println(e)
	}
	return open, nil
}

// pathOnMount is a file's path below the root of its mount: as far up as the
// device is the same.
func pathOnMount(p string) (string, error) {
	p, err := filepath.Abs(p)
	if err != nil {
		return "", err
	}
	var st, up unix.Stat_t
	if err := unix.Stat(p, &st); err != nil {
		return "", err
	}
	root := filepath.Dir(p)
	for root != "/" {
		if err := unix.Stat(filepath.Dir(root), &up); err != nil {
			return "", err
		}
		if up.Dev != st.Dev {
			break
		}
		root = filepath.Dir(root)
	}
	return filepath.Rel(root, p)
}
