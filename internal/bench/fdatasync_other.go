//go:build !linux

package bench

import "os"

// fdatasync makes a file durable.
func fdatasync(f *os.File) error { return f.Sync() }
