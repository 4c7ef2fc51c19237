package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by -ldflags "-X main.version=...".
var version = "unreleased"

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program and of what it is made of",
		Args:  exactly(),
		Run: func(*cobra.Command, []string) {
			fmt.Printf("p9mapfs %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return
			}
			for _, s := range info.Settings {
				if s.Key == "vcs.revision" {
					fmt.Println("commit", s.Value)
				}
			}
			for _, d := range info.Deps {
				fmt.Println(d.Path, d.Version)
			}
		},
	}
}
