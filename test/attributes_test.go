package test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestStateAndErrorsOfAFileAreItsAttributes(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 8192))
		f := r.mapped("f")
		attr := func(name string) string {
			t.Helper()
			got := run(t, nil, "getfattr", "--absolute-names", "--only-values", "-n", "user.p9mapfs."+name, r.at("f"))
			if got.status != 0 {
				t.Errorf("getfattr %s: %+v", name, got)
			}
			return got.stdout
		}
		if s, e := attr("state"), attr("errors"); s != "clean" || e != "" {
			t.Errorf("untouched: %q, %q", s, e)
		}
		r.refuse(f, "one")
		if s, e := attr("state"), attr("errors"); s != "failed=4096" || !regexp.MustCompile(`^seq=1 [^\n]*state=failed [^\n]*\n$`).MatchString(e) {
			t.Errorf("refused: %q, %q", s, e)
		}
		r.Proxy.Clear()
		r.ok(f.Msync(r.ctx))
		if s, e := attr("state"), attr("errors"); s != "clean" || !strings.Contains(e, "state=resolved") {
			t.Errorf("durable: %q, %q", s, e)
		}
		r.lost()
		_, err := f.Pwrite(r.ctx, 4000, []byte("unsent"))
		r.ok(err)
		if s := attr("state"); s != "dirty=6" {
			t.Errorf("cut off: %q", s)
		}
		if got := run(t, nil, "getfattr", "--absolute-names", r.at("f")); !strings.Contains(got.stdout, "user.p9mapfs.errors\nuser.p9mapfs.state\n") {
			t.Errorf("listed while cut off: %+v", got)
		}
		r.heal()
		r.ok(f.Fsync(r.ctx))
		for what, got := range map[string]ran{
			"set":    run(t, nil, "setfattr", "-n", "user.p9mapfs.state", "-v", "clean", r.at("f")),
			"remove": run(t, nil, "setfattr", "-x", "user.p9mapfs.errors", r.at("f")),
		} {
			if got.status == 0 || !strings.Contains(got.stderr, "not permitted") {
				t.Errorf("%s: %+v", what, got)
			}
		}
	}, "--retry-interval", "1h")
}

func TestOtherAttributesAreTheServers(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			r := newRig(t, kind)
			r.put("f", nil)
			get := func(path string) ran {
				return run(t, nil, "getfattr", "--absolute-names", "--only-values", "-n", "user.colour", path)
			}
			got := run(t, nil, "setfattr", "-n", "user.colour", "-v", "blue", r.at("f"))
			if there := get(filepath.Join(r.Dir, "f")); got.status != 0 || there.stdout != "blue" || get(r.at("f")).stdout != "blue" {
				t.Fatalf("set: %+v, the server has %+v, the mount %+v", got, there, get(r.at("f")))
			}
			if got := run(t, nil, "getfattr", "--absolute-names", r.at("f")); !strings.Contains(got.stdout, "user.colour\n") {
				t.Errorf("list: %+v", got)
			}
			if got := run(t, nil, "setfattr", "-x", "user.colour", r.at("f")); got.status != 0 || get(filepath.Join(r.Dir, "f")).status == 0 {
				t.Errorf("remove: %+v", got)
			}
			// A server without them is asked once.
			r.rules("Txattrwalk reply=EOPNOTSUPP")
			for range 3 {
				if got := get(r.at("f")); !strings.Contains(got.stderr, "not supported") {
					t.Errorf("without: %+v", got)
				}
			}
			if n := r.Proxy.Fired(r.said("Txattrwalk reply=EOPNOTSUPP")); n != 1 {
				t.Errorf("asked %d times", n)
			}
			asked := r.Proxy.Count("Txattrwalk")
			fd := r.open("f", "rw")
			for range 20 {
				_, err := fd.Pwrite(r.ctx, 0, []byte("x"))
				r.ok(err)
			}
			if n := r.Proxy.Count("Txattrwalk"); n != asked {
				t.Errorf("a write asks the server for attributes: %d times", n-asked)
			}
		})
	}
}
