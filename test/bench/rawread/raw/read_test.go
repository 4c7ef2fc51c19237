package raw

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"p9mapfs/test/faultproxy"
	"p9mapfs/test/p9test"
	"p9mapfs/test/p9test/pattern"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// share exports a directory with a file of n bytes at deep/f through diod and a proxy.
func share(t *testing.T, n int, rules ...string) (Options, *faultproxy.Proxy, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	data := pattern.Bytes(0, n, 1)
	if err := os.WriteFile(filepath.Join(dir, "deep/f"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	s := p9test.StartServer(t, dir, p9test.WithServer(p9test.Diod))
	p, err := faultproxy.Start(s.Network(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.Add(rules...); err != nil {
		t.Fatal(err)
	}
	o := Options{Network: p.Network(), Addr: p.Addr(), Aname: s.Aname(), Uname: "root", Path: "/deep/f", SHA256: true}
	return o, p, fmt.Sprintf("%x", sha256.Sum256(data))
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestWholeFileIsReadWhateverWindowAndCount(t *testing.T) {
	const size = 3_000_001
	o, p, sum := share(t, size)
	for _, window := range []int{1, 3, 0, 200} {
		for _, count := range []int{0, 4096, 60000} {
			p.ResetMaxInFlight()
			o.Window, o.Count = window, count
			r, err := Read(within(t, 20*time.Second), o)
			if err != nil {
				t.Fatal(err)
			}
			if r.SHA256 != sum || r.Bytes != size {
				t.Errorf("window %d count %d: %+v, want %s", window, count, r, sum)
			}
			if n := p.MaxInFlight("Tread"); n > r.Window || window > 0 && r.Window != window {
				t.Errorf("window %d: %d Treads were in flight", r.Window, n)
			}
		}
	}
}

func TestShortRreadsAreCompleted(t *testing.T) {
	o, p, sum := share(t, 3_000_000, "Rread every=3 short=1000", "Rread every=5 delay=2ms")
	for _, hash := range []bool{true, false} {
		o.SHA256 = hash
		r, err := Read(within(t, 20*time.Second), o)
		if err != nil || r.Bytes != 3_000_000 || hash && r.SHA256 != sum {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if p.Fired("Rread every=3 short=1000") == 0 {
		t.Error("no Rread was short")
	}
}

func TestEmptyFileTakesNoTread(t *testing.T) {
	o, _, sum := share(t, 0)
	if r, err := Read(within(t, 20*time.Second), o); err != nil || r.Treads != 0 || r.SHA256 != sum {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestErrorsNameTheMessage(t *testing.T) {
	for rule, want := range map[string]string{
		"Tread nth=5 reply=EIO":       "Tread: input/output error",
		"Tread nth=5 rerror107=EIO":   "Tread: input/output error",
		"Tlopen reply=EACCES":         "Tlopen: permission denied",
		"Twalk reply=ENOENT":          "no such file",
		`Tattach ename="who are you"`: "who are you",
		"Tversion reply=EIO":          "Tversion: input/output error",
		"Rread nth=3 badtag":          "not in use",
		"Rread nth=3 badtype":         "type 119",
		"Rread nth=3 garbage":         "with count",
		"Rread nth=3 short=0":         "ends at",
		"Rgetattr cut=mid":            "EOF",
		"Rread nth=10 cut":            "after",
		"Rlopen badframe":             "4294967295",
	} {
		t.Run(strings.Fields(rule)[0], func(t *testing.T) {
			o, _, _ := share(t, 3_000_000, rule)
			o.Window = 1
			o.Count = 5000
			if r, err := Read(within(t, 20*time.Second), o); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %+v, %v; want %q", rule, r, err, want)
			}
		})
	}
}

func TestContextEndsAReadThatHangs(t *testing.T) {
	o, p, _ := share(t, 3_000_000, "Rread from=3 drop")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error)
	go func() {
		_, err := Read(ctx, o)
		done <- err
	}()
	if err := p.WaitFired(within(t, 20*time.Second), "Rread from=3 drop", 5); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestRefusedConnectionIsTheSystemsError(t *testing.T) {
	o, p, _ := share(t, 1)
	p.Refuse()
	if _, err := Read(within(t, 20*time.Second), o); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	for s, want := range map[string]string{
		"tcp!127.0.0.1!564": "tcp 127.0.0.1:564", "unix!/a!b": "unix /a!b", "/a": "unix /a", "h:1": "tcp h:1", "tcp!::1!5": "tcp [::1]:5",
		"h": "", "udp!h!1": "", "tcp!h": "", "": "",
	} {
		network, addr, err := ParseAddress(s)
		if got := network + " " + addr; (err != nil) != (want == "") || err == nil && got != want {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}

func TestTreadIsEncodedAsTheManualSays(t *testing.T) {
	got := appendTread(nil, 0x0102, 0x03040506, 0x0708090a0b0c0d0e, 0x0f101112)
	want := []byte{23, 0, 0, 0, 116, 2, 1, 6, 5, 4, 3, 0xe, 0xd, 0xc, 0xb, 0xa, 9, 8, 7, 0x12, 0x11, 0x10, 0xf}
	if !bytes.Equal(got, want) {
		t.Errorf("% x", got)
	}
}
