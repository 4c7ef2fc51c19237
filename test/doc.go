// Package test holds the end-to-end tests: the built program, real mounts, real
// servers, and the fault proxy between them. Each promise of docs/PROMISES.md has
// its test here, named after it.
//
// A test process never touches a mapping of a mount: the map helper does, which
// is a process of its own.
package test
