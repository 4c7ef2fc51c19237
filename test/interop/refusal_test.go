package interop

import (
	"testing"

	"p9mapfs/test/p9test"
)

// Every attempt that a server without a capability must refuse succeeds on one that has it: so a declared refusal that is in truth
// a silent success is noticed.
func TestAttemptsSucceedWhereTheCapabilityIsThere(t *testing.T) {
	if !p9test.Isolated(t) {
		return
	}
	s := &server{name: "embedded", start: kind(p9test.Embedded)}
	dir := t.TempDir()
	p := s.start(t, dir)
	session := dial(t, p, rootUser(p))
	for _, c := range cases {
		if c.refused == nil || c.needs == anames || c.needs == readlink { // refused by those who can: an unknown aname, readlink of a file
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, s, p, session, dir, c.name)
			if err := c.refused(r)(); err != nil {
				t.Error(err)
			}
		})
	}
}
