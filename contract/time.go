package contract

import "time"

// Zone is the platforms' time zone, GMT+8 without daylight saving.
var Zone = time.FixedZone("GMT+8", 8*60*60)

// TimeLayout is the platforms' yyyy-MM-dd HH:mm:ss, for package time.
const TimeLayout = "2006-01-02 15:04:05"

// ParseTime reads yyyy-MM-dd HH:mm:ss in GMT+8.
func ParseTime(text string) (time.Time, bool) {
	if len(text) != len(TimeLayout) { // time.Parse would take fractions of a second
		return time.Time{}, false
	}
	t, err := time.ParseInLocation(TimeLayout, text, Zone)
	return t, err == nil
}
