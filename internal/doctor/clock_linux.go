package doctor

import "syscall"

// What the kernel says of its clock: that nobody disciplines it. See adjtimex(2).
const (
	statusUnsynchronized = 0x0040
	stateError           = 5
)

// clockKept reports whether the kernel says that somebody keeps the clock right.
func clockKept() (kept, known bool) {
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	if err != nil {
		return false, false
	}
	return state != stateError && t.Status&statusUnsynchronized == 0, true
}
