package dispatch

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// MaxAnswer is how much of a destination's answer is read, in bytes.
const MaxAnswer = 64 << 10

// connectTimeout is how long a destination may take to be reached, within its own
// timeout.
const connectTimeout = 5 * time.Second

// NewClient makes the client that destinations are reached by. It follows no redirect
// and keeps no connection: on one that its peer is about to close a call is lost, and
// calls that wait must not be sent twice.
func NewClient(guard Guard) *http.Client {
	transport := newTransport(guard)
	transport.DisableKeepAlives = true
	return &http.Client{Transport: transport, CheckRedirect: noRedirect}
}

// newTransport makes a transport that reaches what the guard lets through.
func newTransport(guard Guard) *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, Control: guard.control}
	return &http.Transport{DialContext: dialer.DialContext, MaxResponseHeaderBytes: MaxAnswer}
}

// noRedirect has a client return a redirect as the answer.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// exchange sends a request and reads its answer, in UTF-8. The error is about a row of
// contract.TOPBackend, and says why in its detail.
func exchange(ctx context.Context, client *http.Client, r *http.Request) ([]byte, error) {
	var connected atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	response, err := client.Do(r.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil {
		return nil, &failure{unanswered(err, connected.Load()), err}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, &failure{contract.StatusNotOK, errors.New("HTTP " + response.Status)}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return nil, &failure{unanswered(err, true), err}
	case len(body) > MaxAnswer:
		return nil, &failure{contract.ParseError, errors.New("the answer is over 64 KiB")}
	}
	return []byte(wire.InUTF8(response.Header.Get("Content-Type"), string(body))), nil
}

// unanswered words why a request has no answer.
func unanswered(err error, connected bool) *contract.Refusal {
	late := errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err)
	var network *net.OpError
	switch {
	case !connected && late:
		return contract.ConnectionTimeout
	case !connected:
		return contract.ConnectionRefused
	case late:
		return contract.ReadTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.As(err, &network):
		return contract.ConnectionClosed
	}
	return contract.ParseError // it answers, and not in HTTP
}

// failure is an exchange without an answer: the row that says so, and the reason for
// the log.
type failure struct {
	row    *contract.Refusal
	reason error
}

// Error names the row and the reason.
func (f *failure) Error() string { return f.row.Code + ": " + f.reason.Error() }

// Unwrap returns the row.
func (f *failure) Unwrap() error { return f.row }
