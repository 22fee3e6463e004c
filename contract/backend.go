package contract

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// TOPBackend are the sub codes with which the platform says that what stands
// behind it failed, under codes 15, 50 and 100 to 900 (docs/protocol/top.md 8.2,
// docs/protocol/qimen.md 4). Any other isp.* is [BackendOther].
var TOPBackend = []*Refusal{
	{Code: "isp.remote-service-error", Text: "the backend failed", Advice: Retry},
	{Code: "isp.remote-service-timeout", Text: "the backend was late", Advice: Retry},
	{Code: "isp.remote-connection-error", Text: "the backend was not reached", Advice: Retry},
	{Code: "isp.top-remote-connection-timeout", Text: "the backend was not reached in time", Advice: Retry},
	{Code: "isp.top-remote-connection-error", Text: "the backend was not reached", Advice: Retry},
	{Code: "isp.null-pointer-exception", Text: "mapping the request or the answer broke", Advice: Stop},
	ParseError,
	{Code: "isp.top-mapping-parse-error", Text: "mapping the request or the answer broke", Advice: Stop},
	CallLimited,
	{Code: "isp.system-busy", Text: "the backend takes no more calls for now", Advice: Retry},
	ReadTimeout,
	ConnectionTimeout,
	ConnectionRefused,
	ConnectionClosed,
	StatusNotOK,
}

// Rows of TOPBackend that stand out.
var (
	ReadTimeout       = &Refusal{Code: "isp.http-read-timeout", Text: "the forwarded service did not answer in time: the outcome is unknown", When: "the merchant's endpoint did not answer within the destination's timeout", Advice: Retry, Unknown: true}
	ConnectionTimeout = &Refusal{Code: "isp.http-connection-timeout", Text: "the forwarded service was not reached in time", When: "the merchant's endpoint was not reached in time", Advice: Retry}
	ConnectionRefused = &Refusal{Code: "isp.http-connection-refuse", Text: "the forwarded service refused the connection", When: "the merchant's endpoint was not reached", Advice: Retry}
	ConnectionClosed  = &Refusal{Code: "isp.http-closed", Text: "the forwarded service closed the connection: the outcome is unknown", When: "the merchant's endpoint closed the connection before its answer was whole", Advice: Retry, Unknown: true}
	StatusNotOK       = &Refusal{Code: "http-service-status-error", Text: "the forwarded service answered another status than 200", When: "the merchant's endpoint answered another status than 200", Advice: Stop, Unknown: true}
	ParseError        = &Refusal{Code: "isp.top-parse-error", Text: "mapping the request or the answer broke", When: "the merchant's answer is empty, over 64 KiB, or says neither yes nor no", Advice: Stop, Unknown: true}
	CallLimited       = &Refusal{Code: "isp.call-limited", Text: "the backend takes no more calls for now", When: "as many calls wait for the merchant as its destination's max_in_flight allows", Advice: Retry}

	BackendOther = &Refusal{Code: "isp.", Text: "the platform failed", Advice: Retry, Open: true}
)

// IsBackend reports whether a row is a failure behind the platform.
func IsBackend(r *Refusal) bool { return r == BackendOther || slices.Contains(TOPBackend, r) }

// findBackend returns nil when the sub code is none of the platform's failures.
func findBackend(subCode string) error {
	for _, r := range TOPBackend {
		if r.Code == subCode {
			return r
		}
	}
	if strings.HasPrefix(subCode, BackendOther.Code) {
		return BackendOther
	}
	return nil
}

// Advice is what the row advises; stop when no table has the answer.
func (r *Refused) Advice() Advice {
	switch row := r.Row.(type) {
	case *Refusal:
		return row.Advice
	case Fault:
		return TOPFaults[row].Advice
	}
	return Stop
}

// OutcomeUnknown reports that the call may have been carried out all the same.
func (r *Refused) OutcomeUnknown() bool {
	row, ok := r.Row.(*Refusal)
	return ok && row.Unknown
}

// Ban returns how long the platform takes no more calls, and false when it does
// not say. The length stands only inside an English sentence, which the
// platform keeps to the letter (docs/protocol/top.md 8.4).
func (r *Refused) Ban() (time.Duration, bool) {
	if r.Row != error(Throttled) {
		return 0, false
	}
	before, after, _ := strings.Cut(TOPFaults[Throttled].SubText, "%s")
	text, ok := strings.CutPrefix(r.SubText, before)
	text, closed := strings.CutSuffix(text, after)
	seconds, err := strconv.ParseInt(text, 10, 64)
	if !ok || !closed || err != nil || seconds < 0 {
		return 0, false
	}
	return time.Duration(min(seconds, math.MaxInt64/int64(time.Second))) * time.Second, true
}
