package dispatch

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// verdict is what one try of a delivery came to.
type verdict int

// The verdicts. The first three say that the destination is there.
const (
	delivered verdict = iota // it is done
	refused                  // it never will be
	failed                   // this event failed: it is tried again by the schedule, then it is dead
	unsure                   // whether the event failed or the destination is told by what else gets through
	down                     // the destination failed
)

// TryResults are what tries of deliveries come to, by verdict.
var TryResults = [...]string{delivered: "delivered", refused: "refused", failed: "failed", unsure: "no_answer", down: "down"}

// outcome is how one try ended.
type outcome struct {
	verdict
	status int           // of the HTTP answer; 0: there was none
	body   string        // of the answer, or why there is none
	reason string        // in short, for people
	pause  time.Duration // that the destination asked for; 0: none
}

// maxPause is the longest pause that a destination may ask for: a day's calls are used
// up until midnight.
const maxPause = 24 * time.Hour

// longReason is how much of an answer a reason repeats, in bytes.
const longReason = 300

// unreached is the outcome of a try without an answer.
func unreached(err error) outcome {
	err = wire.WithoutURL(err)
	o := outcome{verdict: unsure, body: err.Error(), reason: err.Error()}
	var dialing *net.OpError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &dialing) && dialing.Op == "dial", errors.As(err, &certificate), errors.As(err, &record):
		o.verdict = down
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err):
		o.reason = "no answer in time"
	}
	return o
}

// statusOutcome is the outcome of an answer with that HTTP status, as far as it says
// something about the destination; ok is false when the answer decides.
func statusOutcome(status int, header http.Header, now time.Time) (o outcome, ok bool) {
	o = outcome{status: status, reason: strings.TrimSpace("HTTP " + strconv.Itoa(status) + " " + http.StatusText(status))}
	after, asked := retryAfter(header.Get("Retry-After"), now)
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && asked:
		o.verdict, o.pause = down, after
	case status >= http.StatusInternalServerError, status == http.StatusRequestTimeout:
		o.verdict = unsure
	default:
		return o, false
	}
	return o, true
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(text string, now time.Time) (pause time.Duration, ok bool) {
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, int64(maxPause/time.Second))) * time.Second, true
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(0, at.Sub(now)), maxPause), true
	}
	return 0, false
}

// platformOutcome is the outcome of a platform's answer: the contract's advice decides.
// isv.* is final, isp.* is not; a call that happened before is done.
func platformOutcome(api *contract.API, request any, reply any, err error) outcome {
	if errors.Is(err, wire.ErrNotAnswer) {
		return outcome{verdict: unsure, reason: "not an answer of the platform: " + err.Error()}
	}
	no, ok := errors.AsType[*contract.Refused](err)
	switch {
	case err != nil && !ok:
		return outcome{verdict: unsure, reason: err.Error()}
	case err == nil:
		if no = api.Refusal(reply); no == nil {
			return outcome{verdict: delivered}
		}
	}
	o := outcome{reason: clip(no.Error())}
	if ban, banned := no.Ban(); banned {
		o.verdict, o.pause = down, min(ban, maxPause)
		return o
	}
	switch advice := no.Advice(); {
	case api.Done(request, no):
		o.verdict = delivered
	case errors.Is(no, contract.Throttled), errors.Is(no, contract.TooFrequent):
		o.verdict = down
	case advice == contract.Retry, notHeard(no):
		o.verdict = unsure
	case no.Row == nil && !strings.HasPrefix(no.SubCode, "isv."): // no table knows it
		o.verdict = failed
	default:
		o.verdict = refused
	}
	return o
}

// notHeard reports whether the platform refused the caller before it looked at the call:
// what the destination is declared with is wrong, not the event.
func notHeard(no *contract.Refused) bool {
	for _, fault := range []contract.Fault{contract.BadSign, contract.MissingSession, contract.BlankSession, contract.UnknownSession, contract.ExpiredSession} {
		if errors.Is(no, fault) {
			return true
		}
	}
	return false
}

func clip(text string) string {
	if len(text) <= longReason {
		return text
	}
	return strings.ToValidUTF8(text[:longReason], "") + "…"
}
