// Package interop is one suite of tests that runs against every 9P server we can have, through p9client alone: each verb, the
// errors that a server can be made to give, odd names, large files and directories, and what a killed or stopped server does to
// all of that.
//
// servers_test.go lists the servers, a few lines each: how it is started, which capabilities it declares to lack, and where it answers
// with another errno than Linux would. A case that needs a capability which the server lacks is not skipped: the verb
// must then fail with the declared errno and change nothing, or let pass what is declared as not judged. A declaration that is
// not true any more is a failure too.
//
// The suite runs in namespaces of its own (p9test.Isolated), for it mounts what makes a server say EROFS and ENOSPC, and
// nfs-ganesha listens on every address. Every case has a directory of its own below the export, which the test also looks at
// directly.
//
//	go test -run TestInterop/diod ./test/interop
//	INTEROP_MATRIX=/tmp/matrix.md go test -run TestInterop ./test/interop    # writes the table of server x verb
package interop
