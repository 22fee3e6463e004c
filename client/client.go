package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// Client calls a gateway for one app of one protocol. Its methods may be called
// at the same time; its fields must not change meanwhile.
type Client struct {
	URL     string          // https://eco.taobao.com, https://open.suning.com; without a path, the protocol's is added
	AppKey  string          // the app's
	Secret  contract.Secret // the app's
	Session contract.Secret // the seller's access token; empty: none is sent
	Target  string          // of reverse calls: key of the merchant's app; empty: none is named

	HTTP  *http.Client     // nil: one that waits 30 s for an answer and follows no redirect
	Retry Retry            // what is tried again; the zero value works
	XML   bool             // ask for XML instead of JSON
	Clock func() time.Time // nil: time.Now
}

// Retry says how often a call is tried again, and when. What is tried again at
// all, the contract decides.
type Retry struct {
	Tries   int           // tries in all; 0: 4; 1: never again
	Pause   time.Duration // between two tries; 0: 100 ms
	MaxWait time.Duration // longest ban (code 7) that is waited for; 0: 5 s
}

// Defaults of [Retry] and of [Client.HTTP].
const (
	DefaultTries   = 4
	DefaultPause   = 100 * time.Millisecond
	DefaultMaxWait = 5 * time.Second
	DefaultTimeout = 30 * time.Second
)

// ErrUnknown means that nobody knows whether the platform carried the call out:
// it may have arrived, and no answer came back.
var ErrUnknown = errors.New("outcome unknown")

// ErrNotAnswer means that an answer came whole and was none of the platform's,
// such as a proxy's page. The outcome is unknown, and the call is not tried again.
var ErrNotAnswer = wire.ErrNotAnswer

// Unreached is a call without an answer of the platform.
type Unreached struct {
	Sent bool  // it may have arrived: errors.Is(err, ErrUnknown)
	Err  error // why
}

// Error says what happened.
func (u *Unreached) Error() string {
	if u.Sent {
		return "outcome unknown: " + u.Err.Error()
	}
	return "not sent: " + u.Err.Error()
}

// Unwrap returns the reason, and ErrUnknown when the call may have arrived.
func (u *Unreached) Unwrap() []error {
	if u.Sent {
		return []error{u.Err, ErrUnknown}
	}
	return []error{u.Err}
}

// StatusError is an HTTP answer that is not the platform's, which answers
// everything with 200.
type StatusError struct{ Code int }

// Error names the status.
func (s *StatusError) Error() string {
	return fmt.Sprintf("HTTP %d %s", s.Code, http.StatusText(s.Code))
}

// Advice says what the contract advises about the outcome of a call: done for
// none; stop for an outcome that is unknown ([ErrUnknown]: ask before the call is
// made again, or make it again when it is a repeatable one) and for an error that
// no table knows; fix for an HTTP status that says that the URL is not a
// gateway's; retry for a call that was not sent otherwise.
func Advice(err error) contract.Advice {
	switch {
	case err == nil:
		return contract.Done
	case errors.Is(err, ErrUnknown):
		return contract.Stop
	}
	if status, ok := errors.AsType[*StatusError](err); ok && status.Code != http.StatusTooManyRequests {
		return contract.Fix
	}
	if refused, ok := errors.AsType[*contract.Refused](err); ok {
		return refused.Advice()
	}
	if unreached, ok := errors.AsType[*Unreached](err); ok && !unreached.Sent {
		return contract.Retry
	}
	return contract.Stop
}

// WithSession returns a client for another seller. It shares the HTTP client.
func (c *Client) WithSession(session contract.Secret) *Client {
	other := *c
	other.Session = session
	return &other
}

// call makes one call of an API and tries again where that is right. Late says
// that an earlier try may have arrived. A no within a normal answer comes with
// the reply.
func call[Request, Reply any](ctx context.Context, c *Client, api *contract.API, request *Request) (reply *Reply, late bool, err error) {
	if err := sendable(api, request); err != nil {
		return nil, false, err
	}
	params := api.Params(request)
	repeats := api.Repeats(request)
	for try := 1; ; try++ {
		answer, err := c.once(ctx, api, params)
		reply, _ = answer.(*Reply)
		if err == nil || try >= c.tries() || !again(err, repeats) || ctx.Err() != nil {
			return reply, late, err
		}
		pause, ok := c.pause(err)
		if !ok {
			return reply, late, err
		}
		late = late || !untouched(err)
		if stopped := wait(ctx, pause); stopped != nil {
			return reply, late, errors.Join(err, stopped)
		}
	}
}

// sendable refuses what cannot be written: nothing, and texts that are not UTF-8.
func sendable[Request any](api *contract.API, request *Request) error {
	if request == nil {
		return errors.New("client: the request is nil")
	}
	if name := api.Unsendable(request); name != "" {
		return fmt.Errorf("client: %s is not UTF-8", name)
	}
	return nil
}

