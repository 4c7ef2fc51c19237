package p9test

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestIsolatedTestHasItsOwnNetworkAndMounts(t *testing.T) {
	before := namespaces(t)
	if os.Getenv(isolatedMark) == "" {
		t.Setenv("P9TEST_PARENT_NAMESPACES", strings.Join(before, " "))
	}
	if !Isolated(t) {
		return
	}
	for i, was := range strings.Fields(os.Getenv("P9TEST_PARENT_NAMESPACES")) {
		if before[i] == was {
			t.Errorf("the child is still in %s", was)
		}
	}
	interfaces, err := net.Interfaces()
	if err != nil || len(interfaces) != 1 || interfaces[0].Flags&net.FlagUp == 0 {
		t.Errorf("interfaces %v, %v; want lo alone, up", interfaces, err)
	}
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		if l, err := net.Listen("tcp", addr); err != nil {
			t.Error(err)
		} else {
			l.Close()
		}
	}
}

func namespaces(t *testing.T) (l []string) {
	for _, kind := range []string{"net", "mnt"} {
		s, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		l = append(l, s)
	}
	return l
}

// isolatedFate tells the tests below, in the child, what to do.
const isolatedFate = "P9TEST_ISOLATED_FATE"

func TestIsolatedVictim(t *testing.T) {
	switch os.Getenv(isolatedFate) {
	case "fail":
		t.Error("the child's own words")
	case "hang":
		<-make(chan struct{})
	case "stop":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
}

func TestIsolatedTellsWhatTheChildDid(t *testing.T) {
	if os.Geteuid() != 0 {
		missing(t, "network and mount namespaces need root")
	}
	for _, test := range []struct {
		fate, name, want string
		limit            time.Duration
		fails            bool
	}{
		{"pass", "TestIsolatedVictim", "--- PASS: TestIsolatedVictim", time.Minute, false},
		{"fail", "TestIsolatedVictim", "the child's own words", time.Minute, true},
		{"hang", "TestIsolatedVictim", "goroutine ", time.Second, true},
		{"stop", "TestIsolatedVictim", "", time.Second, true},
		{"pass", "TestThatIsNotThere", "no tests to run", time.Minute, false},
	} {
		t.Run(test.fate+" "+test.name, func(t *testing.T) {
			t.Setenv(isolatedFate, test.fate)
			out, err := runIsolated(test.name, test.limit)
			if (err != nil) != test.fails || !strings.Contains(out, test.want) {
				t.Errorf("error %v, want one: %v; %q is to be in:\n%s", err, test.fails, test.want, out)
			}
		})
	}
}

func TestGaneshaComesBackOnItsAddress(t *testing.T) {
	if Isolated(t) {
		testServer(t, WithServer(Ganesha))
	}
}

func TestGaneshaStartsOnlyIsolated(t *testing.T) {
	s := &Server{Kind: Ganesha, t: t}
	if _, err := s.startGanesha(); err == nil {
		t.Error("it started")
	}
}

func TestPauseStopsEveryThread(t *testing.T) {
	s := StartServer(t, t.TempDir())
	if stopped(s.Pid()) {
		t.Error("it is stopped before")
	}
	s.Pause()
	if !stopped(s.Pid()) {
		t.Error("it goes on")
	}
	s.Continue()
}
