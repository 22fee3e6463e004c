package wire

import (
	"strconv"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Tolerance is how far a call's time may be off, either way.
const Tolerance = 10 * time.Minute

// Off is how far a call's time lies behind now. A time in whole seconds is compared
// in whole seconds.
func Off(now, at time.Time) time.Duration {
	if at.Nanosecond() == 0 {
		now = now.Truncate(time.Second)
	}
	return now.Sub(at)
}

// ParseTimestamp reads a call's timestamp: a time as contract.ParseTime reads
// it, or the 13 digits of Unix milliseconds that the vendor's old Python SDK
// sends.
func ParseTimestamp(text string) (time.Time, bool) {
	if len(text) == 13 && contract.Digits(text) {
		ms, err := strconv.ParseInt(text, 10, 64)
		return time.UnixMilli(ms), err == nil
	}
	return contract.ParseTime(text)
}
