package legacy9p_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"

	"9fans.net/go/plan9"

	"p9mapfs/test/legacy9p"
)

func TestVersionIsAnsweredAsIntroSays(t *testing.T) {
	_, plain := start(t, legacy9p.Options{})
	_, u := start(t, legacy9p.Options{U: true, Msize: 131096})
	for _, c := range []struct {
		addr, asked, answer string
		msize, answered     uint32
	}{
		{plain, "9P2000", "9P2000", 1 << 20, 8216},
		{plain, "9P2000", "9P2000", 4096, 4096},
		{plain, "9P2000.u", "9P2000", 8216, 8216},
		{plain, "9P2000.L", "9P2000", 8216, 8216},
		{plain, "9P1999", "unknown", 8216, 8216},
		{plain, "9P2000a", "unknown", 8216, 8216},
		{plain, "", "unknown", 8216, 8216},
		{u, "9P2000.u", "9P2000.u", 1 << 20, 131096},
		{u, "9P2000.L", "9P2000", 1 << 20, 131096},
		{u, "9P2000", "9P2000", 100000, 100000},
	} {
		p := dial(t, c.addr)
		r := p.ok(&plan9.Fcall{Type: plan9.Tversion, Tag: plan9.NOTAG, Msize: c.msize, Version: c.asked})
		if r.Version != c.answer || r.Msize != c.answered {
			t.Errorf("%q %d: %v, want %q %d", c.asked, c.msize, r, c.answer, c.answered)
		}
	}
	dial(t, plain).refused(&plan9.Fcall{Type: plan9.Tversion, Tag: plan9.NOTAG, Msize: 255, Version: "9P2000"}, "message size too small")
}

func TestVersionEndsTheSessionBefore(t *testing.T) {
	dir, addr := start(t, legacy9p.Options{})
	put(t, dir, "f", "text")
	p := attached(t, addr, 1000)
	p.open(1, plan9.OREAD|plan9.ORCLOSE, "f")
	r := p.ok(&plan9.Fcall{Type: plan9.Tversion, Tag: plan9.NOTAG, Msize: 8216, Version: "9P2000"})
	if r.Msize != 8216 {
		t.Errorf("msize %d: the old session's?", r.Msize)
	}
	p.refused(&plan9.Fcall{Type: plan9.Tstat, Fid: 1}, "unknown fid")
	p.refused(&plan9.Fcall{Type: plan9.Tstat, Fid: 0}, "unknown fid")
	p.ok(&plan9.Fcall{Type: plan9.Tattach, Afid: plan9.NOFID})
	p.refused(&plan9.Fcall{Type: plan9.Twalk, Newfid: 1, Wname: []string{"f"}}, "directory entry not found") // ORCLOSE
}

func TestNothingIsServedBeforeVersion(t *testing.T) {
	_, addr := start(t, legacy9p.Options{})
	p := dial(t, addr)
	p.refused(&plan9.Fcall{Type: plan9.Tattach, Tag: 7, Afid: plan9.NOFID}, "no version has been agreed on")
}

func TestAuthIsRefused(t *testing.T) {
	_, addr := start(t, legacy9p.Options{})
	p := attached(t, addr, 8216)
	p.refused(&plan9.Fcall{Type: plan9.Tauth, Afid: 9, Uname: "glenda"}, "authentication not required")
	p.refused(&plan9.Fcall{Type: plan9.Tattach, Fid: 8, Afid: 9, Uname: "glenda"}, "unknown fid")
}

func TestBadMessageEndsOneConnectionOnly(t *testing.T) {
	_, addr := start(t, legacy9p.Options{})
	other := attached(t, addr, 8216)
	for name, m := range map[string]string{
		"too long":     "\xff\xff\x00\x00\x76\x01\x00",
		"too short":    "\x06\x00\x00\x00\x76\x01",
		"cut":          "\x0b\x00\x00\x00\x7c\x01\x00\x00\x00", // then the end
		"extra bytes":  "\x0c\x00\x00\x00\x7c\x01\x00\x00\x00\x00\x00\x00",
		"unknown type": "\x07\x00\x00\x00\xf0\x01\x00",
	} {
		p := attached(t, addr, 8216)
		if _, err := io.WriteString(p.c, m); err != nil {
			t.Fatal(err)
		}
		if name == "cut" {
			p.c.(*net.TCPConn).CloseWrite()
		}
		if f, err := plan9.ReadFcall(p.c); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	other.stat(0)
}
