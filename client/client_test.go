package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ordergate/ordergate/client"
	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/ordergatetest"
)

// platform answers the tries of one call, one after the other; the last answer
// again and again. It is in memory, so that time is the test's.
type platform struct {
	answers []any // a body, an HTTP status, or an error of the connection
	tries   []time.Time
}

func (p *platform) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	answer := p.answers[min(len(p.tries), len(p.answers)-1)]
	p.tries = append(p.tries, time.Now())
	response := &http.Response{StatusCode: 200, Request: r, Header: http.Header{}}
	switch answer := answer.(type) {
	case error:
		return nil, answer
	case int:
		response.StatusCode, response.Body = answer, http.NoBody
	case string:
		response.Body = io.NopCloser(strings.NewReader(answer))
	}
	return response, nil
}

const (
	produceYes = `{"qimen_event_produce_response":{"is_success":true}}`
	emitYes    = `{"bcpush_isv_event_emit_response":{"result":{"success":true}}}`
	lockYes    = `{"response":{"result":{"success":true}}}`
	repeated   = `{"error_response":{"code":50,"msg":"Remote service error","sub_code":"isv.invalid-param: status has already backflow"}}`
)

func refusal(code int, subCode, subText string) string {
	return fmt.Sprintf(`{"error_response":{"code":%d,"msg":"x","sub_code":%q,"sub_msg":%q}}`, code, subCode, subText)
}

func produce(ctx context.Context, c *client.Client) error {
	reply, err := c.EventProduce(ctx, &contract.EventProduceRequest{Status: contract.StatusOut, OrderID: "1"})
	if err == nil && !reply.Success {
		return errors.New("no error and no success")
	}
	return err
}

func emit(ctx context.Context, c *client.Client) error {
	_, err := c.EventEmit(ctx, &contract.EventEmitRequest{PlanID: "1"})
	return err
}

func emitNamed(ctx context.Context, c *client.Client) error {
	_, err := c.EventEmit(ctx, &contract.EventEmitRequest{PlanID: "1", EventID: "1"})
	return err
}

func lock(ctx context.Context, c *client.Client) error {
	_, err := c.OrderIntercept(ctx, &contract.OrderInterceptRequest{SellerNick: "s", BuyerNick: "b", CallType: contract.CallSynchronous, Order: contract.InterceptedOrder{ID: "1", SubOrders: "2"}})
	return err
}