// again decides whether a failed try may be repeated.
func again(err error, repeats bool) bool {
	if errors.Is(err, ErrNotAnswer) {
		return false // a garbled answer will not get better
	}
	if refused, ok := errors.AsType[*contract.Refused](err); ok && refused.OutcomeUnknown() {
		return repeats && refused.Advice() == contract.Retry
	}
	return Advice(err) == contract.Retry || errors.Is(err, ErrUnknown) && repeats
}

// untouched reports that a try certainly changed nothing. A backend that failed
// may have failed after its work.
func untouched(err error) bool {
	unreached, ok := errors.AsType[*Unreached](err)
	return ok && !unreached.Sent || errors.Is(err, contract.Throttled) || errors.Is(err, contract.Busy)
}

func (c *Client) tries() int { return cmp.Or(c.Retry.Tries, DefaultTries) }

// pause is how long to wait before the next try, and false when that is too long.
func (c *Client) pause(err error) (time.Duration, bool) {
	if refused, ok := errors.AsType[*contract.Refused](err); ok {
		if ban, banned := refused.Ban(); banned {
			return ban, ban <= cmp.Or(c.Retry.MaxWait, DefaultMaxWait)
		}
		if errors.Is(refused, contract.Throttled) { // for how long is not said: a day's calls are used up
			return 0, false
		}
	}
	return cmp.Or(c.Retry.Pause, DefaultPause), true
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// once signs, sends and reads.
func (c *Client) once(ctx context.Context, api *contract.API, params []contract.Param) (any, error) {
	sealed, err := c.seal(ctx, api, params)
	if err != nil {
		return nil, err
	}
	var way way
	response, err := c.http().Do(sealed.Request.WithContext(httptrace.WithClientTrace(ctx, way.trace())))
	if err != nil {
		return nil, way.unreached(api, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, wire.MaxAnswer))
	if err != nil {
		return nil, &Unreached{Sent: true, Err: worded(api, contract.NetworkFailure, "", fmt.Errorf("reading the answer: %w", err))}
	}
	if status := response.StatusCode; status != http.StatusOK { // platforms answer everything with 200: this is something in between
		return nil, &Unreached{Sent: mayHaveArrived(status), Err: worded(api, contract.NetworkStatus, strconv.Itoa(status), &StatusError{status})}
	}
	reply, err := wire.Of(api).Unseal(api, body)
	if errors.Is(err, wire.ErrNotAnswer) {
		return nil, &Unreached{Sent: true, Err: err}
	}
	if refused, ok := errors.AsType[*contract.Refused](err); ok && refused.OutcomeUnknown() {
		return nil, fmt.Errorf("%w: %w", ErrUnknown, refused)
	}
	if err != nil {
		return nil, err
	}
	if no := api.Refusal(reply); no != nil {
		return reply, no
	}
	return reply, nil
}

func (c *Client) seal(ctx context.Context, api *contract.API, params []contract.Param) (wire.Sealed, error) {
	target, err := wire.Of(api).Target(c.URL)
	if err != nil {
		return wire.Sealed{}, fmt.Errorf("client: URL %w", err)
	}
	now := time.Now
	if c.Clock != nil {
		now = c.Clock
	}
	m := wire.Message{
		URL: target, AppKey: c.AppKey, Secret: c.Secret, Session: c.Session, API: api, Params: params,
		Format: wire.Format{JSON: !c.XML}, Digest: wire.HMACSHA256, Time: now(),
	}
	if api.Reverse {
		m.Target = c.Target
	}
	return wire.Of(api).Seal(ctx, m)
}

var plain = &http.Client{
	Timeout:       DefaultTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (c *Client) http() *http.Client {
	if c.HTTP != nil {
		return c.HTTP
	}
	return plain
}

// mayHaveArrived reports whether a status leaves open what became of the call: a
// redirect and a refusal of what stands in between do not.
func mayHaveArrived(status int) bool {
	return status < http.StatusMultipleChoices || status >= http.StatusInternalServerError || status == http.StatusRequestTimeout
}

// way is how far a request came. A transport of the caller's own may not tell.
type way struct{ sought, found atomic.Bool }

func (w *way) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { w.sought.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { w.found.Store(true) },
	}
}

// worded adds to an error of the network the code that Suning's page has for it,
// which its SDKs make themselves.
func worded(api *contract.API, row *contract.Refusal, detail string, err error) error {
	if api.Protocol != contract.Suning {
		return err
	}
	return &networkError{row.SubCode(detail), row, err}
}

// networkError is an error of the network in Suning's words.
type networkError struct {
	code string
	row  error
	err  error
}

// Error prints the code and the reason.
func (e *networkError) Error() string { return e.code + ": " + e.err.Error() }

// Unwrap returns the reason, and the row.
func (e *networkError) Unwrap() []error { return []error{e.err, e.row} }

// unreached tells a call that never left from one that may have arrived.
func (w *way) unreached(api *contract.API, err error) error {
	err = wire.WithoutURL(err)
	dialing, ok := errors.AsType[*net.OpError](err)
	left := w.found.Load() || !w.sought.Load() && (!ok || dialing.Op != "dial")
	return &Unreached{Sent: left, Err: worded(api, contract.NetworkFailure, "", err)}
}
