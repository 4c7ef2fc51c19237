package p9client

import "testing"

func TestParseAddress(t *testing.T) {
	for _, test := range []struct{ in, network, addr string }{
		{"tcp!host!5640", "tcp", "host:5640"},
		{"tcp!host", "tcp", "host:564"},
		{"tcp!host!9fs", "tcp", "host:564"},
		{"net!host!1", "tcp", "host:1"},
		{"tcp!::1!564", "tcp", "[::1]:564"},
		{"unix!/run/9p", "unix", "/run/9p"},
		{"unix!9p", "unix", "9p"},
		{"host", "tcp", "host:564"},
		{"host:5640", "tcp", "host:5640"},
		{"[::1]:5640", "tcp", "[::1]:5640"},
		{"[::1]", "tcp", "[::1]:564"},
		{"::1", "tcp", "[::1]:564"},
		{"127.0.0.1:0", "tcp", "127.0.0.1:0"},
		{"/run/9p", "unix", "/run/9p"},
		{"./9p", "unix", "./9p"},
		{"../9p", "unix", "../9p"},
		{"", "", ""},
		{"a/b", "", ""},
		{"host:", "", ""},
		{"host:port", "", ""},
		{"host:65536", "", ""},
		{"host:-1", "", ""},
		{":564", "", ""},
		{"tcp!", "", ""},
		{"tcp!!564", "", ""},
		{"tcp!host!1!2", "", ""},
		{"unix!", "", ""},
		{"udp!host!564", "", ""},
		{"a:b:c", "", ""},
		{"/run/\x009p", "", ""},
	} {
		a, err := ParseAddress(test.in)
		if (err != nil) != (test.network == "") || a != (Address{test.network, test.addr}) {
			t.Errorf("ParseAddress(%q) = %+v, %v", test.in, a, err)
			continue
		}
		if err == nil {
			if b, err := ParseAddress(a.String()); err != nil || b != a {
				t.Errorf("%q is read back as %+v, %v", a, b, err)
			}
		}
	}
}