// What is tried again, how often, and after how long.
func TestRetries(t *testing.T) {
	t.Parallel()
	reset := errors.New("connection reset")
	for name, c := range map[string]struct {
		call    func(context.Context, *client.Client) error
		answers []any
		retry   client.Retry
		tries   int
		took    time.Duration
		want    error // nil: success
	}{
		"yes":                                      {produce, []any{produceYes}, client.Retry{}, 1, 0, nil},
		"fix is not tried again":                   {produce, []any{refusal(25, "", ""), produceYes}, client.Retry{}, 1, 0, contract.BadSign},
		"done is not tried again":                  {produce, []any{repeated, produceYes}, client.Retry{}, 1, 0, contract.AlreadyBackflow},
		"what no table knows is not tried again":   {produce, []any{refusal(900, "isv.unheard-of", ""), produceYes}, client.Retry{}, 1, 0, &contract.Refused{}},
		"retry":                                    {produce, []any{refusal(10, "isp.system-busy", ""), produceYes}, client.Retry{}, 2, 100 * time.Millisecond, nil},
		"retry of a backend":                       {emit, []any{refusal(15, "isp.remote-service-error", ""), emitYes}, client.Retry{}, 2, 100 * time.Millisecond, nil},
		"retry of any isp.":                        {emit, []any{refusal(520, "isp.trade-service-unavailable", ""), emitYes}, client.Retry{}, 2, 100 * time.Millisecond, nil},
		"not for ever":                             {produce, []any{refusal(10, "isp.remote-service-error", "")}, client.Retry{}, 4, 300 * time.Millisecond, contract.Unavailable},
		"as often as said":                         {produce, []any{refusal(10, "isp.system-busy", "")}, client.Retry{Tries: 2, Pause: time.Second}, 2, time.Second, contract.Busy},
		"never when so said":                       {produce, []any{refusal(10, "isp.system-busy", "")}, client.Retry{Tries: 1}, 1, 0, contract.Busy},
		"a parse error is never tried again":       {produce, []any{refusal(15, "isp.top-parse-error", ""), produceYes}, client.Retry{}, 1, 0, &contract.Refused{}},
		"a null pointer is never tried again":      {produce, []any{refusal(15, "isp.null-pointer-exception", ""), produceYes}, client.Retry{}, 1, 0, &contract.Refused{}},
		"a read timeout, repeatable":               {produce, []any{refusal(15, "isp.http-read-timeout", ""), produceYes}, client.Retry{}, 2, 100 * time.Millisecond, nil},
		"a read timeout, not repeatable":           {emit, []any{refusal(15, "isp.http-read-timeout", ""), emitYes}, client.Retry{}, 1, 0, contract.ReadTimeout},
		"a read timeout, repeatable by its id":     {emitNamed, []any{refusal(15, "isp.http-read-timeout", ""), emitYes}, client.Retry{}, 2, 100 * time.Millisecond, nil},
		"a short ban is waited for":                {emit, []any{refusal(7, "accesscontrol.limited-by-app-access-count", "This ban will last for 3 more seconds"), emitYes}, client.Retry{}, 2, 3 * time.Second, nil},
		"a ban by API":                             {emit, []any{refusal(7, "accesscontrol.limited-by-api-access-count", "This ban will last for 1 more seconds"), emitYes}, client.Retry{}, 2, time.Second, nil},
		"a long ban is not":                        {produce, []any{refusal(7, "accesscontrol.limited-by-app-access-count", "This ban will last for 31062 more seconds"), produceYes}, client.Retry{}, 1, 0, contract.Throttled},
		"a long ban, if so said":                   {produce, []any{refusal(7, "accesscontrol.limited-by-app-access-count", "This ban will last for 31062 more seconds"), produceYes}, client.Retry{MaxWait: 10 * time.Hour}, 2, 31062 * time.Second, nil},
		"a broken connection, repeatable":          {produce, []any{reset, reset, produceYes}, client.Retry{}, 3, 200 * time.Millisecond, nil},
		"a broken connection, not repeatable":      {emit, []any{reset, emitYes}, client.Retry{}, 1, 0, client.ErrUnknown},
		"a repeat that was refused had arrived":    {produce, []any{reset, repeated}, client.Retry{}, 2, 100 * time.Millisecond, nil},
		"a repeat after a read timeout as well":    {produce, []any{refusal(15, "isp.http-read-timeout", ""), repeated}, client.Retry{}, 2, 100 * time.Millisecond, nil},
		"a repeat after a failed backend":          {produce, []any{refusal(10, "isp.remote-service-error", ""), repeated}, client.Retry{}, 2, 100 * time.Millisecond, nil},
		"a repeat after a busy platform is none":   {produce, []any{refusal(10, "isp.system-busy", ""), repeated}, client.Retry{}, 2, 100 * time.Millisecond, contract.AlreadyBackflow},
		"a bad gateway, repeatable":                {produce, []any{502, produceYes}, client.Retry{}, 2, 100 * time.Millisecond, nil},
		"a bad gateway, not repeatable":            {emit, []any{502, emitYes}, client.Retry{}, 1, 0, client.ErrUnknown},
		"not found":                                {produce, []any{404, produceYes}, client.Retry{}, 1, 0, &client.StatusError{Code: 404}},
		"a redirect":                               {produce, []any{302, produceYes}, client.Retry{}, 1, 0, &client.StatusError{Code: 302}},
		"too many requests":                        {emit, []any{429, emitYes}, client.Retry{}, 2, 100 * time.Millisecond, nil},
		"a page of a proxy":                        {produce, []any{"<html>login</html>", produceYes}, client.Retry{}, 1, 0, client.ErrNotAnswer},
		"no body":                                  {emit, []any{"", emitYes}, client.Retry{}, 1, 0, client.ErrUnknown},
		"a lock that may have arrived":             {lock, []any{refusal(15, "isp.http-read-timeout", ""), lockYes}, client.Retry{}, 1, 0, client.ErrUnknown},
		"a lock that a closed connection left":     {lock, []any{`{"response":{"flag":"failure","code":"15","message":"m","sub_code":"isp.http-closed"}}`, lockYes}, client.Retry{}, 1, 0, contract.ConnectionClosed},
		"a lock that another status left":          {lock, []any{`{"response":{"flag":"failure","code":"15","message":"m","sub_code":"http-service-status-error"}}`, lockYes}, client.Retry{}, 1, 0, client.ErrUnknown},
		"a lock that reached nobody":               {lock, []any{`{"response":{"flag":"failure","code":"15","message":"m","sub_code":"isp.http-connection-refuse"}}`, lockYes}, client.Retry{}, 2, 100 * time.Millisecond, nil},
		"a lock without an answer":                 {lock, []any{reset, lockYes}, client.Retry{}, 1, 0, client.ErrUnknown},
		"a merchant's no":                          {lock, []any{`<result><success>false</success><errorCode>1002</errorCode></result>`}, client.Retry{}, 1, 0, contract.InterceptOut},
		"a no within the answer":                   {emit, []any{`{"bcpush_isv_event_emit_response":{"result":{"success":false,"error_code":409,"error_message":"m"}}}`}, client.Retry{}, 1, 0, contract.EventIDTaken},
		"a no within the answer that nobody knows": {emit, []any{`{"bcpush_isv_event_emit_response":{"result":{"success":false,"error_code":7}}}`}, client.Retry{}, 1, 0, &contract.Refused{}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &platform{answers: c.answers}
			started := time.Now()
			err := c.call(t.Context(), &client.Client{URL: "http://platform", AppKey: "k", Secret: "s", HTTP: &http.Client{Transport: p}, Retry: c.retry})
			if took := time.Since(started); len(p.tries) != c.tries || took != c.took {
				t.Errorf("%s: %d tries in %v, want %d in %v (%v)", name, len(p.tries), took, c.tries, c.took, err)
			}
			switch want := c.want.(type) {
			case *contract.Refused:
				if _, ok := errors.AsType[*contract.Refused](err); !ok {
					t.Errorf("%s: got %v, want a refusal", name, err)
				}
			case *client.StatusError:
				if got, ok := errors.AsType[*client.StatusError](err); !ok || got.Code != want.Code || client.Advice(err) != contract.Fix {
					t.Errorf("%s: got %v, want %v", name, err, want)
				}
			default:
				if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("%s: got %v, want %v", name, err, c.want)
				}
			}
		})
	}
}

