package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const asProgram = "FORGETFUL_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// What it does with right ones is tested in package p9test.
func TestWrongArgumentsAreStatus2(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{nil, 2, "usage: forgetful"},
		{[]string{"/tmp"}, 2, "usage: forgetful"},
		{[]string{"--sync-fails=0", "/tmp", "tcp!127.0.0.1!0"}, 2, `"0" is no number of a Tfsync`},
		{[]string{"--crash-in-sync=1,,2", "/tmp", "tcp!127.0.0.1!0"}, 2, `"" is no number of a Tfsync`},
		{[]string{"--sync-errno=EPERM", "/tmp", "tcp!127.0.0.1!0"}, 2, "EIO or ENOSPC"},
		{[]string{"/tmp", "nowhere"}, 1, "neither tcp!host!port nor unix!/path"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0], c.args...)
		cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != c.status || !strings.Contains(string(out), c.says) {
			t.Errorf("%q: %v: %s", c.args, err, out)
		}
	}
}
