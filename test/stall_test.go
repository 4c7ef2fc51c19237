package test

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/test/p9test"
	"p9mapfs/test/p9test/pattern"
)

func TestPromise15_StalledServerDoesNotHoldTheKilled(t *testing.T) {
	for _, what := range []string{"fault", "read", "fsync", "stat", "close"} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, p9test.Diod, "--hold-timeout", "1m", "--attr-timeout", "0")
			r.put("f", pattern.Bytes(0, 1<<20, 5))
			f := r.mapped("f")
			r.rules("stall")
			var call *p9test.Call
			switch what {
			case "fault":
				call = f.Go("load", 0, 1)
			case "read":
				call = f.Go("pread", 0, 1)
			case "fsync":
				call = f.Go("fsync")
			case "stat":
				call = f.Go("size")
			case "close":
				_, err := f.Pwrite(r.ctx, 0, []byte("unsent"))
				r.ok(err)
				call = f.Go("close")
			}
			r.waiting(call)
			began := time.Now()
			if !r.Helper.Kill() {
				t.Errorf("SIGKILL did not end it")
			}
			if d := time.Since(began); d > 2*time.Second {
				t.Errorf("SIGKILL took %v", d)
			}
			r.Proxy.Resume()
		})
	}
}

func TestPromise15_SilenceIsALostConnection(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 4096))
		f := r.mapped("f")
		r.ok(f.Store(r.ctx, 0, []byte("old")))
		r.ok(f.Msync(r.ctx))
		r.rules("stall")
		r.ok(f.Store(r.ctx, 0, []byte("new")))
		ctx, cancel := context.WithTimeout(r.ctx, 20*time.Second)
		defer cancel()
		if err := f.Msync(ctx); !errors.Is(err, syscall.ETIMEDOUT) {
			r.Proxy.Resume() // else .errors cannot be read
			r.fails(err, syscall.ETIMEDOUT)
		}
		if !r.allIn(errjournal.Pending) {
			r.t.Errorf("journal:\n%s", r.journalText())
		}
		r.Proxy.Resume()
		r.await("the bytes to be sent by themselves", func() bool { return r.allIn(errjournal.Resolved) })
		r.serverHas("f", 0, []byte("new"))
		r.ok(f.Msync(r.ctx))
	}, "--request-timeout", "800ms", "--hold-timeout", "300ms")
}

// Who asks for attributes or a name while the connection is being lost is answered
// like those who ask later, with what is known.
func TestPromise02_QuestionsUnderWayAtTheLossAreAnsweredByWhatIsKnown(t *testing.T) {
	for rule, question := range map[string]string{"Tgetattr hold": "size", "Twalk hold": "stat"} {
		t.Run(question, func(t *testing.T) {
			servers(t, func(r *rig) {
				r.put("f", make([]byte, 5000))
				f := r.mapped("f")
				r.ok(f.Store(r.ctx, 0, []byte("known")))
				r.ok(f.Msync(r.ctx))
				r.rules(rule)
				ctx, cancel := context.WithTimeout(r.ctx, 15*time.Second)
				defer cancel()
				stat := exec.CommandContext(ctx, "stat", "-c", "%s", filepath.Join(r.Path, "f"))
				var out bytes.Buffer
				stat.Stdout, stat.Stderr = &out, &out
				r.ok(stat.Start())
				r.await("the question", func() bool { return r.Proxy.Held() > 0 })
				r.lost()
				if err := stat.Wait(); err != nil || out.String() != "5000\n" {
					r.t.Errorf("%q, %v", out.String(), err)
				}
				r.heal()
			}, "--hold-timeout", "50s", "--attr-timeout", "0")
		})
	}
}
