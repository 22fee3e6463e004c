package bench

import (
	"os"
	"syscall"
)

// fdatasync makes a file's content durable.
func fdatasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
