package export

import (
	"os"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// A hard umask, so that a mode that comes out as asked was made so.
func TestMain(m *testing.M) {
	unix.Umask(0o077)
	if os.Getenv("EXPORT_TEST_CHILD") != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}
