package errjournal_test

import (
	"fmt"
	"log"
	"strings"

	errjournal "p9mapfs/errors"
)

// Which of my bytes has the server not got, and are they still held?
func ExampleParse() {
	// In a program: f, err := os.Open("/n/remote/lib/.errors")
	f := strings.NewReader(`# 2 older entries dropped: the journal remembers 1024 a file and 16384 in all
seq=12 time=2026-11-23T15:04:05.123Z state=failed op=Twrite file="lib/words" off=4096 len=8192 errno=ENOSPC msg="file system full" tries=3
seq=13 time=2026-11-23T15:04:06.000Z state=resolved op=Twrite file="lib/index" off=0 len=512 errno=ETIMEDOUT msg="" tries=2
`)
	for e, err := range errjournal.Parse(f) {
		if err != nil {
			log.Print(err) // names the line and the remedy
			continue
		}
		if e.State.Open() {
			fmt.Printf("%s: bytes %d to %d are held back: %v (%s)\n", e.File, e.Off, e.Off+e.Len, e.Errno, e.Msg)
		}
	}
	// Output: lib/words: bytes 4096 to 12288 are held back: no space left on device (file system full)
}

// The verdict of one fsync.
func ExampleLog_Cursor() {
	j := errjournal.New(errjournal.Options{})
	l := j.Log(7, "lib/words")
	defer l.Close()
	handle := l.Cursor() // at open(2)
	seq := l.Record(errjournal.Entry{State: errjournal.Failed, Op: "Twrite", Len: 8})
	fmt.Println(handle.Check()) // held bytes are no loss
	l.Update(seq, func(e *errjournal.Entry) { e.State = errjournal.Dropped })
	fmt.Println(handle.Check())
	fmt.Println(handle.Check())
	// Output:
	// <nil>
	// input/output error
	// <nil>
}
