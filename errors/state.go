package errjournal

import "fmt"

// State says what became of the bytes an Entry is about.
type State uint8

const (
	Pending    State = iota // trouble with the connection; held, retried with back-off
	Failed                  // refused by the server; held, retried slowly
	Resolved                // the server has them
	Superseded              // newer stores replaced them
	Dropped                 // gone: a loss
	Conflict                // the server's file changed underneath; held, not sent
	Fault                   // a read failed; nothing to hold

	nStates
)

var stateNames = [nStates]string{"pending", "failed", "resolved", "superseded", "dropped", "conflict", "fault"}

// String returns the word used in journal lines.
func (s State) String() string {
	if s < nStates {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// ParseState returns the State whose String is s.
func ParseState(s string) (State, error) {
	for i, name := range stateNames {
		if s == name {
			return State(i), nil
		}
	}
	return 0, fmt.Errorf("unknown state %s", excerpt(s))
}

// Open reports whether the bytes are held and the matter is unresolved:
// Pending, Failed and Conflict.
func (s State) Open() bool {
	return s == Pending || s == Failed || s == Conflict
}
