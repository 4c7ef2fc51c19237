package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// demoChildCommand is the demo's other process. It maps a file and obeys
// "store DIGITS" and "msync", one line each, answering each with a line: empty,
// or the errno's name, or "!" and what went wrong.
func demoChildCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "demo-child FILE",
		Hidden: true,
		Args:   exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := os.OpenFile(args[0], os.O_RDWR, 0)
			if err != nil {
				fmt.Println("!" + err.Error())
				return err
			}
			mapped, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			if err != nil {
				fmt.Println("!mmap: " + err.Error())
				return err
			}
			fmt.Println()
			for in := bufio.NewScanner(os.Stdin); in.Scan(); {
				verb, digits, _ := strings.Cut(in.Text(), " ")
				switch verb {
				case "store":
					copy(mapped, digits)
					fmt.Println()
				case "msync":
					name := ""
					if err := unix.Msync(mapped, unix.MS_SYNC); err != nil {
						name = unix.ErrnoName(err.(unix.Errno))
					}
					fmt.Println(name)
				}
			}
			return nil
		},
	}
}
