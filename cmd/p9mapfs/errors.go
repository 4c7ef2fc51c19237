package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	errjournal "p9mapfs/errors"
)

func errorsCommand() *cobra.Command {
	var v errorsView
	c := &cobra.Command{
		Use:   "errors [-f] [--json] PATH...",
		Short: "Show what the server did not take of files below the paths",
		Long: `Show the error journal of files and directories on a p9mapfs mount, one row a
matter.

Exit status 1 if anything is pending, failed or in conflict: bytes are held that
the server does not have. 0 if not. With -f it goes on until it is interrupted.`,
		Example: `  p9mapfs errors /mnt
  p9mapfs errors /mnt/db/main.sqlite || echo "not everything is safe"
  p9mapfs errors -f --json /mnt | jq .file`,
		Args: atLeastOnePath("errors"),
		RunE: func(c *cobra.Command, args []string) error {
			v.out = c.OutOrStdout()
			return v.run(args)
		},
	}
	c.Flags().BoolVarP(&v.follow, "follow", "f", false, "go on with what happens; paths on one mount")
	c.Flags().BoolVar(&v.json, "json", false, "an object a line, with the keys of .errors")
	return c
}

// errorsView is how a journal is shown.
type errorsView struct {
	follow, json bool
	out          io.Writer
	headed       bool
}

func (v *errorsView) run(paths []string) error {
	var places []place
	for _, p := range paths {
		m, err := mountOf(p)
		if err != nil {
			return err
		}
		if v.follow && len(places) > 0 && m.root != places[0].root {
			return usage(fmt.Errorf("-f wants paths on one mount; %s is on another than %s", p, paths[0]))
		}
		places = append(places, m)
	}
	var events *os.File
	if v.follow { // before the journal is read, so that nothing falls between
		var err error
		if events, err = os.Open(places[0].magic("events")); err != nil {
			return notOurs(paths[0], err)
		}
		defer events.Close()
	}
	open := 0
	for i, m := range places {
		l, err := journalOf(m, paths[i])
		if err != nil {
			return err
		}
		for _, e := range l {
			if e.State.Open() {
				open++
			}
			if err := v.show(e); err != nil {
				return err
			}
		}
	}
	if v.follow {
		return v.goOn(events, places)
	}
	if open > 0 {
		return &status{exitFailure, fmt.Errorf("%d matters are open: bytes are held that the server does not have", open)}
	}
	return nil
}

// journalOf reads the journal of a place, each matter as it stands now.
func journalOf(m place, named string) (l []errjournal.Entry, err error) {
	dir := filepath.Join(m.root, m.path)
	if !m.isDir {
		dir = filepath.Dir(dir)
	}
	f, err := os.Open(filepath.Join(dir, m.prefix+"errors"))
	if err != nil {
		return nil, notOurs(named, err)
	}
	defer f.Close()
	for e, err := range errjournal.Parse(f) {
		if err != nil {
			return l, fmt.Errorf("%s: %w", named, err)
		}
		if m.has(e) {
			l = append(l, e)
		}
	}
	return l, nil
}

// has reports whether an entry is about the place.
func (m place) has(e errjournal.Entry) bool {
	return m.path == "" || e.File == m.path || m.isDir && strings.HasPrefix(e.File, m.path+"/")
}

// goOn shows what happens, until the mount ends.
func (v *errorsView) goOn(events io.Reader, places []place) error {
	for e, err := range errjournal.Parse(events) {
		var bad *errjournal.ParseError
		if errors.As(err, &bad) {
			continue
		}
		if err != nil {
			return fmt.Errorf("the mount has ended: %w", err)
		}
		if slices.ContainsFunc(places, func(m place) bool { return m.has(e) }) {
			if err := v.show(e); err != nil {
				return err
			}
		}
	}
	return errors.New("the mount has ended")
}

func (v *errorsView) show(e errjournal.Entry) error {
	if v.json {
		return json.NewEncoder(v.out).Encode(object(e))
	}
	const row = "%-10s  %-19s  %-10s  %-9s  %5s  %-24s  %s\n"
	if !v.headed {
		v.headed = true
		fmt.Fprintf(v.out, row, "STATE", "SINCE", "ERROR", "OP", "TRIES", "BYTES", "FILE: MESSAGE")
	}
	_, err := fmt.Fprintf(v.out, row, e.State, e.Time.Local().Format("2006-01-02 15:04:05"), errnoName(e.Errno), e.Op, fmt.Sprint(e.Tries),
		fmt.Sprintf("%d+%d", e.Off, e.Len), plain(e.File)+": "+plain(e.Msg))
	return err
}

func errnoName(e syscall.Errno) string {
	if name := unix.ErrnoName(e); name != "" || e == 0 {
		return name
	}
	return strconv.Itoa(int(e))
}

// plain shows a name or the server's words as they are, or quoted where they would
// do something to a terminal.
func plain(s string) string {
	if q := fmt.Sprintf("%q", s); q != `"`+s+`"` {
		return q
	}
	return s
}

// A journalObject is an entry in JSON, by the keys of .errors. Bytes of a name that are
// no UTF-8 are replaced.
type journalObject struct {
	Seq   uint64 `json:"seq"`
	Time  string `json:"time"`
	State string `json:"state"`
	Op    string `json:"op"`
	File  string `json:"file"`
	Off   int64  `json:"off"`
	Len   int64  `json:"len"`
	Errno string `json:"errno"`
	Msg   string `json:"msg"`
	Tries int    `json:"tries"`
	Sum   string `json:"sum,omitempty"`
}

func object(e errjournal.Entry) journalObject {
	return journalObject{
		Seq: e.Seq, Time: e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), State: e.State.String(), Op: e.Op, File: e.File, Off: e.Off,
		Len: e.Len, Errno: errnoName(e.Errno), Msg: e.Msg, Tries: e.Tries, Sum: e.Sum,
	}
}
