package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the release. Packaging sets it: -ldflags "-X main.version=1.2.3".
var version = "0.1.0-dev"

type versionCmd struct{}

// Run prints one line.
func (versionCmd) Run(t *terminal) error {
	_, err := fmt.Fprintf(t.out, "ordergate %s (%s, %s, %s/%s)\n", version, commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return "commit " + s.Value
			}
		}
	}
	return "commit unknown"
}