// A batch that arrived at its first try is accepted at its second.
func TestBatchRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &platform{answers: []any{errors.New("reset"), `{"qimen_events_produce_response":{"is_all_success":false,"results":{"qimen_result":[{"is_success":false,"error_code":"isv.invalid-param: status has already backflow"},{"is_success":true}]}}}`}}
		c := &client.Client{URL: "http://platform", HTTP: &http.Client{Transport: p}}
		reply, err := c.EventsProduce(t.Context(), &contract.EventProduceRequest{}, &contract.EventProduceRequest{})
		if err != nil || !reply.AllSuccess || !reply.Results[0].Success {
			t.Errorf("%+v, %v", reply, err)
		}
	})
}

// An answer about another number of events is none.
func TestBatchResults(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]int{
		`{"qimen_events_produce_response":{"is_all_success":true}}`:                                                                      2,
		`{"qimen_events_produce_response":{"is_all_success":true,"results":{"qimen_result":[{"is_success":true},{"is_success":true}]}}}`: 2,
		`{"qimen_events_produce_response":{"is_all_success":false}}`:                                                                     -1,
		`{"qimen_events_produce_response":{"is_all_success":false,"results":{"qimen_result":[{"is_success":true}]}}}`:                    -1,
	} {
		c := &client.Client{URL: "http://platform", HTTP: &http.Client{Transport: &platform{answers: []any{body}}}}
		reply, err := c.EventsProduce(t.Context(), &contract.EventProduceRequest{}, &contract.EventProduceRequest{})
		if want < 0 && !errors.Is(err, client.ErrNotAnswer) || want >= 0 && (err != nil || len(reply.Results) != want || !reply.Results[1].Success) {
			t.Errorf("%s: %+v, %v", body, reply, err)
		}
	}
}

