package rescue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// A Tree is where the files are sent to.
type Tree interface {
	// Connect waits for a connection and returns a context under which calls
	// fail when that is lost, with an error whose method Disconnected() bool
	// returns true.
	Connect(ctx context.Context) (context.Context, error)
	// Find returns the file at a path below the attach.
	Find(ctx context.Context, path string) (Remote, error)
}

// A Remote is a file on the server.
type Remote interface {
	Look(ctx context.Context) (Found, error)
	// Open makes the calls below possible.
	Open(ctx context.Context) error
	WriteAt(ctx context.Context, p []byte, off int64) (n int, err error)
	Truncate(ctx context.Context, size int64) error
	Sync(ctx context.Context) error
	Close()
}

// Options are how a rescue file is sent.
type Options struct {
	Overwrite bool          // send also where somebody else has changed the file
	DryRun    bool          // look only
	Told      func(Outcome) // is told of every file, in turn; nil: nobody
}

// An Outcome is what became of a file.
type Outcome struct {
	*Entry
	Verdict Verdict
	Why     string // of the verdict, for people
	Refused bool   // it was not sent, because of the verdict
	Err     error  // it could not be sent, or found
}

// attempts is how often a file is begun again because the connection was lost.
const attempts = 8

// Replay sends what is left in k to t, one file after another: its truncations, its
// extents, and a Tfsync. It goes on after a file that was refused or failed, and
// ends with an error only if ctx ends, there is no connection, or k cannot be read
// or marked.
func Replay(ctx context.Context, k *Kept, t Tree, o Options) error {
	for _, e := range k.Files {
		if e.Done {
			continue
		}
		out, err := k.replay(ctx, t, e, o)
		if err != nil {
			return err
		}
		if o.Told != nil {
			o.Told(out)
		}
	}
	return nil
}

// replay sends one file. After a lost connection it begins again: the server may
// have crashed, and forgotten what it had acknowledged.
func (k *Kept) replay(ctx context.Context, t Tree, e *Entry, o Options) (out Outcome, err error) {
	for range attempts {
		on, err := t.Connect(ctx)
		if err != nil {
			return out, err
		}
		var fatal error
		out, fatal = k.try(on, t, e, o)
		switch {
		case ctx.Err() != nil:
			return out, context.Cause(ctx)
		case fatal != nil:
			return out, fmt.Errorf("%s: %w", k.Path, fatal)
		case !disconnected(out.Err):
			return out, nil
		}
	}
	return out, nil
}

// try sends one file on one connection. fatal is trouble with the rescue file.
func (k *Kept) try(ctx context.Context, t Tree, e *Entry, o Options) (out Outcome, fatal error) {
	out.Entry = e
	var r Remote
	if r, out.Err = t.Find(ctx, e.Path); out.Err != nil {
		if errors.Is(out.Err, fs.ErrNotExist) {
			out.Err = fmt.Errorf("%w; to have the bytes all the same, make an empty file of that name and use --overwrite", out.Err)
		}
		return out, nil
	}
	defer r.Close()
	var found Found
	if found, out.Err = r.Look(ctx); out.Err != nil {
		return out, nil
	}
	out.Verdict, out.Why = e.Judge(k.Mount.Live, found)
	out.Refused = out.Verdict >= Changed && !o.Overwrite
	if out.Refused || o.DryRun {
		return out, nil
	}
	if out.Err = r.Open(ctx); out.Err != nil {
		return out, nil
	}
	if e.Sending == nil || out.Verdict >= Changed {
		if err := k.sending(e, found.Attr); err != nil {
			return out, err
		}
	}
	if out.Err, fatal = k.send(ctx, r, e); out.Err != nil || fatal != nil {
		return out, fatal
	}
	return out, k.sent(e)
}

func (k *Kept) send(ctx context.Context, r Remote, e *Entry) (err, fatal error) {
	for _, size := range e.Truncations {
		if err := r.Truncate(ctx, size); err != nil {
			return err, nil
		}
	}
	buf := make([]byte, 0, MaxData+4096)
	for _, x := range e.Extents {
		data, err := x.Data(k.f, buf)
		if err != nil {
			return nil, err
		}
		if _, err := r.WriteAt(ctx, data, x.Off); err != nil {
			return err, nil
		}
	}
	err = r.Sync(ctx)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil, nil // a server that cannot sync: an acknowledged Twrite counts
	}
	return err, nil
}

func disconnected(err error) bool {
	var d interface{ Disconnected() bool }
	return errors.As(err, &d) && d.Disconnected()
}
