package store

import (
	"os"
	"path/filepath"
	"syscall"
)

// Disk is the size of a SQLite database with its log, and the room beside it, in bytes.
func Disk(file string) (size, free uint64, err error) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(file + suffix); err == nil {
			size += uint64(info.Size())
		}
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(file), &fs); err != nil {
		return 0, 0, err
	}
	return size, uint64(fs.Bavail) * uint64(fs.Bsize), nil
}
