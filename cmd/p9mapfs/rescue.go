package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"p9mapfs/p9client"
	"p9mapfs/rescue"
)

// rescueFlags are what can be said to p9mapfs rescue.
type rescueFlags struct {
	mountFlags           // of which the session's are used
	overwrite, dryRun    bool
	anameSaid, unameSaid bool
	dialectSaid          bool
}

func rescueCommand() *cobra.Command {
	f := rescueFlags{mountFlags: mountFlags{
		msize: 1<<20 + 24, maxFids: 16384,
		dialect:  choice{"auto", []string{"auto", p9client.DotL, p9client.DotU, p9client.Plain}},
		logLevel: choice{"warn", []string{"debug", "info", "warn", "error"}},
	}}
	c := &cobra.Command{
		Use:   "rescue [flags] FILE [ADDRESS]",
		Short: "Send what a mount had to leave in a rescue file",
		Long: `Send what a mount had to leave in a rescue file.

Each file is looked for by the path that it had, and sent if it is still the same
one and nobody else has changed it since: its truncations, then its bytes, and a
Tfsync. Where the mount's own writes may have changed it after it was last looked
at, that is taken into account as far as it can be told. A file that somebody else
has changed is refused, unless --overwrite. What was sent is marked in FILE, so that
another run sends only the rest; when nothing is left FILE is removed. A damaged
FILE is used as far as it is whole, and neither marked nor removed.

ADDRESS, --aname, --uname and --dialect are those of the mount, unless said
otherwise. A command (exec!) is only run if it is named here. ADDRESS is written
as for p9mapfs mount.

Exit status: 0, 1 failure, 2 usage, 3 if something was not sent.`,
		Example: `  p9mapfs rescue --dry-run /var/lib/p9mapfs/mnt-20261125T120000Z-1234.rescue
  p9mapfs rescue /var/lib/p9mapfs/mnt-20261125T120000Z-1234.rescue tcp!fileserver!564`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return usage(fmt.Errorf("rescue wants a FILE and perhaps an ADDRESS, got %d arguments; see %s --help", len(args), c.CommandPath()))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			fl := c.Flags()
			f.anameSaid, f.unameSaid, f.dialectSaid = fl.Changed("aname"), fl.Changed("uname"), fl.Changed("dialect")
			return f.run(c.Context(), c.OutOrStdout(), args)
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.aname, "aname", "", "tree to attach to (default: the mount's)")
	fl.StringVar(&f.uname, "uname", "", "user to attach as (default: the mount's)")
	fl.Var(&f.dialect, "dialect", "which 9P to speak (default: as the mount)")
	fl.Var(&f.msize, "msize", "largest 9P message to ask for")
	fl.DurationVar(&f.requestTimeout, "request-timeout", 30*time.Second, "silence of the server, while it owes replies, that counts as a lost connection")
	fl.DurationVar(&f.holdTimeout, "hold-timeout", time.Minute, "how long to wait for a lost connection, 0: for ever")
	fl.BoolVar(&f.overwrite, "overwrite", false, "send also where somebody else has changed or replaced the file")
	fl.BoolVar(&f.dryRun, "dry-run", false, "look at the files on the server and say what would be sent")
	f.tls.add(c)
	fl.Var(&f.logLevel, "log-level", "what to log on stderr")
	return c
}

