package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the release, and revision its commit. Packaging sets them: -ldflags "-X
// main.version=1.2.3 -X main.revision=…". Without a revision that of the checkout counts.
var (
	version  = "0.1.0-dev"
	revision string
)

type versionCmd struct{}

// Run prints one line.
func (versionCmd) Run(t *terminal) error {
	_, err := fmt.Fprintf(t.out, "ordergate %s (%s, %s, %s/%s)\n", version, commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func commit() string {
	if revision != "" {
		return "commit " + revision
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return "commit " + s.Value
			}
		}
	}
	return "commit unknown"
}
