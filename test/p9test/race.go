//go:build race

package p9test

// raceEnabled: the commands are built with -race if the test binary is.
const raceEnabled = true