// What cannot be written is refused here.
func TestUnsendable(t *testing.T) {
	t.Parallel()
	p := &platform{answers: []any{produceYes}}
	c := &client.Client{URL: "http://platform", HTTP: &http.Client{Transport: p}}
	good := &contract.EventProduceRequest{Status: contract.StatusOut, OrderID: "1"}
	bad := &contract.EventProduceRequest{Status: contract.StatusOut, OrderID: "1\xff"}
	for name, call := range map[string]func() error{
		"nil":            func() error { _, err := c.EventProduce(t.Context(), nil); return err },
		"nil event":      func() error { _, err := c.EventEmit(t.Context(), nil); return err },
		"nil in a batch": func() error { _, err := c.EventsProduce(t.Context(), good, nil); return err },
		"bytes":          func() error { _, err := c.EventProduce(t.Context(), bad); return err },
		"bytes, batch":   func() error { _, err := c.EventsProduce(t.Context(), good, bad); return err },
	} {
		if err := call(); err == nil || client.Advice(err) != contract.Stop || len(p.tries) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The caller's context ends a call, also while it waits.
func TestContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &platform{answers: []any{refusal(10, "isp.system-busy", "")}}
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		started := time.Now()
		err := produce(ctx, &client.Client{URL: "http://platform", HTTP: &http.Client{Transport: p}, Retry: client.Retry{Tries: 100}})
		if took := time.Since(started); took != 250*time.Millisecond || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, contract.Busy) {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// A refused connection is a call that was not sent; no error shows a secret.
func TestUnreached(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for name, url := range map[string]string{"refused": closed.URL, "no such host": "http://unheard-of.invalid"} {
		c := &client.Client{URL: url, AppKey: "k", Secret: "hush-secret", Session: "hush-session", Retry: client.Retry{Tries: 2, Pause: time.Millisecond}}
		err := emit(t.Context(), c)
		unreached, ok := errors.AsType[*client.Unreached](err)
		if !ok || unreached.Sent || errors.Is(err, client.ErrUnknown) || client.Advice(err) != contract.Retry {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(fmt.Sprintf("%v %+v", err, c), "hush-") {
			t.Errorf("%s: %v %+v", name, err, c)
		}
	}
}

func TestNoURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"ftp://platform", "", "platform", "/router/rest", "http://%zz"} {
		if err := produce(t.Context(), &client.Client{URL: url}); err == nil || client.Advice(err) != contract.Stop || !strings.Contains(err.Error(), "want http://HOST") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// The other end hangs up in the middle of its answer.
func TestBrokenAnswer(t *testing.T) {
	t.Parallel()
	tries := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tries++
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(produceYes[:20]))
	}))
	defer s.Close()
	c := &client.Client{URL: s.URL, AppKey: "k", Secret: "s", Retry: client.Retry{Pause: time.Millisecond}}
	if err := emit(t.Context(), c); !errors.Is(err, client.ErrUnknown) || tries != 1 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

// Against a gateway, in both formats, for every kind of answer.
func TestAgainstGateway(t *testing.T) {
	t.Parallel()
	g := ordergatetest.Start(t)
	for _, xml := range []bool{false, true} {
		c := g.Client()
		c.XML = xml
		order := fmt.Sprint(xml)
		if _, err := c.EventProduce(t.Context(), &contract.EventProduceRequest{Status: contract.StatusOut, OrderID: order, Nick: "商家 & <co>", Platform: "JD", Extension: `{"a":"+ %20~*"}`}); err != nil {
			t.Errorf("xml %t: %v", xml, err)
		}
		reply, err := c.EventsProduce(t.Context(),
			&contract.EventProduceRequest{Status: contract.StatusOut, OrderID: order, Nick: "商家 & <co>", Platform: "JD"},
			&contract.EventProduceRequest{Status: contract.StatusOut, OrderID: order + "2", Extension: `{"quote":"\"\\"}`})
		if err != nil || reply.AllSuccess || len(reply.Results) != 2 || !errors.Is(reply.Results[0].Refused(), contract.AlreadyBackflow) || !reply.Results[1].Success {
			t.Errorf("xml %t: %+v, %v", xml, reply, err)
		}
		if _, err := c.EventsProduce(t.Context()); !errors.Is(err, contract.BadArgument) {
			t.Errorf("xml %t: no events: %v", xml, err)
		}
		emitted, err := c.EventEmit(t.Context(), &contract.EventEmitRequest{EventID: order, Context: `{"a":1}`})
		if err != nil || emitted.Result.ErrorCode != "0" || !emitted.Result.Module || emitted.Result.Version != "1.0" {
			t.Errorf("xml %t: %+v, %v", xml, emitted, err)
		}
		declined, err := c.EventEmit(t.Context(), &contract.EventEmitRequest{Text: "nothing named"})
		if !errors.Is(err, contract.EventNamesNothing) || declined.Result.Solution == "" || client.Advice(err) != contract.Fix {
			t.Errorf("xml %t: %+v, %v", xml, declined, err)
		}
	}
	stranger := g.Client()
	stranger.AppKey = "stranger"
	if err := produce(t.Context(), stranger); !errors.Is(err, contract.UnknownApp) {
		t.Errorf("a stranger: %v", err)
	}
	wrong := g.Client()
	wrong.Secret = "wrong"
	if err := produce(t.Context(), wrong); !errors.Is(err, contract.BadSign) {
		t.Errorf("a wrong secret: %v", err)
	}
}