func (f *rescueFlags) run(ctx context.Context, out io.Writer, args []string) error {
	if f.msize < 4096 || f.msize > 1<<30 {
		return usage(fmt.Errorf("--msize %v is not between 4KiB and 1GiB", &f.msize))
	}
	if f.requestTimeout < 0 || f.holdTimeout < 0 {
		return usage(errors.New("--request-timeout and --hold-timeout are not below 0; give them a time like 30s"))
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	k, err := rescue.Open(args[0])
	if err != nil {
		return err
	}
	defer k.Close()
	f.describe(out, k)
	session, err := f.dial(ctx, k, args[1:])
	if err != nil {
		return err
	}
	defer session.Close()
	err = rescue.Replay(ctx, k, rescueTree{session}, rescue.Options{
		Overwrite: f.overwrite, DryRun: f.dryRun,
		Told: func(o rescue.Outcome) { fmt.Fprintln(out, line(o, f.dryRun)) },
	})
	if err != nil {
		return fmt.Errorf("%w; what was sent is marked, run it again for the rest", err)
	}
	return f.conclude(out, k)
}

// describe says what is in the rescue file.
func (f *rescueFlags) describe(out io.Writer, k *rescue.Kept) {
	files, bytes := k.Left()
	m := k.Mount
	fmt.Fprintf(out, "%s: %s to send, left by the mount of %s on %s at %s\n", k.Path, amount(bytes, files),
		quoted(m.Address), quoted(m.Mountpoint), m.Written.UTC().Format(time.RFC3339))
	if m.Live {
		fmt.Fprintln(out, "it was written while programs could still store: newer stores may be on the server, or lost")
	}
	if !k.Whole() {
		fmt.Fprintf(out, "it is damaged (%d records are unreadable, torn: %v): what is whole can be sent, the rest is lost\n", k.Damaged, k.Torn)
	}
}

// dial connects as the mount did, or as the flags say.
func (f *rescueFlags) dial(ctx context.Context, k *rescue.Kept, said []string) (*p9client.Session, error) {
	address := k.Mount.Address
	if len(said) > 0 {
		address = said[0]
	} else if address == "" {
		return nil, usage(errors.New("the rescue file does not say which server it is for; give an ADDRESS"))
	}
	addrs, err := p9client.ParseAddresses(address)
	if err != nil {
		return nil, usage(err)
	}
	for _, a := range addrs {
		if len(said) == 0 && (a.Network == "exec" || a.Network == "fd") {
			return nil, usage(fmt.Errorf("the mount was of %s, which is only used if it is given here as ADDRESS", quoted(address)))
		}
	}
	if !f.anameSaid {
		f.aname = k.Mount.Aname
	}
	if !f.dialectSaid {
		if err := f.dialect.Set(k.Mount.Dialect); err != nil && k.Mount.Dialect != "" {
			return nil, fmt.Errorf("the rescue file's dialect: %w; use --dialect", err)
		}
	}
	config, err := f.tls.config(addrs)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level(f.logLevel.value)}))
	o := f.session(log)
	o.TLS, o.Fallback = config, addrs[1:]
	if !f.unameSaid && k.Mount.Uname != "" {
		o.Uname, o.NUname = k.Mount.Uname, k.Mount.NUname
	}
	return p9client.Dial(ctx, addrs[0], o)
}

// line tells what became of a file.
func line(o rescue.Outcome, dryRun bool) string {
	what := humanize.IBytes(uint64(o.Bytes))
	if n := len(o.Truncations); n > 0 {
		what += fmt.Sprintf(", %d truncations", n)
	}
	if o.Missing > 0 {
		what += fmt.Sprintf(", %d pieces are missing", o.Missing)
	}
	switch {
	case o.Err != nil:
		what = fmt.Sprintf("failed (%s): %v", what, o.Err)
	case o.Refused:
		what = fmt.Sprintf("refused (%s): %s; --overwrite sends it all the same", what, o.Why)
	case dryRun:
		what = "would be sent: " + what
	default:
		what = "sent: " + what
	}
	switch {
	case o.Err == nil && !o.Refused && o.Why != "":
		what += fmt.Sprintf(" (over a file that is another now: %s)", o.Why)
	case o.Verdict == rescue.Ours && o.Err == nil:
		what += " (it has changed since, as the mount's own writes may have changed it)"
	}
	return quoted(o.Path) + ": " + what
}

// conclude says what is left, and removes the rescue file if it is nothing.
func (f *rescueFlags) conclude(out io.Writer, k *rescue.Kept) error {
	files, bytes := k.Left()
	switch {
	case f.dryRun && files > 0:
		return &status{exitUnsent, fmt.Errorf("%s is left to send", amount(bytes, files))}
	case f.dryRun:
		return nil
	case files > 0:
		return &status{exitUnsent, fmt.Errorf("%s was not sent and stays in %s", amount(bytes, files), k.Path)}
	case !k.Whole():
		return &status{exitUnsent, fmt.Errorf("what is whole was sent; the damaged %s stays there, remove it when it is of no more use", k.Path)}
	}
	if err := k.Remove(); err != nil {
		return fmt.Errorf("everything was sent, but the rescue file is still there: %w", err)
	}
	fmt.Fprintf(out, "everything was sent; removed %s\n", k.Path)
	return nil
}

// quoted quotes what a terminal should not get as it is.
func quoted(s string) string {
	if q := fmt.Sprintf("%q", s); strings.Trim(q, `"`) != s || s == "" {
		return q
	}
	return s
}
