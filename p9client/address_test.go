package p9client

import (
	"slices"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for _, test := range []struct{ in, network, addr string }{
		{"tcp!host!5640", "tcp", "host:5640"},
		{"tcp!host", "tcp", "host:564"},
		{"tcp!host!9fs", "tcp", "host:564"},
		{"net!host!1", "tcp", "host:1"},
		{"tcp!::1!564", "tcp", "[::1]:564"},
		{"tls!host!5640", "tls", "host:5640"},
		{"tls!host", "tls", "host:564"},
		{"tls!::1!1", "tls", "[::1]:1"},
		{"unix!/run/9p", "unix", "/run/9p"},
		{"unix!9p", "unix", "9p"},
		{"unix!/a,b!c", "unix", "/a,b!c"},
		{"host", "tcp", "host:564"},
		{"host:5640", "tcp", "host:5640"},
		{"[::1]:5640", "tcp", "[::1]:5640"},
		{"[::1]", "tcp", "[::1]:564"},
		{"::1", "tcp", "[::1]:564"},
		{"127.0.0.1:0", "tcp", "127.0.0.1:0"},
		{"/run/9p", "unix", "/run/9p"},
		{"./9p", "unix", "./9p"},
		{"../9p", "unix", "../9p"},
		{"vsock!host!5640", "vsock", "2:5640"},
		{"vsock!hypervisor!1", "vsock", "0:1"},
		{"vsock!local", "vsock", "1:564"},
		{"vsock!3!4294967294", "vsock", "3:4294967294"},
		{"vsock!4294967294", "vsock", "4294967294:564"},
		{"fd!3", "fd", "3"},
		{"fd!0,1", "fd", "0,1"},
		{"fd!4,4", "fd", "4"},
		{"exec!ssh host u9fs", "exec", "ssh host u9fs"},
		{"exec!sh -c 'a, b!c'", "exec", "sh -c 'a, b!c'"},
	} {
		a, err := ParseAddress(test.in)
		if err != nil || a != (Address{test.network, test.addr}) {
			t.Errorf("ParseAddress(%q) = %+v, %v", test.in, a, err)
			continue
		}
		if b, err := ParseAddress(a.String()); err != nil || b != a {
			t.Errorf("%q, which is %q, is read back as %+v, %v", test.in, a, b, err)
		}
	}
}

// Each error names the address, what is wrong with it, and what to write instead.
func TestParseAddressErrors(t *testing.T) {
	for _, test := range []struct{ in, why, remedy string }{
		{"", "is empty", "tcp!host!port"},
		{"a/b", "neither a host nor an absolute path", "/path"},
		{"host:", `port ""`, "0 to 65535"},
		{"host:port", `port "port"`, "0 to 65535"},
		{"host:65536", `port "65536"`, "0 to 65535"},
		{"host:-1", `port "-1"`, "0 to 65535"},
		{":564", "no host", "host:port"},
		{"tcp!", "no host", "tcp!host!port"},
		{"tcp!!564", "no host", "tcp!host!port"},
		{"tcp!host!1!2", `port "1!2"`, "0 to 65535"},
		{"tls!", "no host", "tls!host!port"},
		{"tls!host!x", `port "x"`, "0 to 65535"},
		{"unix!", "no path", "unix!/path"},
		{"udp!host!564", `unknown network "udp"`, "exec!command"},
		{"a:b:c", `host "a:b:c"`, "host:port"},
		{"/run/\x009p", "NUL", "/path"},
		{"exec!a \x00", "NUL", "exec!command"},
		{"vsock!", `cid ""`, "vsock!host!564"},
		{"vsock!guest!1", `cid "guest"`, "host, hypervisor or local"},
		{"vsock!4294967295!1", `cid "4294967295"`, "below 4294967295"},
		{"vsock!2!4294967295", `port "4294967295"`, "below 4294967295"},
		{"vsock!2!x", `port "x"`, "vsock!host!564"},
		{"fd!", `""`, "fd!3"},
		{"fd!x", `"x"`, "fd!3"},
		{"fd!1,", `"1,"`, "fd!0,1"},
		{"fd!1,2,3", `"1,2,3"`, "fd!0,1"},
		{"fd!-1", `"-1"`, "fd!3"},
		{"fd!2147483648", `"2147483648"`, "fd!3"},
		{"exec!", "no command", "exec!ssh host u9fs"},
		{"exec! ", "no command", "exec!ssh host u9fs"},
		{"exec!'' x", "no command", "exec!ssh host u9fs"},
		{"exec!sh -c 'x", "ingle-quoted", "quote"},
		{`exec!sh \`, "scape", "quote"},
	} {
		a, err := ParseAddress(test.in)
		if err == nil {
			t.Errorf("ParseAddress(%q) = %+v", test.in, a)
			continue
		}
		if strings.Count(err.Error(), "\n") > 0 || !strings.Contains(err.Error(), test.why) || !strings.Contains(err.Error(), test.remedy) {
			t.Errorf("ParseAddress(%q) says %q, not %q and %q", test.in, err, test.why, test.remedy)
		}
	}
}

func TestParseAddressesSplitsAtCommas(t *testing.T) {
	for _, test := range []struct {
		in   string
		want []Address
	}{
		{"host", []Address{{"tcp", "host:564"}}},
		{"a,b:1,/c", []Address{{"tcp", "a:564"}, {"tcp", "b:1"}, {"unix", "/c"}}},
		{"tcp!a!1, tls!b", []Address{{"tcp", "a:1"}, {"tls", "b:564"}}},
		{`unix!/a\,b,c`, []Address{{"unix", "/a,b"}, {"tcp", "c:564"}}},
		{`/a\b`, []Address{{"unix", `/a\b`}}},
		{"fd!3", []Address{{"fd", "3"}}},
		{"fd!0,1", []Address{{"fd", "0,1"}}},
		{"fd!0,1,host", []Address{{"fd", "0,1"}, {"tcp", "host:564"}}},
		{"fd!0,1,2", []Address{{"fd", "0,1"}, {"tcp", "2:564"}}},
		{"fd!0,fd!1", []Address{{"fd", "0"}, {"fd", "1"}}},
		{"host,fd!5,/x", []Address{{"tcp", "host:564"}, {"fd", "5"}, {"unix", "/x"}}},
		{`exec!a b\,c,d`, []Address{{"exec", `a b\,c`}, {"tcp", "d:564"}}},
		{`exec!sh -c 'a, "b",c' "d'e,",f`, []Address{{"exec", `sh -c 'a, "b",c' "d'e,"`}, {"tcp", "f:564"}}},
		{`exec!a "b\",c" '\',d`, []Address{{"exec", `a "b\",c" '\'`}, {"tcp", "d:564"}}},
		{"x,exec!a", []Address{{"tcp", "x:564"}, {"exec", "a"}}},
	} {
		if l, err := ParseAddresses(test.in); err != nil || !slices.Equal(l, test.want) {
			t.Errorf("ParseAddresses(%q) = %q, %v", test.in, l, err)
		}
	}
	for in, why := range map[string]string{
		"":           "is empty",
		"a,":         "in the list \"a,\"",
		",a":         "is empty",
		"a,,b":       "is empty",
		"/a,b/c":     `"b/c"`,
		"exec!a 'b,": "ingle-quoted",
	} {
		if l, err := ParseAddresses(in); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("ParseAddresses(%q) = %q, %v, and not %q", in, l, err, why)
		}
	}
}
