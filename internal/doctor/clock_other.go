//go:build !linux

package doctor

// clockKept knows nothing: only Linux is asked.
func clockKept() (kept, known bool) { return false, false }
