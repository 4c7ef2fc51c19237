package fusefs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"p9mapfs/p9client"
)

// A ctlHandle is an open .ctl. What is written are commands, one a line; write(2)
// returns when they are done, with the errno of the first that failed, after which
// none is begun. What is read then are the answers that were not read yet, one line
// or more for each command.
type ctlHandle struct {
	fsys *FS
	who  caller

	mu     sync.Mutex
	answer []byte
}

var (
	_ = (fs.FileReader)((*ctlHandle)(nil))
	_ = (fs.FileWriter)((*ctlHandle)(nil))
)

func openCtl(m *magicNode, who caller, _ uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return &ctlHandle{fsys: m.dir.fsys, who: who}, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_STREAM | fuse.FOPEN_NONSEEKABLE, 0
}

const (
	maxCommands = 64 << 10 // the most that one write(2) may bring, in bytes
	maxAnswer   = 1 << 20  // the newest that is kept of answers that nobody reads
)

func (h *ctlHandle) Write(ctx context.Context, data []byte, _ int64) (uint32, syscall.Errno) {
	if len(data) > maxCommands {
		return 0, syscall.EMSGSIZE
	}
	ctx, done := h.fsys.stoppable(ctx)
	defer done()
	var b bytes.Buffer
	var failed syscall.Errno
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if err := h.fsys.command(ctx, h.who, line, &b); err != nil {
			failed = toErrno(err)
			break
		}
	}
	h.mu.Lock()
	h.answer = append(h.answer, b.Bytes()...)
	h.answer = h.answer[max(0, len(h.answer)-maxAnswer):]
	h.mu.Unlock()
	if failed != 0 {
		return 0, failed
	}
	return uint32(len(data)), 0
}

func (h *ctlHandle) Read(_ context.Context, dest []byte, _ int64) (fuse.ReadResult, syscall.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := copy(dest, h.answer)
	h.answer = h.answer[n:]
	return fuse.ReadResultData(dest[:n]), 0
}

// A command is one of .ctl.
type command struct {
	name string
	want uint32 // of each file, by who gives the command
	run  func(fsys *FS, ctx context.Context, files []*file) (answer string, err error)
}

var commands = []command{
	{"sync", mayRead, (*FS).ctlSync},
	{"retry", mayWrite, (*FS).ctlRetry},
	{"discard", mayWrite, (*FS).ctlDiscard},
	{"drop", mayRead, (*FS).ctlDrop},
}

// command obeys one line and writes its answer to b.
func (fsys *FS) command(ctx context.Context, who caller, line string, b *bytes.Buffer) error {
	answer, err := fsys.obey(ctx, who, line)
	if err == nil {
		fmt.Fprintf(b, "ok: %s\n", answer)
		return nil
	}
	for _, e := range flat(err) {
		fmt.Fprintf(b, "error: %s\n", strings.ReplaceAll(e.Error(), "\n", " "))
	}
	return err
}

// flat are the errors that errors.Join joined.
func flat(err error) []error {
	if l, ok := err.(interface{ Unwrap() []error }); ok && strings.Contains(err.Error(), "\n") {
		return l.Unwrap()
	}
	return []error{err}
}

func (fsys *FS) obey(ctx context.Context, who caller, line string) (string, error) {
	words, err := splitWords(line)
	if err != nil {
		return "", err
	}
	name, args := words[0], words[1:]
	for _, c := range commands {
		if c.name != name {
			continue
		}
		files, err := fsys.named(ctx, who, c.want, args)
		if err != nil {
			return "", err
		}
		return c.run(fsys, ctx, files)
	}
	switch {
	case name != "reconnect" && name != "log":
		return "", fmt.Errorf("%w: there is no command %q; there are sync, retry, discard, drop, reconnect and log", syscall.EINVAL, name)
	case !who.all:
		return "", fmt.Errorf("%w: %s is for root and for who mounted", syscall.EPERM, name)
	case name == "log":
		return fsys.ctlLog(args)
	}
	return fsys.ctlReconnect(ctx, args)
}

// splitWords cuts a line at its blanks. A word may be quoted as by strconv.Quote,
// as names are in .errors.
func splitWords(line string) (l []string, err error) {
	for line = strings.TrimLeft(line, " \t"); line != ""; line = strings.TrimLeft(line, " \t") {
		word, rest := line, ""
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("%w: the quotes of %s do not end", syscall.EINVAL, line)
			}
			word, err = strconv.Unquote(quoted)
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %v", syscall.EINVAL, quoted, err)
			}
			rest = line[len(quoted):]
		} else if i := strings.IndexAny(line, " \t"); i >= 0 {
			word, rest = line[:i], line[i:]
		}
		l, line = append(l, word), rest
	}
	return l, nil
}

// named are the known files at or below the paths, or all where there are none,
// of which the caller has want. A path that leads nowhere is ENOENT; one below which
// he has want of none of the known files is EACCES.
func (fsys *FS) named(ctx context.Context, who caller, want uint32, paths []string) (l []*file, err error) {
	all, may := fsys.all(), fsys.permit(who)
	if len(paths) == 0 {
		paths = []string{""}
	}
	seen := make(map[*file]bool)
	for _, p := range paths {
		p = strings.Trim(p, "/")
		known, allowed := false, false
		for _, f := range all {
			if f.wb == nil || !below(f.fid.Path(), p) {
				continue
			}
			known = true
			if !may.may(f.fid.Path(), want) {
				continue
			}
			allowed = true
			if !seen[f] {
				seen[f] = true
				l = append(l, f)
			}
		}
		switch {
		case p == "":
		case known && !allowed:
			return nil, fmt.Errorf("%w: %q is not yours to do that with", syscall.EACCES, p)
		case !known:
			if err := fsys.exists(ctx, may, p); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

// exists looks for a path of which nothing is known here.
func (fsys *FS) exists(ctx context.Context, may *permit, p string) error {
	if !may.may(p, 0) {
		return fmt.Errorf("%w: %q", syscall.EACCES, p)
	}
	fid, err := fsys.session.Root().Walk(p9client.WithoutHold(ctx), strings.Split(p, "/")...)
	if err != nil {
		return fmt.Errorf("%q: %w", p, err)
	}
	fid.Clunk()
	return nil
}

func (fsys *FS) ctlLog(args []string) (string, error) {
	if fsys.o.LogLevel == nil {
		return "", fmt.Errorf("%w: the log's level cannot be changed", syscall.EOPNOTSUPP)
	}
	var level slog.Level
	if len(args) != 1 || level.UnmarshalText([]byte(args[0])) != nil {
		return "", fmt.Errorf("%w: log wants one of debug, info, warn and error", syscall.EINVAL)
	}
	fsys.o.LogLevel.Set(level)
	return "log level " + strings.ToLower(level.String()), nil
}

// ctlReconnect gives the connection up and waits for the next.
func (fsys *FS) ctlReconnect(ctx context.Context, args []string) (string, error) {
	if len(args) > 0 {
		return "", fmt.Errorf("%w: reconnect wants no words", syscall.EINVAL)
	}
	was := fsys.session.Link().Generation
	if err := fsys.session.Reconnect(); err != nil {
		return "", err
	}
	for {
		news := fsys.session.LinkChanged()
		if l := fsys.session.Link(); l.Up && l.Generation > was {
			return fmt.Sprintf("connected to %v, generation %d", l.Address, l.Generation), nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return "", errors.Join(syscall.EINTR, fsys.session.Link().Cause)
		}
	}
}
